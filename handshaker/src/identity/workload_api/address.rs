//! Where the Workload API is: a URI as `SPIFFE_Workload_Endpoint`, section 4, has it.

use std::fmt;
use std::net::SocketAddr;

use tonic::transport::Endpoint;

use super::super::error::IdentityError;

/// A Unix socket or a TCP address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Unix(String),
    Tcp(SocketAddr),
}

impl Address {
    pub(super) fn parse(text: &str) -> Result<Self, IdentityError> {
        let parsed = match text.split_once(':') {
            _ if text.is_empty() => Err("it is empty".to_owned()),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("unix") => unix(rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tcp") => tcp(rest),
            _ => Err("it begins neither with unix: nor with tcp:".to_owned()),
        };
        parsed.map_err(|fault| IdentityError::Address { address: text.to_owned(), fault })
    }

    /// How tonic wants it.
    pub(super) fn endpoint(&self) -> Result<Endpoint, IdentityError> {
        let uri = match self {
            // tonic takes what follows the slashes for the path, as it is.
            Self::Unix(path) => format!("unix://{path}"),
            Self::Tcp(address) => format!("http://{address}"),
        };
        Endpoint::from_shared(uri).map_err(|fault| IdentityError::Address {
            address: self.to_string(),
            fault: fault.to_string(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{path}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

fn unix(rest: &str) -> Result<Address, String> {
    if !cfg!(unix) {
        return Err("this system has no Unix sockets for it; use tcp://IP:PORT".to_owned());
    }
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => {
            return Err("a host stands before the path; write three slashes after unix:".to_owned());
        }
        None => rest,
    };
    if !path.starts_with('/') {
        return Err("the path of the socket is not absolute".to_owned());
    }
    if path.contains(['?', '#']) {
        return Err(
            "something follows the path; a ? or # in it has to be written as %3F or %23".to_owned()
        );
    }
    let path =
        decoded(path).ok_or("a % is not followed by two digits that stand for a byte of text")?;
    if path.contains('\0') {
        return Err("the path has a zero byte".to_owned());
    }
    Ok(Address::Unix(path))
}

fn tcp(rest: &str) -> Result<Address, String> {
    let authority = rest.strip_prefix("//").ok_or("two slashes are missing after tcp:")?;
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return match address.port() {
            0 => Err("its port is 0".to_owned()),
            _ => Ok(Address::Tcp(address)),
        };
    }
    Err(if authority.contains('@') {
        "it has a user name".to_owned()
    } else if authority.contains(['/', '?', '#']) {
        "something follows the port".to_owned()
    } else if authority.parse::<std::net::IpAddr>().is_ok() {
        "it has no port".to_owned()
    } else {
        "the host is not an IP address, or the port not a number".to_owned()
    })
}

/// Resolves `%XX`. `None` if one is broken, or the result is not text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn sockets() {
        for (text, path) in [
            ("unix:///run/spire/agent.sock", "/run/spire/agent.sock"),
            ("unix:/run/spire/agent.sock", "/run/spire/agent.sock"),
            ("UNIX:///a", "/a"),
            ("unix:///a%20b%2Fc", "/a b/c"),
            ("unix:////a", "//a"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address, Address::Unix(path.to_owned()), "{text}");
            assert!(address.endpoint().is_ok(), "{text}");
        }
    }

    #[test]
    fn ports() {
        for text in ["tcp://127.0.0.1:8000", "tcp://[::1]:8000"] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
            assert!(address.endpoint().is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, fault) in [
            ("", "empty"),
            ("/run/spire/agent.sock", "neither with unix: nor with tcp:"),
            ("localhost:8000", "neither"),
            ("http://127.0.0.1:8000", "neither"),
            ("tcp:127.0.0.1:8000", "two slashes"),
            ("tcp://localhost:8000", "not an IP address"),
            ("tcp://127.0.0.1", "no port"),
            ("tcp://::1", "no port"),
            ("tcp://127.0.0.1:0", "port is 0"),
            ("tcp://127.0.0.1:99999", "the port not a number"),
            ("tcp://127.0.0.1:8000/", "follows the port"),
            ("tcp://127.0.0.1:8000/foo", "follows the port"),
            ("tcp://127.0.0.1:8000?a", "follows the port"),
            ("tcp://me@127.0.0.1:8000", "user name"),
        ] {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(refused.contains(fault), "{text}: {refused}");
        }
        #[cfg(unix)]
        for (text, fault) in [
            ("unix:run/agent.sock", "not absolute"),
            ("unix:", "not absolute"),
            ("unix://run/agent.sock", "three slashes"),
            ("unix:///a?b", "follows the path"),
            ("unix:///a#b", "follows the path"),
            ("unix:///a%2", "not followed by two digits"),
            ("unix:///a%zz", "not followed by two digits"),
            ("unix:///a%ff", "not followed by two digits"),
            ("unix:///a%00", "zero byte"),
        ] {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(refused.contains(fault), "{text}: {refused}");
        }
    }
}
