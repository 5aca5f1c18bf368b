//! Where to listen and where to connect to.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a program listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    Tcp(HostPort),
    Unix(PathBuf),
    /// A socket that systemd has opened, by its `FileDescriptorName`.
    Systemd(String),
}

/// Where a program connects to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetAddress {
    Tcp(HostPort),
    Unix(PathBuf),
}

/// A name or an address, and a port. A name is resolved when it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl HostPort {
    /// Whether it leads nowhere but to this machine. Of names only `localhost` is known to.
    fn is_local(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
            || self.host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    }
}

impl ListenAddress {
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_local(),
            Self::Unix(_) | Self::Systemd(_) => true,
        }
    }
}

impl TargetAddress {
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.is_local(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "not HOST:PORT, such as localhost:5432 or [::1]:5432".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(form)?,
            None if host.contains(':') => {
                return Err("an IPv6 address needs brackets: [::1]:5432".to_owned());
            }
            None => host,
        };
        if host.is_empty() {
            return Err(
                "the host is missing: localhost:PORT, or 0.0.0.0:PORT for all addresses".to_owned()
            );
        }
        let port = port.parse().map_err(|_| format!("{port:?} is not a port from 0 to 65535"))?;
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

fn unix_path(path: &str) -> Result<PathBuf, String> {
    match path {
        "" => Err("unix: needs a path, such as unix:/run/app.sock".to_owned()),
        path => Ok(path.into()),
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path).map(Self::Unix);
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return match name {
                "" => Err("systemd: needs the socket unit's FileDescriptorName".to_owned()),
                name => Ok(Self::Systemd(name.to_owned())),
            };
        }
        text.parse().map(Self::Tcp)
    }
}

impl FromStr for TargetAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
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
