//! Where to listen.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a program listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// A name or an address, and a port.
    Tcp(String, u16),
    Unix(PathBuf),
    /// A socket that systemd has opened, by its `FileDescriptorName`.
    Systemd(String),
}

impl ListenAddress {
    /// Whether only this machine reaches it. What systemd opened is its administrator's affair.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Tcp(host, _) => {
                host.eq_ignore_ascii_case("localhost")
                    || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
            }
            Self::Unix(_) | Self::Systemd(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path, such as unix:/run/nbd.sock".to_owned()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if let Some(name) = text.strip_prefix("systemd:") {
            return match name {
                "" => Err("systemd: needs the socket unit's FileDescriptorName".to_owned()),
                name => Ok(Self::Systemd(name.to_owned())),
            };
        }
        let form = || "not HOST:PORT, such as localhost:10809 or [::1]:10809".to_owned();
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(form)?,
            None if host.contains(':') => {
                return Err("an IPv6 address needs brackets: [::1]:10809".to_owned());
            }
            None => host,
        };
        if host.is_empty() {
            return Err(
                "the host is missing: localhost:PORT, or 0.0.0.0:PORT for all addresses".to_owned()
            );
        }
        let port = port.parse().map_err(|_| format!("{port:?} is not a port from 0 to 65535"))?;
        Ok(Self::Tcp(host.to_owned(), port))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for text in ["localhost:80", "[::1]:10809", "unix:/run/x", "systemd:nbd", "0.0.0.0:0"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for bad in ["", "localhost", ":80", "::1:80", "[::1:80", "x:70000", "unix:", "systemd:"] {
            assert!(bad.parse::<ListenAddress>().is_err(), "{bad}");
        }
        let local = |text: &str| text.parse::<ListenAddress>().unwrap().is_local();
        assert!(local("localhost:1") && local("127.0.0.2:1") && local("[::1]:1"));
        assert!(!local("0.0.0.0:1") && !local("disk.example:1"));
    }
}
