//! Reading one file.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::super::error::IdentityError;

/// The largest file, in bytes. A revocation list of a few hundred thousand entries fits.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Who may use a key file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nobody but its owner, and root.
    OwnerOnly,
    Allowed,
}

/// A file as it was when it was read. Any file may have a private key in it, so all are wiped.
pub(crate) struct FileContents {
    pub(crate) bytes: Zeroizing<Vec<u8>>,
    /// The permission bits, where there are any.
    mode: Option<u32>,
}

impl FileContents {
    /// Reads a file, links followed. The permissions are those of the very file that is read.
    pub(crate) fn read(path: &Path) -> Result<Self, IdentityError> {
        read(path).map_err(|fault| fault.in_file(path))
    }

    /// The permission bits, 0 where there are none.
    pub(crate) fn mode(&self) -> u32 {
        self.mode.unwrap_or(0)
    }

    /// Refuses a file that others than its owner may use.
    pub(super) fn check_sharing(&self, sharing: Sharing) -> Result<(), IdentityError> {
        /// All permissions of the group and of the rest of the world.
        const OTHERS: u32 = 0o077;

        match self.mode {
            Some(mode) if sharing == Sharing::OwnerOnly && mode & OTHERS != 0 => {
                Err(IdentityError::SharedKeyFile { mode })
            }
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<FileContents, IdentityError> {
    let file = File::open(path).map_err(|fault| unreadable(&fault))?;
    let metadata = file.metadata().map_err(|fault| unreadable(&fault))?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(IdentityError::FileTooLarge);
    }
    // A vector that grows would leave copies of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 1));
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|fault| unreadable(&fault))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(IdentityError::FileTooLarge);
    }
    Ok(FileContents { bytes, mode: mode_of(&metadata) })
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere there are no such bits")]
fn mode_of(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    Some(metadata.permissions().mode() & 0o7777)
}

#[cfg(not(unix))]
fn mode_of(_metadata: &Metadata) -> Option<u32> {
    None
}

fn unreadable(fault: &io::Error) -> IdentityError {
    match is_shortage(fault) {
        true => IdentityError::OutOfResources { message: fault.to_string() },
        false => IdentityError::Read { kind: fault.kind(), message: fault.to_string() },
    }
}

/// Whether an error is about this process or the system, and says nothing about the file.
fn is_shortage(fault: &io::Error) -> bool {
    /// ENFILE and EMFILE, which have no kind of their own.
    const DESCRIPTORS: [i32; 2] = if cfg!(unix) { [23, 24] } else { [0; 2] };
    fault.kind() == io::ErrorKind::OutOfMemory
        || fault.raw_os_error().is_some_and(|code| DESCRIPTORS.contains(&code))
}
