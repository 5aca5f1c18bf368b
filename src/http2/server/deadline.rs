//! What is said of a call that takes too long.

use http::{HeaderMap, HeaderValue, header};

/// Whether a request is a gRPC call.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The status of a call that took too long.
pub(super) fn exceeded(trailers: &mut HeaderMap) {
    trailers.insert("grpc-status", HeaderValue::from_static("4"));
    trailers.insert("grpc-message", HeaderValue::from_static("the deadline has passed"));
}
