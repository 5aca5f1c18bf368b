//! Where to listen and where to connect to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a program listens: `HOST:PORT`, `unix:PATH`, or `systemd:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// All addresses of a name, or one address.
    Tcp(HostPort),
    /// A Unix socket, by its path.
    Unix(PathBuf),
    /// A socket that systemd has opened, by its `FileDescriptorName`.
    Systemd(String),
}

/// Where a program connects to: `HOST:PORT`, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetAddress {
    /// The first address of a name that answers, or one address.
    Tcp(HostPort),
    /// A Unix socket, by its path.
    Unix(PathBuf),
}

/// A name or an address, and a port. A name is resolved when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or the address, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl AddressError {
    fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl HostPort {
    /// Whether it leads nowhere but to this machine. Of names only `localhost` is known to.
    fn is_local(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    }
}

impl ListenAddress {
    /// Whether only this machine reaches it. What systemd opened is its administrator's affair.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_local(),
            Self::Unix(_) | Self::Systemd(_) => true,
        }
    }
}

impl TargetAddress {
    /// Whether it is on this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_local(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let form = || AddressError::new("not HOST:PORT, such as localhost:7000 or [::1]:7000");
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(form)?,
            None if host.contains(':') => {
                return Err(AddressError::new("an IPv6 address needs brackets: [::1]:7000"));
            }
            None => host,
        };
        if host.is_empty() {
            return Err(AddressError::new(
                "the host is missing: localhost:PORT, or 0.0.0.0:PORT for all addresses",
            ));
        }
        let port = port
            .parse()
            .map_err(|_| AddressError(format!("{port:?} is not a port from 0 to 65535")))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn unix_path(path: &str) -> Result<PathBuf, AddressError> {
    match path {
        "" => Err(AddressError::new("unix: needs a path, such as unix:/run/app.sock")),
        path => Ok(path.into()),
    }
}

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Self::Unix);
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return match name {
                "" => Err(AddressError::new("systemd: needs the socket unit's FileDescriptorName")),
                name => Ok(Self::Systemd(name.to_owned())),
            };
        }
        text.parse().map(Self::Tcp)
    }
}

impl FromStr for TargetAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match text.strip_prefix("unix:") {
            Some(path) => unix_path(path).map(Self::Unix),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl fmt::Display for TargetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["localhost:80", "127.0.0.1:0", "[::1]:5432", "db.example:1", "unix:/run/x"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
            assert_eq!(text.parse::<TargetAddress>().unwrap().to_string(), text);
        }
        assert!("systemd:".parse::<ListenAddress>().is_err());
        assert!("systemd:web".parse::<ListenAddress>().unwrap().is_local());
        let systemd = "systemd:web".parse::<ListenAddress>().unwrap();
        assert_eq!(systemd.to_string(), "systemd:web");
        for bad in ["", "localhost", ":80", "::1:80", "[::1:80", "x:70000", "x:", "unix:"] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad}");
            assert!(bad.parse::<TargetAddress>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_local() {
        for local in [
            "localhost:1",
            "LocalHost:1",
            "127.1.2.3:1",
            "[::1]:1",
            "[::ffff:127.0.0.1]:1",
            "unix:/x",
        ] {
            assert!(local.parse::<TargetAddress>().unwrap().is_local(), "{local}");
        }
        for other in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "localhost.example:1"] {
            assert!(!other.parse::<TargetAddress>().unwrap().is_local(), "{other}");
        }
    }
}
