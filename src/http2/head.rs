//! Header fields to and from `http`'s types, with the checks of RFC 9113, section 8: a message that breaks them is malformed and
//! never reaches a handler.

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, StatusCode, request, response};

use super::frame::{ErrorCode, Violation};
use super::hpack::encode;

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

/// What a field takes in memory beside its value, in bytes: an entry of `http::HeaderMap`, which has room for up to twice as many as it holds, and a
/// name of its own.
const FIELD_MEMORY: usize = 256;
/// What a head takes beside its fields, in bytes.
const HEAD_MEMORY: usize = size_of::<request::Parts>();

/// Room for the values of a call's fields, in bytes: a client's second block may have little more than the numbers of entries of the table.
const TEXT: usize = 192;

/// Gathers the fields of one header block.
///
/// The values of all of them share one allocation.
#[derive(Debug)]
pub(crate) struct Fields {
    block: Block,
    text: BytesMut,
    method: Option<Method>,
    status: Option<StatusCode>,
    scheme: Option<Scheme>,
    /// Where in `text` they are.
    path: Option<Place>,
    authority: Option<Place>,
    host: Option<Place>,
    regular: Vec<(HeaderName, Place)>,
    malformed: Option<&'static str>,
}

/// A part of the gathered text.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
}

impl Fields {
    /// For a block of `len` compressed bytes.
    pub(crate) fn new(block: Block, len: usize) -> Self {
        Self {
            block,
            text: BytesMut::with_capacity(len.max(TEXT)),
            method: None,
            status: None,
            scheme: None,
            path: None,
            authority: None,
            host: None,
            regular: Vec::with_capacity(8),
            malformed: None,
        }
    }

    /// Takes the next field. What is wrong with it is reported at the end, since the whole block has to be decoded.
    #[inline]
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8]) {
        if self.malformed.is_none()
            && let Err(what) = self.checked(name, value)
        {
            self.malformed = Some(what);
        }
    }

    fn checked(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if name.first() == Some(&b':') {
            return self.pseudo(name, value);
        }
        let name = HeaderName::from_lowercase(name)
            .map_err(|_| "the name of a field is empty, in upper case, or not a token")?;
        if is_of_connection(&name) {
            return Err("a field belongs to HTTP/1 connections");
        }
        if name == header::TE && value != b"trailers" {
            return Err("the field te says something other than trailers");
        }
        if is_blank(value.first()) || is_blank(value.last()) {
            return Err("a value begins or ends with white space");
        }
        let place = self.keep(value);
        if name == header::HOST {
            self.host = Some(place);
        }
        self.regular.push((name, place));
        Ok(())
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !self.regular.is_empty() {
            return Err("a pseudo-header field follows a regular one");
        }
        let twice = match (self.block, name) {
            (Block::Request, b":method") => {
                let method = Method::from_bytes(value).map_err(|_| ":method is not a token")?;
                self.method.replace(method).is_some()
            }
            (Block::Request, b":scheme") => {
                let scheme = match value {
                    b"http" => Scheme::HTTP,
                    b"https" => Scheme::HTTPS,
                    other => Scheme::try_from(other).map_err(|_| ":scheme is not a scheme")?,
                };
                self.scheme.replace(scheme).is_some()
            }
            (Block::Request, b":path") => {
                let place = self.keep(value);
                self.path.replace(place).is_some()
            }
            (Block::Request, b":authority") => {
                let place = self.keep(value);
                self.authority.replace(place).is_some()
            }
            (Block::Response, b":status") => {
                let status = (value.len() == 3).then(|| StatusCode::from_bytes(value).ok());
                let status = status.flatten().ok_or(":status is not a status")?;
                self.status.replace(status).is_some()
            }
            _ => return Err("a pseudo-header field is unknown or does not belong here"),
        };
        if twice { Err("a pseudo-header field comes twice") } else { Ok(()) }
    }

    /// What the head will take in memory, at most, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.text.capacity() + self.regular.len() * FIELD_MEMORY + HEAD_MEMORY
    }

    #[inline]
    fn keep(&mut self, value: &[u8]) -> Place {
        let start = self.text.len();
        self.text.extend_from_slice(value);
        Place { start, end: self.text.len() }
    }

    /// The head, if it is well-formed.
    pub(crate) fn finish(mut self) -> Result<Head, Violation> {
        self.finished().map_err(|what| Violation::stream(ErrorCode::PROTOCOL_ERROR, what))
    }

    fn finished(&mut self) -> Result<Head, &'static str> {
        if let Some(what) = self.malformed {
            return Err(what);
        }
        let text = std::mem::take(&mut self.text).freeze();
        let mut headers = HeaderMap::with_capacity(self.regular.len());
        for (name, place) in self.regular.drain(..) {
            let value = HeaderValue::from_maybe_shared(text.slice(place.start..place.end))
                .map_err(|_| "a value has characters that must not be in one")?;
            headers.append(name, value);
        }
        match self.block {
            Block::Trailers => Ok(Head::Trailers(Box::new(headers))),
            Block::Response => {
                let status = self.status.take().ok_or("a response has no :status")?;
                let (mut parts, ()) = http::Response::new(()).into_parts();
                (parts.status, parts.headers) = (status, headers);
                parts.version = http::Version::HTTP_2;
                Ok(Head::Response(Box::new(parts)))
            }
            Block::Request => {
                let method = self.method.take().ok_or("a request has no :method")?;
                let uri = self.uri(&text, &method)?;
                let (mut parts, ()) = http::Request::new(()).into_parts();
                (parts.method, parts.uri, parts.headers) = (method, uri, headers);
                parts.version = http::Version::HTTP_2;
                Ok(Head::Request(Box::new(parts)))
            }
        }
    }

    fn uri(&mut self, text: &Bytes, method: &Method) -> Result<Uri, &'static str> {
        if method == Method::CONNECT {
            return Err("CONNECT is not supported");
        }
        let scheme = self.scheme.take().ok_or("a request has no :scheme")?;
        let path = self.path.take().ok_or("a request has no :path")?;
        let path = text.slice(path.start..path.end);
        if path.first() != Some(&b'/') && (&path[..] != b"*" || method != Method::OPTIONS) {
            return Err(":path does not begin with a slash");
        }
        let path = PathAndQuery::from_maybe_shared(path).map_err(|_| ":path is not a path")?;
        let mut parts = http::uri::Parts::default();
        parts.path_and_query = Some(path);
        if let Some(place) = self.authority.take().filter(|place| place.start < place.end) {
            let authority = Authority::from_maybe_shared(text.slice(place.start..place.end))
                .map_err(|_| ":authority is not an authority")?;
            // RFC 9113, section 8.3.1.
            let host = self.host.map(|host| &text[host.start..host.end]);
            if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_str().as_bytes())) {
                return Err("host and :authority differ");
            }
            if authority.as_str().contains('@') {
                return Err(":authority has user information");
            }
            (parts.scheme, parts.authority) = (Some(scheme), Some(authority));
        }
        Uri::from_parts(parts).map_err(|_| "the request's URI cannot be")
    }
}

