//! Header blocks, sent: entries of the static table and raw literals.
//!
//! Nothing is ever put into the peer's table, so a connection holds nothing for it. The price is about a hundred bytes on the
//! wire for a request and thirty for a response. Literals are not Huffman-coded: that would save a quarter of their bytes, and
//! takes a peer several times as long to decode.

use super::{integer, static_table};

/// A literal that is not to be indexed (RFC 7541, section 6.2.2).
const NOT_INDEXED: u8 = 0x00;
/// One that nobody on its way may index either (section 6.2.3).
const NEVER_INDEXED: u8 = 0x10;

/// Appends a field. Those that hold secrets as a rule (`authorization`, `cookie` and their like) are marked as never to be
/// indexed.
///
/// `name` must be in lower case; neither it nor the value is checked.
#[inline]
pub fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let Some(index) = static_table::index_of(name) else {
        return literal(out, NOT_INDEXED, None, name, value);
    };
    if let Some(pair) = static_table::index_of_pair(index, value) {
        return integer::put(out, 0x80, 7, pair);
    }
    let pattern = match name {
        b"authorization" | b"cookie" | b"proxy-authorization" | b"set-cookie" => NEVER_INDEXED,
        _ => NOT_INDEXED,
    };
    literal(out, pattern, Some(index), name, value);
}

/// Appends a field that holds a secret: neither the peer nor a proxy on the way may put it into a table (RFC 7541, section
/// 7.1.3).
pub fn sensitive(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    literal(out, NEVER_INDEXED, static_table::index_of(name), name, value);
}

/// Appends `:status`.
#[inline]
pub fn status(out: &mut Vec<u8>, status: u16) {
    let digits = [status / 100 % 10, status / 10 % 10, status % 10].map(|digit| b'0' + digit as u8);
    field(out, b":status", &digits);
}

/// Appends a dynamic table size update (RFC 7541, section 6.3). It belongs at the start of the first block after the peer's
/// `SETTINGS_HEADER_TABLE_SIZE` was acknowledged, if that lowered the size. This encoder uses no table, so 0 is always right.
pub fn size_update(out: &mut Vec<u8>, size: u32) {
    integer::put(out, 0x20, 5, size as usize);
}

#[inline]
fn literal(out: &mut Vec<u8>, pattern: u8, index: Option<usize>, name: &[u8], value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    match index {
        Some(index) => integer::put(out, pattern, 4, index),
        None => {
            out.push(pattern);
            string(out, name);
        }
    }
    string(out, value);
}

#[inline]
fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer::put(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn what_the_static_table_has_takes_an_octet() {
        assert_eq!(encoded(|out| field(out, b":method", b"POST")), [0x83]);
        assert_eq!(encoded(|out| field(out, b":scheme", b"http")), [0x86]);
        assert_eq!(encoded(|out| status(out, 200)), [0x88]);
        assert_eq!(encoded(|out| status(out, 415)), b"\x08\x03415");
        assert_eq!(encoded(|out| field(out, b":path", b"/a")), b"\x04\x02/a");
    }

    #[test]
    fn literals_are_raw_and_leave_no_trace() {
        assert_eq!(encoded(|out| field(out, b"te", b"trailers")), b"\x00\x02te\x08trailers");
        assert_eq!(encoded(|out| field(out, b"user-agent", b"x")), b"\x0F\x2B\x01x");
        assert_eq!(encoded(|out| field(out, b"authorization", b"x")), b"\x1F\x08\x01x");
        assert_eq!(encoded(|out| sensitive(out, b"token-bin", b"x")), b"\x10\x09token-bin\x01x");
        assert_eq!(encoded(|out| sensitive(out, b":path", b"/")), b"\x14\x01/");
        assert_eq!(encoded(|out| size_update(out, 0)), [0x20]);
        assert_eq!(encoded(|out| size_update(out, 4_096)), [0x3F, 0xE1, 0x1F]);
    }
}
