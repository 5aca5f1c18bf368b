//! Bytes that go between a backend and a connection without a buffer of the server.

#[cfg(unix)]
use std::io;
use std::io::IoSlice;
#[cfg(unix)]
use std::os::fd::BorrowedFd;

/// A connection that takes what a backend [reads to it](super::Backend::read_to).
pub trait Sink {
    /// Takes bytes that lie in several places, and says how many. Fewer than all: it has no room now, and the backend returns.
    fn send(&mut self, bytes: &[IoSlice<'_>]) -> usize;

    /// As [`send`](Self::send) with what a file has from `offset`, up to `len` bytes. `None`: this connection cannot, since there is
    /// more than a socket between the file and the client.
    ///
    /// # Errors
    /// The file's, one that ends before `offset` included. What goes wrong with the connection is not the backend's affair.
    #[cfg(unix)]
    fn send_file(
        &mut self,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Option<io::Result<usize>>;
}

/// A connection that has what a backend [writes from it](super::Backend::write_from).
pub trait Source {
    /// Puts what has arrived into `buf`, and says how much. 0: there is nothing now, and the backend returns.
    fn receive(&mut self, buf: &mut [u8]) -> usize;
}