fn is_blank(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b' ' | b'\t'))
}

/// Fields that HTTP/2 has other means for (RFC 9113, section 8.2.2).
fn is_of_connection(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || *name == "keep-alive"
        || *name == "proxy-connection"
}

/// The length that a message announces. Fails if it announces several, or none that is a number.
pub(crate) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Violation> {
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
        if is_of_connection(name) {
            continue;
        }
        let (name, text) = (name.as_str().as_bytes(), value.as_bytes());
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] =
        [(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), (":authority", "host:1")];

    fn head(block: Block, fields: &[(&str, &str)]) -> Result<Head, Violation> {
        let mut gathered = Fields::new(block, 0);
        for (name, value) in fields {
            gathered.field(name.as_bytes(), value.as_bytes());
        }
        gathered.finish()
    }

    fn request(fields: &[(&str, &str)]) -> request::Parts {
        match head(Block::Request, fields) {
            Ok(Head::Request(parts)) => *parts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request() {
        let fields = [
            &GOOD[..],
            &[("te", "trailers"), ("a", "1"), ("a", ""), ("x-bin", "\x7e"), ("host", "HOST:1")],
        ];
        let parts = request(&fields.concat());
        assert_eq!(parts.method, Method::POST);
        assert_eq!(parts.uri, "http://host:1/a/b");
        assert_eq!(parts.version, http::Version::HTTP_2);
        let values: Vec<_> = parts.headers.get_all("a").iter().collect();
        assert_eq!(values, ["1", ""]);
        assert_eq!(request(&GOOD[..3]).uri, "/a/b");
    }

    #[test]
    fn what_is_malformed() {
        let with = |field| [&GOOD[..], &[field]].concat();
        let mut bad = vec![
            GOOD[1..].to_vec(),
            [&GOOD[..1], &GOOD[2..]].concat(),
            GOOD[..2].to_vec(),
            [&GOOD[..], &GOOD[..1]].concat(),
            [&GOOD[..2], &[("a", "b")], &GOOD[2..]].concat(),
            [&GOOD[..2], &[(":path", "")]].concat(),
            [&GOOD[..2], &[(":path", "a")]].concat(),
            [&GOOD[..2], &[(":path", "*")]].concat(),
            [&GOOD[..3], &[(":authority", "a@b")]].concat(),
            [&[(":method", "CONNECT")], &GOOD[3..]].concat(),
        ];
        for field in [
            ("A", "b"),
            ("", "b"),
            ("a b", "c"),
            ("a", " b"),
            ("a", "b\t"),
            ("a", "b\0"),
            ("a", "b\r"),
            ("a", "b\n"),
            ("connection", "close"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip"),
            (":status", "200"),
            (":unknown", "a"),
            ("host", "another:1"),
        ] {
            bad.push(with(field));
        }
        for fields in bad {
            let violation = head(Block::Request, &fields).expect_err(&format!("{fields:?}"));
            assert_eq!(violation.code, ErrorCode::PROTOCOL_ERROR);
        }
        head(Block::Trailers, &[(":status", "200")]).unwrap_err();
        head(Block::Response, &[("a", "200")]).unwrap_err();
        head(Block::Response, &[(":status", "20")]).unwrap_err();
        head(Block::Response, &[(":status", "0200")]).unwrap_err();
        assert!(head(Block::Request, &[(":method", "OPTIONS"), GOOD[1], (":path", "*")]).is_ok());
    }

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
