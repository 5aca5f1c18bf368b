//! HTTP/1.1 on hyper, whose connections hold nothing between requests (feature `http1`).
//!
//! hyper keeps its buffers and its state, 18 to 24 KB, for as long as a connection is there. A [`Server`] gives a connection to hyper when
//! bytes have arrived, and takes it back when the last response is on its way: what waits for the next request is the stream alone.
//! Nothing of that is seen on the wire. Keep-alive, pipelined requests, `Expect: 100-continue` and bodies of any length are as hyper
//! has them, and what the peer has sent of its next request is handed on.
//!
//! ```no_run
//! # async fn serve<S>(acceptor: alts::Acceptor, service: S) -> std::io::Result<()>
//! # where
//! #     S: tower_service::Service<http::Request<alts::http1::Body>, Response = http::Response<String>>
//! #         + Clone + Send + 'static,
//! #     S::Future: Send,
//! #     S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
//! # {
//! let server = alts::http1::Server::new();
//! let mut incoming = acceptor.incoming(tokio::net::TcpListener::bind("[::1]:7000").await?);
//! while let Some(stream) = incoming.next().await {
//!     // What handlers find in their requests' extensions.
//!     let describe = |stream: &alts::AltsStream<_>, extensions: &mut http::Extensions| {
//!         extensions.insert(stream.negotiated().peer.clone());
//!     };
//!     tokio::spawn(server.connection(stream, service.clone(), describe));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An axum `Router` is such a service, and its handlers know who calls if `describe` inserts `ConnectInfo(alts::axum::Caller::from(stream))`.
//!
//! It does not upgrade connections: web sockets need hyper for their whole life, as `axum::serve` has it.

mod activity;
mod body;
mod connection;
mod server;
mod shared;
mod socket;

pub use body::{Body, BodyError};
pub use server::{InvalidSetting, Server, ServerBuilder, ServerStats};
