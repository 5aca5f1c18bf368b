//! Relays: two connections joined into one, with nothing held while neither side sends.
//!
//! [`relay`] moves bytes both ways between two connections that it owns, until both directions have ended, and carries the way
//! they end across: an end becomes an end, a cut a cut. [`copy_bidirectional`] does the same for connections that the caller
//! keeps, and [`copy`] moves bytes one way.
//!
//! ```text
//!  bulk, two bare sockets, Linux     readable ─► take a pipe from the PipePool ─► splice in ─► splice out ─► give the pipe back
//!  anything else                     readable ─► take a pooled buffer ─► read ─► write ─► give the buffer back
//! ```
//!
//! Bulk is what follows a read that filled a whole buffer. Smaller messages cost less by copying. While the pool is at its cap, small
//! messages between bare sockets are spliced, too, so that they do not wait for a buffer.
//!
//! A pipe or a buffer is held only while bytes move, and each direction of a relay holds one at most. Between two bytes a relay
//! of TCP connections consists of two sockets and some counters.
//!
//! # How an ending crosses
//!
//! | one side | the other side |
//! |---|---|
//! | ends its direction | gets what is under way, then the end; the opposite direction goes on, for [`close_timeout`](RelayOptions::close_timeout) without progress at most |
//! | is reset, or fails to be read | is reset (TCP), or dropped without an authenticated close (ALTS) |
//! | can no longer be written to | what it sent before is still delivered; then it is reset |
//! | ends without the authenticated close it had agreed to ([`RelayEnd::ended_cleanly`]) | is reset: a cut stream never looks whole |
//!
//! # Both sides write, and neither reads
//!
//! Each direction waits for its own receiver only, so a relay between two such sides behaves as one TCP connection does: both are
//! held up once the buffers on the way are full, nothing is lost, and all goes on when one of them reads. Meanwhile the relay holds a
//! pipe or a buffer for each direction, as below, and no other relay waits for it. It ends neither of them;
//! [`idle_timeout`](RelayOptions::idle_timeout) does.
//!
//! # Limits
//!
//! | | default | |
//! |---|---|---|
//! | held by one direction | one pipe of at most 1 MiB in the kernel, or one buffer of the pool | a writer that is stuck while more than half of the pool's cap is in use moves its bytes to an allocation of their size, so stuck writers cannot keep the pool from readers. A secured receiver has its own [batch](crate::StreamOptions::write_batch) besides |
//! | pipes | 32 of 1 MiB | [`PipePool::new`]; when none is free a relay copies and does not wait |
//! | moved in one turn of a task | 1 MiB a direction | then other tasks run |
//! | time without any byte | no limit | [`RelayOptions::idle_timeout`] |
//! | time without progress after one side has ended | 60 s | [`RelayOptions::close_timeout`] |
//! | bytes, both ways together | no limit | [`RelayOptions::byte_limit`] |
//!
//! # Example
//!
//! ```no_run
//! use alts::relay::{RelayOptions, relay};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # async fn run() -> std::io::Result<()> {
//! let options = RelayOptions::default();
//! let listener = TcpListener::bind("127.0.0.1:7000").await?;
//! loop {
//!     let (from, _) = listener.accept().await?;
//!     let options = options.clone();
//!     tokio::spawn(async move {
//!         let Ok(to) = TcpStream::connect("127.0.0.1:7001").await else { return };
//!         let summary = relay(from, to, &options).await;
//!         println!("{} bytes there, {} back", summary.a_to_b.bytes, summary.b_to_a.bytes);
//!     });
//! }
//! # }
//! ```

mod both;
mod direction;
mod end;
mod options;
mod pipe;
#[cfg(target_os = "linux")]
mod splice;
mod summary;

pub use both::{Relay, copy, copy_bidirectional, relay};
pub use end::{BareSocket, RelayEnd};
pub use options::{RelayCounters, RelayOptions};
pub use pipe::{PipePool, PipeStats};
pub use summary::{CopyReason, End, Path, Summary, Way};
