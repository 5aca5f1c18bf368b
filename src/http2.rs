//! HTTP/2 whose idle connections hold no memory.

#![expect(dead_code, reason = "the server and the client come next")]

mod body;
mod budget;
pub mod client;
mod connection;
mod error;
pub mod frame;
mod grpc_timeout;
mod head;
pub mod hpack;
mod inbox;
mod input;
mod limits;
mod link;
mod output;
mod settings;
mod stream;
mod window;

pub use body::Body;
pub use error::{Error, Fault, Initiator, Reason};
