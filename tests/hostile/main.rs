//! Peers and paths that mean harm, or speak something else: what each side sees, and that nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod empty_records;
mod event_loop;
mod handshakes;
mod late_alert;
mod path;
mod places;
mod seam;
mod ticket;

use std::fmt::Debug;
use std::io;

use alts::pool::BufferPool;
use alts::{AltsStream, Error};
use tokio::io::AsyncReadExt;

/// The crate's own error, wherever it is.
#[track_caller]
fn error_of<T: Debug>(result: io::Result<T>) -> Error {
    Error::of(&result.unwrap_err()).expect("an error of this crate").clone()
}

/// Reads to the end: what came before the error, and the error, which has to repeat.
async fn read_until_error<S>(stream: &mut AltsStream<S>) -> (Vec<u8>, Option<Error>)
where
    AltsStream<S>: tokio::io::AsyncRead + Unpin,
{
    let mut received = Vec::new();
    let mut buf = [0; 1_000];
    loop {
        match stream.read(&mut buf).await {
            Ok(0) => {
                assert_eq!(stream.read(&mut buf).await.unwrap(), 0, "the end repeats");
                return (received, None);
            }
            Ok(count) => received.extend(&buf[..count]),
            Err(error) => {
                let again = error_of(stream.read(&mut buf).await);
                let error = Error::from(error);
                assert_eq!(again, error, "the first failure repeats");
                return (received, Some(error));
            }
        }
    }
}

/// Pools for the two sides.
fn two_pools() -> [BufferPool; 2] {
    [BufferPool::new(), BufferPool::new()]
}
