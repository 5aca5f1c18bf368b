//! Accepting connections without end: what may go wrong with `accept`, and what to do about it.
//!
//! `accept` fails for two kinds of reasons. Some concern only the connection that was to be accepted, while the next may be fine:
//! [`concerns_one_connection`] lists them. All others last: a process without file descriptors, a system without memory. Neither
//! is a reason for a server to end. `AcceptLoop` (feature `tokio`) skips the former and waits the latter out, for servers of
//! any protocol:
//!
#![cfg_attr(feature = "tokio", doc = "```no_run")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! # async fn serve(_: tokio::net::TcpStream) {}
//! # async fn listen() -> std::io::Result<()> {
//! use alts_handshaker::accept::AcceptLoop;
//!
//! let mut sockets = AcceptLoop::new(tokio::net::TcpListener::bind("[::1]:7000").await?);
//! while let Some(socket) = sockets.next().await {
//!     tokio::spawn(serve(socket));
//! }
//! # Ok(())
//! # }
//! ```

use std::io;

#[cfg(feature = "tokio")]
mod endless;
#[cfg(unix)]
pub mod socket_file;

#[cfg(feature = "tokio")]
pub use endless::{AcceptLoop, Listener};

/// Whether an error of `accept` concerns only the connection that could not be accepted, so that it can be called again at once.
///
/// Besides aborted connections these are errors of the network that Linux reports because they are pending on the new socket
/// (accept(2), "Error handling").
pub fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    /// Errors of accept(2) without a kind of their own: ENONET, EPROTO, ENOPROTOOPT, EOPNOTSUPP, EHOSTDOWN.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const WITHOUT_KIND: [i32; 5] = [64, 71, 92, 95, 112];
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const WITHOUT_KIND: [i32; 0] = [];
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::TimedOut
    ) || error.raw_os_error().is_some_and(|code| WITHOUT_KIND.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn errors_by_their_numbers() {
        let of_one = |code| concerns_one_connection(&io::Error::from_raw_os_error(code));
        // accept(2): ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP, ENETUNREACH; ECONNABORTED, EINTR,
        // ECONNRESET, ETIMEDOUT.
        for code in [100, 71, 92, 112, 64, 113, 95, 101, 103, 4, 104, 110] {
            assert!(of_one(code), "{code}");
        }
        // EMFILE, ENFILE, ENOBUFS, ENOMEM, EPERM, EBADF, EINVAL.
        for code in [24, 23, 105, 12, 1, 9, 22] {
            assert!(!of_one(code), "{code}");
        }
    }
}
