//! What names an export: URIs.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::wire::DEFAULT_PORT;
use crate::wire::option::is_valid_name;

/// A URI of an export, by the NBD project's rules (`doc/uri.md`), and two more schemes for exports inside of ALTS.
///
/// | scheme | |
/// |---|---|
/// | `nbd://HOST[:PORT][/EXPORT]` | TCP |
/// | `nbds://HOST[:PORT][/EXPORT]` | TCP, and TLS or nothing |
/// | `nbd+unix:///[EXPORT]?socket=PATH` | a Unix socket |
/// | `nbds+unix:///[EXPORT]?socket=PATH` | a Unix socket, and TLS or nothing |
/// | `nbd+alts://HOST[:PORT][/EXPORT]` | TCP, secured by ALTS |
/// | `nbd+alts+unix:///[EXPORT]?socket=PATH` | a Unix socket, secured by ALTS |
///
/// The name of the export is what follows one slash, so `nbd://host//x` is `/x`; without a path it is the empty one. `socket`
/// beginning with `%00` is an abstract socket. For TLS, `tls-certificates=DIRECTORY` says where `ca-cert.pem` is (and
/// `client-cert.pem` with `client-key.pem`, if the server wants them), and `tls-hostname=NAME` what the certificate has to be
/// for, if it is not the host. Except with TLS, `yamux=1` has all connections to the server carried in one; the server has to expect
/// that (`alts-nbd serve --listen-yamux`). Anything else in the query is an error, so that no wish is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uri {
    /// Where the server is.
    pub transport: Transport,
    /// What protects the connection.
    pub security: Security,
    /// The name of the export.
    pub export: String,
    /// Whether all connections are carried in one, by yamux.
    pub yamux: bool,
    /// `tls-hostname`.
    pub tls_hostname: Option<String>,
    /// `tls-certificates`.
    pub tls_certificates: Option<PathBuf>,
    text: String,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A host, without brackets, and a port.
    Tcp(String, u16),
    /// A Unix socket; one whose path begins with NUL is abstract.
    Unix(PathBuf),
}

/// What protects a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// Nothing.
    Plain,
    /// TLS, begun by STARTTLS.
    Tls,
    /// ALTS, around all of it.
    Alts,
}

/// Why a text is no URI of an export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UriError(String);

impl fmt::Display for UriError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for UriError {}

impl Uri {
    /// The same server's export of another name.
    #[must_use]
    pub fn with_export(&self, name: &str) -> Self {
        Self { export: name.to_owned(), ..self.clone() }
    }

