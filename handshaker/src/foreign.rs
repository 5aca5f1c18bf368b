//! Peers that speak something else, named by their first bytes.

use std::fmt;

/// A protocol that a peer may speak by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignProtocol {
    /// HTTP/2 with prior knowledge: plaintext gRPC.
    Http2,
    /// A TLS `ClientHello` or alert.
    Tls,
    /// A request or an answer of HTTP/1.
    Http1,
    /// An SSH client or server.
    Ssh,
    /// The header of the PROXY protocol, version 1 or 2, which a load balancer puts in front.
    Proxy,
    /// Another protocol of lines of ASCII: SMTP, FTP, Redis.
    Text,
}

impl ForeignProtocol {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::Http2, "http2"),
        (Self::Tls, "tls"),
        (Self::Http1, "http1"),
        (Self::Ssh, "ssh"),
        (Self::Proxy, "proxy"),
        (Self::Text, "text"),
    ];

    /// Recognizes what clients and servers of other protocols send first. `None`: it is none of these, or it takes more bytes
    /// to say.
    ///
    /// No frame of a handshake begins like any of these: its length is less than 64 KiB, so its third and fourth byte are 0.
    /// Therefore 4 bytes are enough for most; a TLS alert has only 7.
    pub fn recognize(first: &[u8]) -> Option<Self> {
        const HTTP1: [&[u8]; 10] = [
            b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC",
            b"HTTP",
        ];
        let text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\r' | b'\n' | b'\t');
        match *first {
            // A client's preface. Or a server's SETTINGS: at most 255 bytes of length, type 4, no flags, stream 0.
            [b'P', b'R', b'I', b' ', ..] | [0, 0, _, 4, 0, 0, 0, 0, ..] => Some(Self::Http2),
            // Handshake or alert records of TLS versions after SSL 3.0: read as a frame's length, they are over 64 KiB. A record
            // labeled SSL 3.0 could have a frame's length (0x315 or 0x316), but not its type: the second byte of the type
            // word is the kind of TLS message, and it is 0 in all types of `altsh1`.
            [0x15 | 0x16, 3, 1..=4, ..] | [0x15 | 0x16, 3, 0, _, _, 1 | 2, ..] => Some(Self::Tls),
            [b'S', b'S', b'H', b'-', ..] => Some(Self::Ssh),
            // Version 1, and the signature of version 2, which no text begins with.
            [b'P', b'R', b'O', b'X', ..] | [b'\r', b'\n', b'\r', b'\n', 0, ..] => Some(Self::Proxy),
            [b'\r', b'\n', b'\r', b'\n'] => None,
            [..] => {
                let first = first.first_chunk::<4>()?;
                if HTTP1.contains(&first.as_slice()) {
                    return Some(Self::Http1);
                }
                first.iter().all(text).then_some(Self::Text)
            }
        }
    }

    /// A short name, for logs and `alts-fault` (`PROTOCOL.md`).
    pub fn name(self) -> &'static str {
        let name = Self::NAMES.iter().find(|(protocol, _)| *protocol == self);
        name.map_or("", |(_, name)| *name)
    }

    /// The protocol of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(_, known)| *known == name).map(|(protocol, _)| protocol)
    }
}

/// What it is, and what to look at.
impl fmt::Display for ForeignProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http2 => "HTTP/2 without ALTS (plaintext gRPC)",
            Self::Tls => "TLS",
            Self::Http1 => "HTTP/1",
            Self::Ssh => "SSH",
            Self::Proxy => {
                "the PROXY protocol (a load balancer sends its header, which has to be switched off or read before the handshake)"
            }
            Self::Text => "a text protocol",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ForeignProtocol::{self, Http1, Http2, Proxy, Ssh, Text, Tls};

    #[test]
    fn by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], Some(Http2)),
            (&[0, 0, 0x12, 4, 0, 0, 0, 0, 0], Some(Http2)),
            (&[0x16, 3, 1, 2, 0, 1, 0, 1], Some(Tls)),
            (&[0x16, 3, 0, 0, 0x85, 1, 0, 0], Some(Tls)),
            (&[0x15, 3, 3, 0, 2, 2, 40], Some(Tls)),
            (b"GET / HTTP/1.1\r\n", Some(Http1)),
            (b"OPTIONS * HTTP/1.1\r\n", Some(Http1)),
            (b"HTTP/1.1 400 Bad Request\r\n", Some(Http1)),
            (b"SSH-2.0-OpenSSH_9.9\r\n", Some(Ssh)),
            (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Some(Proxy)),
            (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", Some(Proxy)),
            (b"220 mail.example.org ESMTP\r\n", Some(Text)),
            (b"-ERR unknown command\r\n", Some(Text)),
            (b"\r\n\r\nGET", Some(Text)),
            // Frames of ours, as short and as long as may be.
            (&[4, 0, 0, 0, 0x41, 0, 0, 0], None),
            (&[0xfc, 0x7f, 0, 0, 0x42, 0, 0, 0], None),
            (&[0x16, 3, 0, 0, 0x42, 0, 0, 0], None),
            (&[b'G', b'E', 0, 0, 0x41, 0, 0, 0], None),
            (&[0xff; 100], None),
            (&[0; 100], None),
        ] {
            assert_eq!(ForeignProtocol::recognize(bytes), expected, "{bytes:x?}");
            // Each beginning of it says the same, or nothing yet.
            for len in 0..bytes.len() {
                let early = ForeignProtocol::recognize(&bytes[..len]);
                assert!(early.is_none() || early == expected, "{len} of {bytes:x?}: {early:?}");
            }
            let four = ForeignProtocol::recognize(&bytes[..bytes.len().min(4)]);
            assert!(four.is_some() || !expected.is_some_and(|found| [Http1, Ssh].contains(&found)));
        }
    }

    #[test]
    fn names() {
        for (protocol, name) in ForeignProtocol::NAMES {
            assert_eq!(protocol.name(), name);
            assert_eq!(ForeignProtocol::from_name(name), Some(protocol));
        }
        assert_eq!(ForeignProtocol::from_name("gopher"), None);
    }
}
