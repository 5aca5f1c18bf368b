//! The PROXY protocol: tells a backend whose connection it gets. Versions 1 and 2 of `proxy-protocol.txt`, which comes
//! with `HAProxy`.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;

/// Which header a backend is sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary, with the peer's identity in a field of type 0xE0.
    V2,
}

/// A type from the range for private use, 0xE0 to 0xEF. Its value is the peer's SPIFFE ID in UTF-8.
const TYPE_PEER_IDENTITY: u8 = 0xE0;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const VERSION_PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_IPV4: u8 = 0x11;
const TCP_IPV6: u8 = 0x21;

/// The header about a connection from `source` to `destination`; neither is known for a Unix socket.
pub(crate) fn header(
    version: ProxyProtocol,
    addresses: Option<(SocketAddr, SocketAddr)>,
    identity: Option<&str>,
) -> Vec<u8> {
    let addresses = addresses.map(|(source, destination)| same_family(source, destination));
    match version {
        ProxyProtocol::V1 => text(addresses),
        ProxyProtocol::V2 => binary(addresses, identity),
    }
}

/// Both as IPv4 where they are, both as IPv6 otherwise: the header has one family.
fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let canonical =
        |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let (source, destination) = (canonical(source), canonical(destination));
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (mapped(source), mapped(destination))
}

fn text(addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let mut line = String::from("PROXY ");
    match addresses {
        None => line.push_str("UNKNOWN"),
        Some((from, to)) => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            let (source, destination) = (from.ip(), to.ip());
            let _ = write!(line, "{family} {source} {destination} {} {}", from.port(), to.port());
        }
    }
    line.push_str("\r\n");
    line.into_bytes()
}

fn binary(addresses: Option<(SocketAddr, SocketAddr)>, identity: Option<&str>) -> Vec<u8> {
    let mut rest = Vec::new();
    let family = match addresses {
        None => UNSPECIFIED,
        Some((from, to)) => {
            for address in [from, to] {
                match address.ip() {
                    IpAddr::V4(ip) => rest.extend(ip.octets()),
                    IpAddr::V6(ip) => rest.extend(ip.octets()),
                }
            }
            rest.extend(from.port().to_be_bytes());
            rest.extend(to.port().to_be_bytes());
            if from.is_ipv4() { TCP_IPV4 } else { TCP_IPV6 }
        }
    };
    // A SPIFFE ID has at most 2,048 bytes, so that both lengths fit.
    if let Some((identity, length)) =
        identity.and_then(|identity| Some((identity, u16::try_from(identity.len()).ok()?)))
    {
        rest.push(TYPE_PEER_IDENTITY);
        rest.extend(length.to_be_bytes());
        rest.extend(identity.as_bytes());
    }
    let mut header = SIGNATURE.to_vec();
    header.extend([VERSION_PROXY, family]);
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend(rest);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(from: &str, to: &str) -> (SocketAddr, SocketAddr) {
        (from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn version_1() {
        let line =
            |addresses| String::from_utf8(header(ProxyProtocol::V1, addresses, None)).unwrap();
        assert_eq!(
            line(Some(addresses("192.0.2.1:1234", "198.51.100.1:443"))),
            "PROXY TCP4 192.0.2.1 198.51.100.1 1234 443\r\n"
        );
        assert_eq!(
            line(Some(addresses("[2001:db8::1]:1", "[::1]:2"))),
            "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"
        );
        assert_eq!(
            line(Some(addresses("[::ffff:192.0.2.1]:1", "198.51.100.1:2"))),
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\n"
        );
        assert_eq!(line(None), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2() {
        let bytes = header(
            ProxyProtocol::V2,
            Some(addresses("192.0.2.1:258", "198.51.100.1:443")),
            Some("spiffe://a/b"),
        );
        let expected = [
            b"\r\n\r\n\0\r\nQUIT\n".as_slice(),
            &[0x21, 0x11, 0, 27, 192, 0, 2, 1, 198, 51, 100, 1, 1, 2, 1, 187, 0xE0, 0, 12],
            b"spiffe://a/b",
        ];
        assert_eq!(bytes, expected.concat());
        let v6 = header(ProxyProtocol::V2, Some(addresses("[::1]:1", "[::2]:2")), None);
        assert_eq!(v6[12..16], [0x21, 0x21, 0, 36]);
        assert_eq!(v6.len(), 16 + 36);
        let unix = header(ProxyProtocol::V2, None, None);
        assert_eq!(unix[12..], [0x21, 0, 0, 0]);
    }
}
