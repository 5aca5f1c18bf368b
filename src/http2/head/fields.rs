//! Heads, received.

use std::cell::Cell;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use http::{Method, StatusCode, request};

use super::{Block, Head, is_of_connection};
use crate::http2::frame::{ErrorCode, Violation};
use crate::http2::grpc_timeout;

/// What a field takes in memory beside its value, in bytes: an entry of `http::HeaderMap`, which has room for up to twice as many as it holds, and a
/// name of its own.
const FIELD_MEMORY: usize = 256;
/// What a head takes beside its fields, in bytes.
const HEAD_MEMORY: usize = size_of::<request::Parts>() + size_of::<Short>();

/// What nearly every gRPC call says.
static TRAILERS: HeaderValue = HeaderValue::from_static("trailers");
static GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Gathers the fields of one header block.
///
/// The values of all of them share one allocation.
#[derive(Debug)]
pub(crate) struct Fields {
    block: Block,
    gathered: Gathered,
    method: Option<Method>,
    status: Option<StatusCode>,
    scheme: Option<Scheme>,
    /// Where in the gathered text they are.
    path: Option<Place>,
    authority: Option<Place>,
    host: Option<Place>,
    malformed: Option<&'static str>,
}

/// Memory for one block, which a thread uses again for the next.
#[derive(Debug, Default)]
struct Gathered {
    text: Vec<u8>,
    regular: Vec<(HeaderName, Value)>,
}

thread_local! {
    static GATHERED: Cell<Gathered> =
        const { Cell::new(Gathered { text: Vec::new(), regular: Vec::new() }) };
}

/// What a thread keeps of that at most, in bytes of text and in fields.
const KEPT_TEXT: usize = 1 << 10;
const KEPT_FIELDS: usize = 32;

#[derive(Debug)]
enum Value {
    Gathered(Place),
    Known(&'static HeaderValue),
}

/// A part of the gathered text.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: usize,
    end: usize,
}

/// Text with its count of owners in one block of memory, which is what most heads need.
struct Short {
    len: u8,
    bytes: [u8; Self::MOST],
}

impl Short {
    const MOST: usize = 111;

    fn new(text: &[u8]) -> Self {
        let mut bytes = [0; Self::MOST];
        bytes[..text.len()].copy_from_slice(text);
        Self { len: text.len() as u8, bytes }
    }
}

impl AsRef<[u8]> for Short {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }
}

impl Gathered {
    fn take() -> Self {
        GATHERED.try_with(Cell::take).unwrap_or_default()
    }

    fn give_back(mut self) {
        if self.text.capacity() <= KEPT_TEXT && self.regular.capacity() <= KEPT_FIELDS {
            self.text.clear();
            self.regular.clear();
            // At the thread's end it is dropped.
            let _ = GATHERED.try_with(|gathered| gathered.set(self));
        }
    }

    fn shared(&self) -> Bytes {
        match self.text.len() {
            0 => Bytes::new(),
            1..=Short::MOST => Bytes::from_owner(Short::new(&self.text)),
            _ => Bytes::copy_from_slice(&self.text),
        }
    }
}

impl Fields {
    pub(crate) fn new(block: Block) -> Self {
        Self {
            block,
            gathered: Gathered::take(),
            method: None,
            status: None,
            scheme: None,
            path: None,
            authority: None,
            host: None,
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
        if is_of_connection(name) {
            return Err("a field belongs to HTTP/1 connections");
        }
        let known = match (name, value) {
            (b"te", b"trailers") => Some((header::TE, &TRAILERS)),
            (b"te", _) => return Err("the field te says something other than trailers"),
            (b"content-type", b"application/grpc") => Some((header::CONTENT_TYPE, &GRPC)),
            _ => None,
        };
        if let Some((name, value)) = known {
            self.gathered.regular.push((name, Value::Known(value)));
            return Ok(());
        }
        if is_blank(value.first()) || is_blank(value.last()) {
            return Err("a value begins or ends with white space");
        }
        let place = self.keep(value);
        let name = match name {
            b"user-agent" => header::USER_AGENT,
            b"grpc-timeout" => grpc_timeout::NAME,
            name => HeaderName::from_lowercase(name)
                .map_err(|_| "the name of a field is empty, in upper case, or not a token")?,
        };
        if name == header::HOST {
            self.host = Some(place);
        }
        self.gathered.regular.push((name, Value::Gathered(place)));
        Ok(())
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !self.gathered.regular.is_empty() {
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
        self.gathered.text.len() + self.gathered.regular.len() * FIELD_MEMORY + HEAD_MEMORY
    }

    #[inline]
    fn keep(&mut self, value: &[u8]) -> Place {
        let text = &mut self.gathered.text;
        let start = text.len();
        text.extend_from_slice(value);
        Place { start, end: text.len() }
    }

    /// The head, if it is well-formed.
    pub(crate) fn finish(mut self) -> Result<Head, Violation> {
        let head = self.finished();
        self.gathered.give_back();
        head.map_err(|what| Violation::stream(ErrorCode::PROTOCOL_ERROR, what))
    }

    fn finished(&mut self) -> Result<Head, &'static str> {
        if let Some(what) = self.malformed {
            return Err(what);
        }
        let text = self.gathered.shared();
        let mut headers = HeaderMap::with_capacity(self.gathered.regular.len());
        for (name, value) in self.gathered.regular.drain(..) {
            let value = match value {
                Value::Known(value) => value.clone(),
                Value::Gathered(Place { start, end }) => {
                    HeaderValue::from_maybe_shared(text.slice(start..end))
                        .map_err(|_| "a value has characters that must not be in one")?
                }
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 4] =
        [(":method", "POST"), (":scheme", "http"), (":path", "/a/b"), (":authority", "host:1")];

    fn head(block: Block, fields: &[(&str, &str)]) -> Result<Head, Violation> {
        let mut gathered = Fields::new(block);
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
}
