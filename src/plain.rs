//! Plain connections, over TCP or a Unix socket, as one type; for Unix.
//!
//! A program that lets its user say where to listen and where to connect to needs little more: addresses as people write them
//! ([`ListenAddress`], [`TargetAddress`]), sockets that the program or systemd has opened ([`PlainListener`], [`Activation`]), and
//! connections ([`PlainStream`]) that can be secured, relayed, or used as they are. The commands of this workspace take theirs
//! from here.
//!
//! ```no_run
//! # async fn serve(_: alts::plain::PlainStream) {}
//! # async fn listen() -> Result<(), Box<dyn std::error::Error>> {
//! use alts::connect::AcceptLoop;
//! use alts::plain::{Activation, ListenAddress, ListenOptions, PlainListener};
//!
//! // Or localhost:7000, or systemd:NAME.
//! let address: ListenAddress = "unix:/run/app.sock".parse()?;
//! let mut activation = Activation::from_env();
//! for listener in PlainListener::bind(&address, ListenOptions::default(), &mut activation).await? {
//!     println!("listening at {listener}");
//!     let mut sockets = AcceptLoop::new(listener);
//!     tokio::spawn(async move {
//!         while let Some(stream) = sockets.next().await {
//!             tokio::spawn(serve(stream));
//!         }
//!     });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Acceptor::incoming`](crate::Acceptor::incoming) takes a [`PlainListener`], too, and secures what it accepts.

mod activation;
mod address;
mod listener;
mod stream;

pub use activation::Activation;
pub use address::{AddressError, HostPort, ListenAddress, TargetAddress};
pub use listener::{ListenOptions, PlainListener};
pub use stream::{PlainStream, StdStream};
