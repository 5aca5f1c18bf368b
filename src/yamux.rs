//! Many streams in one connection: yamux, the protocol of hashicorp's agents and of libp2p.
//!
//! A [`Session`] runs over anything that reads on ready and writes: TCP and Unix sockets, [`AltsStream`](crate::AltsStream), and through
//! [`Probed`](crate::ready::Probed) whatever else implements tokio's traits. Both sides open [`Stream`]s and accept those of the peer. An idle
//! stream holds no buffer; received bytes lie in buffers of the pool until they are read, and on-ready readers get them without a copy.
//!
//! ```text
//!  Session, Stream      handles; any number of tasks
//!    │
//!    ▼
//!  the protocol         bytes in, bytes out: windows, turns, limits; no I/O, no clock
//!    ▲
//!    │
//!  Driver               one task: moves bytes between the connection and the protocol
//! ```
//!
//! ```
//! use alts::pool::BufferPool;
//! use alts::yamux::{Config, Session};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::UnixStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = UnixStream::pair()?;
//! let pool = BufferPool::new();
//! let (client, driver) = Session::client(near, Config::default(), pool.clone());
//! tokio::spawn(driver);
//! let (server, driver) = Session::server(far, Config::default(), pool);
//! tokio::spawn(driver);
//!
//! tokio::spawn(async move {
//!     while let Ok(Some(mut stream)) = server.accept().await {
//!         tokio::spawn(async move {
//!             let mut request = String::new();
//!             stream.read_to_string(&mut request).await?;
//!             stream.write_all(request.to_uppercase().as_bytes()).await?;
//!             stream.shutdown().await
//!         });
//!     }
//! });
//!
//! let mut stream = client.open().await?;
//! stream.write_all(b"hello").await?;
//! stream.close_write();
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?;
//! assert_eq!(answer, "HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! # Peers
//!
//! It interoperates with hashicorp/yamux and with the crate `yamux`; CI runs both, either way. What they do differently, and what that
//! means here:
//!
//! * rust-yamux reports a reset as an end in order, and hashicorp's reports a lost connection as one. Where a truncated stream matters, the
//!   application has to say how long it is.
//! * rust-yamux and libp2p's in Go end the session at the first GoAway, so [`Session::shutdown`] sends it last.
//! * rust-yamux ends the connection at a frame of more than 1 MiB. No frame from here has more than 64 KiB.
//!
//! # Limits
//!
//! Everything that a peer can make a session hold or do has a limit: see [`ConfigBuilder`] for those that can be set. At the pool's cap
//! a body waits for a buffer, for [a second](ConfigBuilder::memory_patience) at most; then its stream is reset, because what is behind it in the connection may
//! be what frees memory. Frames without a body never wait for the pool.

mod config;
mod driver;
mod error;
mod header;
mod limits;
mod session;
mod shared;
mod stats;
mod stream;
mod window;

pub use config::{Config, ConfigBuilder, ConfigError};
pub use driver::{Driver, Session};
pub use error::{Error, Fault, Violation};
pub use stats::SessionStats;
pub use stream::{ReadHalf, Stream, WriteHalf};
