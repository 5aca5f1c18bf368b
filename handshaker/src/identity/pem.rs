//! PEM (RFC 7468), read as other tools read it.
//!
//! A section may begin anywhere, also right behind the last one, and its base64 may be broken into lines in any way. Nothing that
//! could be a certificate or a key is passed over in silence: it is loaded, or the text is refused, or the section is reported as
//! not used.
//!
//! Everything that is decoded here is wiped when it is dropped, because it may be a private key. For the same reason decoding
//! takes no branch and no table index that depends on the decoded bytes, and no error quotes the text.

use zeroize::Zeroizing;

use super::der::{Reader, tag};
use super::error::IdentityError;

/// The longest label, in bytes; the longest in use has 21.
const MAX_LABEL: usize = 64;

/// What a section holds, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Certificate,
    RevocationList,
    PrivateKey,
    /// A private key that needs a password, in the form of PKCS#8 or in the traditional one.
    EncryptedPrivateKey,
    Other,
}

/// One section.
pub(super) struct Section<'a> {
    pub(super) kind: Kind,
    pub(super) label: &'a str,
    /// Empty unless the kind is one that is used here.
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// All sections of `text`. Text around them is ignored, as RFC 7468 has it.
pub(super) fn sections(text: &[u8]) -> Result<Vec<Section<'_>>, IdentityError> {
    const BEGIN: &[u8] = b"-----BEGIN ";
    const END: &[u8] = b"-----END ";
    const DASHES: &[u8] = b"-----";

    let mut sections = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = split_at(rest, BEGIN) {
        let first_line = &after[..after.len().min(MAX_LABEL + DASHES.len())];
        let label = split_at(first_line, DASHES)
            .and_then(|(label, _)| std::str::from_utf8(label).ok())
            .filter(|label| label.bytes().all(|byte| matches!(byte, b' '..=b'~')))
            .ok_or(IdentityError::Pem("the first line of a section is malformed"))?;
        let after = &after[label.len() + DASHES.len()..];
        let (body, after) =
            split_at(after, END).ok_or(IdentityError::Pem("a section does not end"))?;
        if split_at(body, BEGIN).is_some() {
            return Err(IdentityError::Pem("a section does not end before the next begins"));
        }
        rest = after
            .strip_prefix(label.as_bytes())
            .and_then(|after| after.strip_prefix(DASHES))
            .ok_or(IdentityError::Pem("a section ends under another label than it begins"))?;
        sections.push(section(label, body)?);
    }
    Ok(sections)
}

fn section<'a>(label: &'a str, body: &[u8]) -> Result<Section<'a>, IdentityError> {
    let (headers, base64) = split_headers(body);
    let kind = match label {
        // The second is what SSLeay wrote, the third what `openssl x509 -trustout` writes.
        "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE" => Kind::Certificate,
        "X509 CRL" => Kind::RevocationList,
        "ENCRYPTED PRIVATE KEY" => Kind::EncryptedPrivateKey,
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
            // RFC 1421: "Proc-Type: 4,ENCRYPTED".
            if headers.windows(9).any(|part| part == b"ENCRYPTED") {
                Kind::EncryptedPrivateKey
            } else {
                Kind::PrivateKey
            }
        }
        _ => Kind::Other,
    };
    let mut der = match kind {
        Kind::Certificate | Kind::RevocationList | Kind::PrivateKey => decode(base64)?,
        Kind::EncryptedPrivateKey | Kind::Other => Zeroizing::default(),
    };
    if label == "TRUSTED CERTIFICATE" {
        let length = certificate_of_trusted(&der)?;
        der.truncate(length);
    }
    Ok(Section { kind, label, der })
}

