//! Addresses that a daemon listens on.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// An address for callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListenAddress {
    Unix(PathBuf),
    /// On the loopback.
    Tcp(SocketAddr),
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path".to_owned()),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let address = text.parse().map_err(|_| "neither unix:PATH nor IP:PORT".to_owned())?;
        loopback(
            address,
            "session keys cross it in plaintext, and every process that reaches it can use the daemon's identity. Use a Unix socket, or \
             127.0.0.1 or [::1] in a network namespace of one workload",
        )
        .map(Self::Tcp)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Checks that only this machine reaches an address.
pub(super) fn loopback(address: SocketAddr, why: &str) -> Result<SocketAddr, String> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(address);
    }
    Err(format!("{} is not a loopback address, which is required: {why}", address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_loopback_only() {
        for good in ["127.0.0.1:0", "127.0.0.61:8080", "[::1]:8080", "[::ffff:127.0.0.1]:1"] {
            assert!(good.parse::<ListenAddress>().is_ok(), "{good}");
        }
        for bad in
            ["0.0.0.0:8080", "[::]:8080", "192.0.2.1:80", "[::ffff:192.0.2.1]:1", "10.0.0.1:1"]
        {
            assert!(bad.parse::<ListenAddress>().unwrap_err().contains("not a loopback"), "{bad}");
        }
        for odd in ["", "localhost:80", "127.0.0.1", "unix:", "/run/x.sock", "tcp:127.0.0.1:1"] {
            assert!(odd.parse::<ListenAddress>().is_err(), "{odd}");
        }
        let unix = "unix:/run/x.sock".parse::<ListenAddress>().unwrap();
        assert_eq!(unix, ListenAddress::Unix("/run/x.sock".into()));
        assert_eq!(unix.to_string(), "unix:/run/x.sock");
    }
}