    /// Whether a text is meant as a URI, and not as the name of a file.
    pub fn is_meant(text: &str) -> bool {
        text.split_once(':').is_some_and(|(scheme, rest)| {
            let scheme = scheme.to_ascii_lowercase();
            rest.starts_with("//") && (scheme.starts_with("nbd+") || scheme.starts_with("nbds+"))
                || (rest.starts_with("//") && (scheme == "nbd" || scheme == "nbds"))
        })
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Uri {
    type Err = UriError;

    fn from_str(text: &str) -> Result<Self, UriError> {
        let fail = |fault: String| UriError(format!("{text}: {fault}"));
        parse(text).map_err(fail)
    }
}

fn parse(text: &str) -> Result<Uri, String> {
    let (scheme, rest) = text.split_once("://").ok_or("not a URI such as nbd://localhost/disk")?;
    let (security, unix) = match scheme.to_ascii_lowercase().as_str() {
        "nbd" => (Security::Plain, false),
        "nbds" => (Security::Tls, false),
        "nbd+unix" => (Security::Plain, true),
        "nbds+unix" => (Security::Tls, true),
        "nbd+alts" => (Security::Alts, false),
        "nbd+alts+unix" => (Security::Alts, true),
        "nbd+vsock" | "nbds+vsock" => {
            return Err("sockets of virtual machines (vsock) are not supported".to_owned());
        }
        "nbd+ssh" | "nbds+ssh" => {
            return Err("ssh is not supported: forward a port with ssh -L".to_owned());
        }
        other => {
            return Err(format!(
                "the scheme {other:?} is unknown: use nbd, nbds, nbd+unix, nbds+unix, nbd+alts or nbd+alts+unix"
            ));
        }
    };
    if rest.contains('#') {
        return Err("a fragment (#) means nothing here: write %23".to_owned());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let export = decoded(path.strip_prefix('/').unwrap_or(path))?;
    if !is_valid_name(&export) {
        return Err("the export's name exceeds 4,096 bytes or has NUL".to_owned());
    }
    let query = Query::parse(query, security)?;
    let transport = match (unix, query.socket) {
        (true, None) => return Err("the path of the socket is missing: ?socket=PATH".to_owned()),
        (true, Some(_)) if !authority.is_empty() => {
            return Err("a Unix socket has no host: use three slashes".to_owned());
        }
        (true, Some(path)) => Transport::Unix(path.into()),
        (false, Some(_)) => return Err("socket= is for the schemes with +unix".to_owned()),
        (false, None) => host_and_port(authority)?,
    };
    Ok(Uri {
        transport,
        security,
        export,
        yamux: query.yamux.is_some(),
        tls_hostname: query.hostname,
        tls_certificates: query.certificates.map(PathBuf::from),
        text: text.to_owned(),
    })
}

#[derive(Default)]
struct Query {
    socket: Option<String>,
    yamux: Option<String>,
    hostname: Option<String>,
    certificates: Option<String>,
}

impl Query {
    fn parse(text: &str, security: Security) -> Result<Self, String> {
        let mut query = Self::default();
        for part in text.split(['&', ';']).filter(|part| !part.is_empty()) {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = decoded(value)?;
            if key.starts_with("tls-") && security != Security::Tls {
                return Err(format!("{key} is for the schemes nbds and nbds+unix"));
            }
            if key == "yamux" && security == Security::Tls {
                return Err(
                    "yamux is not for TLS: use nbd, nbd+unix, nbd+alts or nbd+alts+unix".to_owned()
                );
            }
            let slot = match (key, value.as_str()) {
                ("socket", "") => return Err("socket= is empty".to_owned()),
                ("socket", _) => &mut query.socket,
                ("yamux", "1") => &mut query.yamux,
                ("yamux", other) => return Err(format!("yamux={other} is unknown, only yamux=1")),
                ("tls-hostname", _) => &mut query.hostname,
                ("tls-certificates", _) => &mut query.certificates,
                ("tls-type", "x509") | ("tls-verify-peer", "1") => continue,
                ("tls-type", other) => {
                    return Err(format!("tls-type={other} is not supported, only x509"));
                }
                ("tls-verify-peer", _) => {
                    return Err("the server's certificate is always verified; tls-hostname=NAME says what it is for".to_owned());
                }
                ("tls-psk-file", _) => {
                    return Err("keys that both sides know (PSK) are not supported".to_owned());
                }
                (other, _) => return Err(format!("{other:?} in the query is unknown")),
            };
            if slot.replace(value).is_some() {
                return Err(format!("{key} is there twice"));
            }
        }
        Ok(query)
    }
}

fn host_and_port(authority: &str) -> Result<Transport, String> {
    // A user is for PSK and sshd; everywhere else it means nothing.
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or("the bracket is not closed")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("{host:?} is not an IPv6 address"));
            }
            let port = match behind {
                "" => None,
                port => Some(port.strip_prefix(':').ok_or("a port comes behind a colon")?),
            };
            (host.to_owned(), port)
        }
        None => match place.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address needs brackets: nbd://[::1]/".to_owned());
            }
            Some((host, port)) => (decoded(host)?, Some(port)),
            None => (decoded(place)?, None),
        },
    };
    if host.is_empty() {
        return Err("the host is missing: nbd://localhost/".to_owned());
    }
    let port = match port {
        None | Some("") => DEFAULT_PORT,
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => port,
            _ => return Err(format!("{port:?} is not a port from 1 to 65535")),
        },
    };
    Ok(Transport::Tcp(host, port))
}