/// The length of the certificate at the front of an OpenSSL `TRUSTED CERTIFICATE`. Behind it stand, optionally, what OpenSSL shall
/// trust and not trust it for, which nobody would look at here, and a name for it.
fn certificate_of_trusted(der: &[u8]) -> Result<usize, IdentityError> {
    const SETTINGS: IdentityError = IdentityError::Pem(
        "a TRUSTED CERTIFICATE has OpenSSL's trust settings, which are not supported; write it as a CERTIFICATE with \
         `openssl x509`",
    );
    let mut reader = Reader::new(der);
    let Some(certificate) = reader.element() else {
        // Reading the certificate will say what is wrong.
        return Ok(der.len());
    };
    if !reader.is_empty() {
        let settings = reader.sequence().ok_or(SETTINGS)?;
        let restricts =
            settings.next_is(tag::SEQUENCE) || settings.next_is(tag::context_constructed(0));
        if restricts || reader.end().is_none() {
            return Err(SETTINGS);
        }
    }
    Ok(certificate.whole.len())
}

/// Divides `text` at the first `mark`, which begins with a dash.
fn split_at<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut from = 0;
    loop {
        let at = from + text[from..].iter().position(|&byte| byte == b'-')?;
        if let Some(after) = text[at..].strip_prefix(mark) {
            return Some((&text[..at], after));
        }
        from = at + 1;
    }
}

/// RFC 1421 puts headers, each with a colon, before an empty line. Base64 has no colon.
fn split_headers(body: &[u8]) -> (&[u8], &[u8]) {
    let Some(last_colon) = body.iter().rposition(|&byte| byte == b':') else {
        return (&[], body);
    };
    let end = body[last_colon..].iter().position(|&byte| byte == b'\n');
    body.split_at(end.map_or(body.len(), |end| last_colon + end))
}

/// Decodes base64 (RFC 4648, section 4), white space ignored, into memory that does not move.
fn decode(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    const FAULT: IdentityError = IdentityError::Pem("a section is not base64");
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3 + 3));
    let (mut word, mut characters, mut padding) = (0_u32, 0, 0);
    for &byte in text {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => {}
        }
        let value = sextet(byte);
        if value < 0 || padding > 0 {
            return Err(FAULT);
        }
        word = (word << 6) | value.cast_unsigned();
        characters += 1;
        if characters == 4 {
            bytes.extend_from_slice(&word.to_be_bytes()[1..]);
            (word, characters) = (0, 0);
        }
    }
    match (characters, padding) {
        (0, 0) => {}
        // Bits that are left over are zero.
        (2, 2) if word.trailing_zeros() >= 4 => bytes.push((word >> 4) as u8),
        (3, 1) if word.trailing_zeros() >= 2 => {
            bytes.extend_from_slice(&((word >> 2) as u16).to_be_bytes());
        }
        _ => return Err(FAULT),
    }
    Ok(bytes)
}

