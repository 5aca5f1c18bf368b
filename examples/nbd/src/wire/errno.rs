//! Errors of transmission.

use std::fmt;

/// An error as a reply reports it. The numbers are the protocol's, whatever the operating system's are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Errno {
    /// The export is read-only.
    Perm = 1,
    /// The storage failed.
    Io = 5,
    /// No memory.
    NoMem = 12,
    /// The request is not valid.
    Inval = 22,
    /// No space, or beyond the end of the export.
    NoSpc = 28,
    /// Too large.
    Overflow = 75,
    /// Not possible in the way the flags ask for.
    NotSup = 95,
    /// The server is shutting down.
    Shutdown = 108,
}

impl Errno {
    /// The number on the wire.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The error of that number, which is not 0. Unknown ones count as [`Inval`](Self::Inval), as the protocol demands.
    pub const fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Perm,
            5 => Self::Io,
            12 => Self::NoMem,
            28 => Self::NoSpc,
            75 => Self::Overflow,
            95 => Self::NotSup,
            108 => Self::Shutdown,
            _ => Self::Inval,
        }
    }

    /// The name in C.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Perm => "EPERM",
            Self::Io => "EIO",
            Self::NoMem => "ENOMEM",
            Self::Inval => "EINVAL",
            Self::NoSpc => "ENOSPC",
            Self::Overflow => "EOVERFLOW",
            Self::NotSup => "ENOTSUP",
            Self::Shutdown => "ESHUTDOWN",
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meaning = match self {
            Self::Perm => "the export is read-only",
            Self::Io => "the storage failed",
            Self::NoMem => "no memory",
            Self::Inval => "the request is not valid",
            Self::NoSpc => "no space, or beyond the end",
            Self::Overflow => "too large",
            Self::NotSup => "not possible in this way",
            Self::Shutdown => "the server is shutting down",
        };
        write!(f, "{meaning} ({})", self.name())
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        for (code, name) in [
            (1, "EPERM"),
            (5, "EIO"),
            (12, "ENOMEM"),
            (22, "EINVAL"),
            (28, "ENOSPC"),
            (75, "EOVERFLOW"),
            (95, "ENOTSUP"),
            (108, "ESHUTDOWN"),
        ] {
            let errno = Errno::from_code(code);
            assert_eq!((errno.code(), errno.name()), (code, name));
        }
        for unknown in [2, 107, u32::MAX] {
            assert_eq!(Errno::from_code(unknown), Errno::Inval);
        }
    }
}
