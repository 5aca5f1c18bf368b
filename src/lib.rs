//! ALTS secure transport whose idle connections hold no memory.

mod connect;
mod error;
pub mod pool;
pub mod ready;
pub mod record;
mod stream;
mod transport;

pub use alts_handshaker as handshaker;
pub use connect::*;
pub use error::{Error, Fault, Truncation};
pub use stream::*;
