//! Distinguished names, as text for logs.

use std::fmt::Write;

use super::der::{Reader, tag};

/// The longest text, in characters: a name may be made up by anybody.
const MAX_CHARACTERS: usize = 200;

/// Attributes by the last byte of `2.5.4.x` (RFC 4514, section 3), the usual ones.
fn attribute(oid: &[u8]) -> Option<&'static str> {
    match *oid {
        [0x55, 0x04, 3] => Some("CN"),
        [0x55, 0x04, 5] => Some("serialNumber"),
        [0x55, 0x04, 6] => Some("C"),
        [0x55, 0x04, 7] => Some("L"),
        [0x55, 0x04, 8] => Some("ST"),
        [0x55, 0x04, 10] => Some("O"),
        [0x55, 0x04, 11] => Some("OU"),
        _ => None,
    }
}

/// Shows the contents of a Name as `"C=US, O=Example, CN=root"`, in the name's order, escaped and at most 200 characters long.
pub(super) fn shown_name(contents: &[u8]) -> String {
    let mut text = String::new();
    if write_name(contents, &mut text).is_none() {
        text.push_str("...");
    }
    let mut characters = text.escape_debug();
    let mut shown: String = characters.by_ref().take(MAX_CHARACTERS).collect();
    if characters.next().is_some() {
        shown.push_str("...");
    }
    format!("\"{shown}\"")
}

/// `None` where the encoding is broken.
fn write_name(contents: &[u8], text: &mut String) -> Option<()> {
    let mut name = Reader::new(contents);
    while !name.is_empty() {
        let mut set = Reader::new(name.expect(tag::SET)?);
        while !set.is_empty() {
            let mut pair = set.sequence()?;
            let kind = pair.expect(tag::OID)?;
            let value = String::from_utf8_lossy(pair.element()?.contents);
            let separator = if text.is_empty() { "" } else { ", " };
            match attribute(kind) {
                Some(kind) => write!(text, "{separator}{kind}={value}").ok()?,
                None => write!(text, "{separator}{kind:02x?}={value}").ok()?,
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute_of(kind: u8, value: &str) -> Vec<u8> {
        let mut pair = vec![tag::OID, 3, 0x55, 0x04, kind, 0x0C, value.len() as u8];
        pair.extend(value.bytes());
        let sequence = [&[tag::SEQUENCE, pair.len() as u8], &pair[..]].concat();
        [&[tag::SET, sequence.len() as u8], &sequence[..]].concat()
    }

    #[test]
    fn names_are_shown_and_escaped() {
        let name = [attribute_of(6, "US"), attribute_of(3, "root")].concat();
        assert_eq!(shown_name(&name), "\"C=US, CN=root\"");
        assert_eq!(shown_name(&[]), "\"\"");
        assert_eq!(shown_name(&attribute_of(3, "a\n\"b")), r#""CN=a\n\"b""#);
        assert_eq!(shown_name(&name[..name.len() - 1]), "\"C=US...\"");
        assert_eq!(shown_name(&attribute_of(99, "x")), "\"[55, 04, 63]=x\"");
        let long = [
            attribute_of(3, &"x".repeat(90)),
            attribute_of(3, &"x".repeat(90)),
            attribute_of(3, &"x".repeat(90)),
        ]
        .concat();
        assert_eq!(shown_name(&long).len(), 200 + 5);
    }
}