/// The value of one character, or -1. It takes the same time for all.
fn sextet(character: u8) -> i32 {
    let character = i32::from(character);
    // All ones if the character is in the range: then both differences are negative.
    let within = |first: u8, last: u8| {
        ((i32::from(first) - 1 - character) & (character - i32::from(last) - 1)) >> 8
    };
    // Each term is the value plus one, or zero.
    let upper = within(b'A', b'Z') & (character - i32::from(b'A') + 1);
    let lower = within(b'a', b'z') & (character - i32::from(b'a') + 27);
    let digit = within(b'0', b'9') & (character - i32::from(b'0') + 53);
    let plus = within(b'+', b'+') & 63;
    let slash = within(b'/', b'/') & 64;
    (upper | lower | digit | plus | slash) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Result<Vec<(Kind, Vec<u8>)>, IdentityError> {
        let sections = sections(text.as_bytes())?;
        Ok(sections.into_iter().map(|section| (section.kind, section.der.to_vec())).collect())
    }

    #[test]
    fn every_character_has_its_value() {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for byte in 0..=u8::MAX {
            let expected = alphabet.iter().position(|&other| other == byte);
            assert_eq!(
                sextet(byte),
                expected.map_or(-1, |value| i32::try_from(value).unwrap()),
                "{byte:#x}"
            );
        }
    }

    #[test]
    fn base64_is_read_strictly_but_for_white_space() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("Zg==", b"f"),
            ("Zm8=", b"fo"),
            ("Zm9v", b"foo"),
            ("Zm 9v\r\n\tYmFy", b"foobar"),
            ("Z\nm9vY\nmE=\n", b"fooba"),
            ("//79", &[0xff, 0xfe, 0xfd]),
        ] {
            assert_eq!(**decode(text.as_bytes()).unwrap(), *bytes, "{text}");
        }
        for text in [
            "Z", "Zg", "Zg=", "Zg===", "Zm8", "Zm8==", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v=", "====",
            "Zm-v", "Zm\09",
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sections_need_no_line_of_their_own() {
        let one = "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----";
        let foo = (Kind::Certificate, b"foo".to_vec());
        for text in [
            format!("{one}\n{one}\n"),
            format!("{one}{one}"),
            format!("{one} {one}"),
            format!("\u{feff}# a comment with - and ----- in it\n{one}\r\ntext\r\n{one}"),
            format!("{one}\n{one}").replace('\n', "\r\n"),
            format!("{one}\n{one}").replace('\n', "\r"),
            format!("{one}{one}").replace('\n', ""),
        ] {
            assert_eq!(labels(&text).unwrap(), [foo.clone(), foo.clone()], "{text}");
        }
    }

    #[test]
    fn labels_say_what_a_section_is() {
        for (label, kind) in [
            ("CERTIFICATE", Kind::Certificate),
            ("X509 CERTIFICATE", Kind::Certificate),
            ("TRUSTED CERTIFICATE", Kind::Certificate),
            ("X509 CRL", Kind::RevocationList),
            ("PRIVATE KEY", Kind::PrivateKey),
            ("RSA PRIVATE KEY", Kind::PrivateKey),
            ("EC PRIVATE KEY", Kind::PrivateKey),
            ("ENCRYPTED PRIVATE KEY", Kind::EncryptedPrivateKey),
            ("EC PARAMETERS", Kind::Other),
            ("certificate", Kind::Other),
            ("", Kind::Other),
        ] {
            let text = format!("-----BEGIN {label}-----\nZm9v\n-----END {label}-----\n");
            let found = sections(text.as_bytes()).unwrap();
            assert_eq!((found[0].kind, found[0].label), (kind, label));
        }
        let traditional = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nZm9v\n\
                           -----END RSA PRIVATE KEY-----\n";
        assert_eq!(labels(traditional).unwrap(), [(Kind::EncryptedPrivateKey, vec![])]);
        let headed = "-----BEGIN CERTIFICATE-----\nX-Name: foo\n\nZm9v\n-----END CERTIFICATE-----";
        assert_eq!(labels(headed).unwrap(), [(Kind::Certificate, b"foo".to_vec())]);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        for text in [
            "-----BEGIN CERTIFICATE-----\nZm9v\n",
            "-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE----",
            "-----BEGIN CERTIFICATE-----\nZm9v\n-----END X509 CRL-----",
            "-----BEGIN CERTIFICATE-----\nZm9v\n-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE\nZm9v\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n<html>\n-----END CERTIFICATE-----",
            "-----BEGIN ",
        ] {
            assert!(matches!(labels(text), Err(IdentityError::Pem(_))), "{text}");
        }
        assert_eq!(labels("").unwrap(), []);
        assert_eq!(labels("<html>503</html>").unwrap(), []);
    }

    #[test]
    fn a_trusted_certificate_may_have_a_name_and_no_settings() {
        // A sequence in place of the certificate, then what OpenSSL adds.
        let cut = |added: &[u8]| certificate_of_trusted(&[&[0x30, 1, 7], added].concat());
        assert_eq!(cut(&[]), Ok(3));
        assert_eq!(cut(&[0x30, 0]), Ok(3));
        assert_eq!(cut(&[0x30, 3, 0x0c, 1, b'a']), Ok(3));
        for settings in [&[0x30, 2, 0x30, 0][..], &[0x30, 2, 0xa0, 0], &[0x30, 0, 0], &[1]] {
            assert!(cut(settings).is_err(), "{settings:02x?}");
        }
    }
}
