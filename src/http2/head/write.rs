//! Heads, sent.

use http::header::HeaderMap;
use http::uri::PathAndQuery;
use http::{StatusCode, request};

use super::is_of_connection;
use crate::http2::hpack::encode;

/// Where the fields of a header block go.
pub(crate) trait Sink {
    /// Takes one field, which `encode` appends.
    fn put(&mut self, encode: impl FnOnce(&mut Vec<u8>));
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        encode(self);
    }
}

/// Appends the fields of a request.
pub(crate) fn write_request(parts: &request::Parts, out: &mut impl Sink) {
    let scheme = parts.uri.scheme_str().unwrap_or("http");
    let path = path(parts);
    out.put(|out| {
        encode::field(out, b":method", parts.method.as_str().as_bytes());
        encode::field(out, b":scheme", scheme.as_bytes());
    });
    if let Some(authority) = parts.uri.authority() {
        out.put(|out| encode::field(out, b":authority", authority.as_str().as_bytes()));
    }
    out.put(|out| encode::field(out, b":path", path.as_bytes()));
    write_fields(&parts.headers, out);
}

fn path(parts: &request::Parts) -> &str {
    parts.uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

/// Appends the fields of a response.
pub(crate) fn write_response(status: StatusCode, headers: &HeaderMap, out: &mut impl Sink) {
    out.put(|out| encode::status(out, status.as_u16()));
    write_fields(headers, out);
}

/// Appends regular fields, without those that HTTP/2 does not allow.
pub(crate) fn write_fields(headers: &HeaderMap, out: &mut impl Sink) {
    for (name, value) in headers {
        let (name, text) = (name.as_str().as_bytes(), value.as_bytes());
        if is_of_connection(name) {
            continue;
        }
        out.put(|out| match value.is_sensitive() {
            true => encode::sensitive(out, name, text),
            false => encode::field(out, name, text),
        });
    }
}

/// What the pseudo-header fields of a message take at most in its header block, in bytes, beside the path and the authority.
pub(crate) const PSEUDO: usize = 128;

/// What the pseudo-header fields of a request take at most in its header block, in bytes.
pub(crate) fn pseudo_size(parts: &request::Parts) -> usize {
    let authority = parts.uri.authority().map_or(0, |authority| authority.as_str().len());
    PSEUDO + parts.method.as_str().len() + authority + path(parts).len()
}

/// The size of a header list as a peer counts it: names, values, and 32 bytes a field (RFC 9113, section 6.5.2), which is more than they take
/// in a header block. Pseudo-header fields are not among them.
pub(crate) fn list_size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}
