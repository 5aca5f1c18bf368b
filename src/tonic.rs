//! gRPC with [tonic](https://docs.rs/tonic): clients connect through an [`AltsConnector`], servers serve the
//! connections of [`Acceptor::incoming`](crate::Acceptor::incoming).
//!
//! ```text
//!  Endpoint ─► AltsConnector ─► AltsStream  ════  AltsStream ◄─ Incoming ◄─ TcpListener, UnixListener
//!                                                     │
//!                        Request ◄─ AltsConnectInfo ◄─┘            Authorization before the service
//! ```
//!
//! A handler gets the caller's identity from [`RequestExt::alts`]; [`Authorization`] decides which calls reach a handler.
//! All of it works with every [`Handshaker`](crate::handshaker::Handshaker).
//!
//! ```no_run
//! # async fn serve(acceptor: alts::Acceptor) -> Result<(), Box<dyn std::error::Error>> {
//! use alts::handshaker::identity::Policy;
//! use alts::tonic::Authorization;
//!
//! let listener = tokio::net::TcpListener::bind("[::1]:7000").await?;
//! let callers = Policy::from_rules(["spiffe://example.org/ns/web/*"])?;
//! tonic::transport::Server::builder()
//!     .layer(Authorization::new(callers))
//!     .add_routes(tonic::service::Routes::default())
//!     .serve_with_incoming(acceptor.incoming(listener))
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! tonic's own features work as usual: deadlines (one that tonic 0.14 notices itself ends a call with `CANCELLED` and
//! "Timeout expired", not with `DEADLINE_EXCEEDED`), cancellation, message limits, graceful shutdown
//! (`serve_with_incoming_shutdown`), reconnection. Its settings for TCP and TLS have no effect on connections that are made
//! here: `TCP_NODELAY` is [`Settings::nodelay`](crate::connect::Settings::nodelay), keepalive is HTTP/2's. A connection may outlive the
//! certificates it was made with; `Server::max_connection_age` has clients connect again.

mod authorization;
mod balance;
mod channel;
mod channels;
mod client_stream;
mod codec;
mod connect_info;
mod connector;
mod error;
mod incoming;
mod server;

pub use authorization::{Access, Authorization, Authorized};
pub use balance::BalancedChannel;
pub use channel::{Channel, ChannelBody, ChannelFuture};
pub use channels::Channels;
pub use client_stream::ClientStream;
pub use codec::{SmallBufferCodec, SmallBufferEncoder};
pub use connect_info::{AltsConnectInfo, RequestExt};
pub use connector::{AltsConnector, OnReady};
pub use error::{ConnectError, cause_of};
pub use incoming::StreamListener;
pub use server::Server;