/// Replaces `%xx`.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2).ok_or("two digits have to follow a %")?;
        let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(value.ok_or("two hexadecimal digits have to follow a %")?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 behind its %".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Transport {
        Transport::Tcp(host.to_owned(), port)
    }

    #[test]
    fn hosts_and_exports() {
        for (text, transport, export) in [
            ("nbd://localhost", tcp("localhost", 10809), ""),
            ("nbd://localhost/", tcp("localhost", 10809), ""),
            ("NBD://localhost:/x", tcp("localhost", 10809), "x"),
            ("nbd://disk.example:99/a/b", tcp("disk.example", 99), "a/b"),
            ("nbd://user@h//disk", tcp("h", 10809), "/disk"),
            ("nbd://[::1]:5/%2Fa%20b%3f", tcp("::1", 5), "/a b?"),
            ("nbd://[2001:db8::1]/x", tcp("2001:db8::1", 10809), "x"),
            ("nbds://h/x?tls-type=x509&tls-verify-peer=1", tcp("h", 10809), "x"),
            ("nbd+alts://h:1/x", tcp("h", 1), "x"),
            ("nbd+unix:///?socket=/run/x", Transport::Unix("/run/x".into()), ""),
            ("nbd+unix:///d?socket=%00a%26b", Transport::Unix("\0a&b".into()), "d"),
            ("nbds+unix:///d?socket=s", Transport::Unix("s".into()), "d"),
            ("nbd+alts+unix:///d?socket=s", Transport::Unix("s".into()), "d"),
        ] {
            assert!(Uri::is_meant(text));
            let uri: Uri = text.parse().unwrap();
            assert_eq!((uri.transport.clone(), uri.export.as_str()), (transport, export), "{text}");
            assert_eq!(uri.to_string(), text);
        }
    }

    #[test]
    fn protection() {
        let security = |text: &str| text.parse::<Uri>().unwrap().security;
        assert_eq!(security("nbd://h"), Security::Plain);
        assert_eq!(security("nbds://h"), Security::Tls);
        assert_eq!(security("nbd+alts://h"), Security::Alts);
        assert!("nbd+alts://h/?yamux=1".parse::<Uri>().unwrap().yamux);
        assert!(!"nbd+alts://h/".parse::<Uri>().unwrap().yamux);
        let uri: Uri = "nbds://h/?tls-certificates=/a/b&tls-hostname=n".parse().unwrap();
        assert_eq!(uri.tls_certificates, Some("/a/b".into()));
        assert_eq!(uri.tls_hostname.as_deref(), Some("n"));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, named) in [
            ("disk.img", "not a URI"),
            ("http://h/", "scheme"),
            ("nbd+vsock://2/", "vsock"),
            ("nbd:///x", "host"),
            ("nbd://::1/x", "brackets"),
            ("nbd://[::1/x", "bracket"),
            ("nbd://[host]/x", "IPv6"),
            ("nbd://[::1]9/x", "colon"),
            ("nbd://h:0/", "port"),
            ("nbd://h:65536/", "port"),
            ("nbd://h:x/", "port"),
            ("nbd://h/%", "digits"),
            ("nbd://h/%+1", "digits"),
            ("nbd://h/%zz", "digits"),
            ("nbd://h/%ff", "UTF-8"),
            ("nbd://h/a%00b", "NUL"),
            ("nbd://h/a#b", "fragment"),
            ("nbd+unix:///x", "socket"),
            ("nbd+unix://h/x?socket=s", "three slashes"),
            ("nbd+unix:///x?socket=", "empty"),
            ("nbd+unix:///x?socket=a&socket=b", "twice"),
            ("nbd://h/?socket=s", "+unix"),
            ("nbd://h/?tls-hostname=n", "nbds"),
            ("nbd+alts://h/?tls-hostname=n", "nbds"),
            ("nbds://h/?tls-type=psk", "psk"),
            ("nbds://h/?tls-psk-file=x", "PSK"),
            ("nbds://h/?tls-verify-peer=0", "verified"),
            ("nbd://h/?color=red", "color"),
            ("nbd://h/?yamux=yes", "yamux=1"),
            ("nbd://h/?yamux=1&yamux=1", "twice"),
            ("nbds://h/?yamux=1", "TLS"),
        ] {
            let error = text.parse::<Uri>().expect_err(text).to_string();
            assert!(error.starts_with(text) && error[text.len()..].contains(named), "{error}");
        }
        assert!(!Uri::is_meant("nbd.img") && !Uri::is_meant("/a:b") && !Uri::is_meant("nbd:x"));
    }
}
