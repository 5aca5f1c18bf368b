//! Header fields to and from `http`'s types, with the checks of RFC 9113, section 8: a message that breaks them is malformed and
//! never reaches a handler.

mod fields;
mod write;

use http::header::{self, HeaderMap};
use http::{request, response};

use super::frame::{ErrorCode, Violation};

pub(crate) use fields::Fields;
pub(crate) use write::{
    PSEUDO, Sink, list_size, pseudo_size, write_fields, write_request, write_response,
};

/// What a header block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Request,
    Response,
    Trailers,
}

/// A message's head, as it was received.
#[derive(Debug)]
pub(crate) enum Head {
    Request(Box<request::Parts>),
    Response(Box<response::Parts>),
    Trailers(Box<HeaderMap>),
}

/// Fields that HTTP/2 has other means for (RFC 9113, section 8.2.2).
fn is_of_connection(name: &[u8]) -> bool {
    matches!(
        name,
        b"connection" | b"transfer-encoding" | b"upgrade" | b"keep-alive" | b"proxy-connection"
    )
}

/// The length that a message announces. Fails if it announces several, or none that is a number.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Violation> {
    if !headers.contains_key(header::CONTENT_LENGTH) {
        return Ok(None);
    }
    let mut found = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let text = value.as_bytes();
        let number = (!text.is_empty() && text.iter().all(u8::is_ascii_digit))
            .then(|| value.to_str().ok()?.parse::<u64>().ok())
            .flatten();
        if number.is_none() || (found.is_some() && found != number) {
            return Err(Violation::stream(
                ErrorCode::PROTOCOL_ERROR,
                "content-length is not one number",
            ));
        }
        found = number;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lengths() {
        let length = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_LENGTH, HeaderValue::from_static(value));
            }
            content_length(&headers)
        };
        assert_eq!(length(&[]), Ok(None));
        assert_eq!(length(&["17", "17"]), Ok(Some(17)));
        for bad in [&["1", "2"][..], &["-1"], &["+1"], &[""], &["1, 1"], &["99999999999999999999"]]
        {
            assert!(length(bad).is_err(), "{bad:?}");
        }
    }
}
