//! Connections that do something once, and then are quiet.

use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Ends;
use crate::roles::transport::Transport;

impl<T: Transport> Ends<T> {
    /// A message to and fro, on one connection after the other.
    pub(super) async fn echo(&mut self, size: usize) {
        let sent = vec![0x5A; size];
        let mut back = vec![0; size];
        for stream in &mut self.open {
            T::send(stream, &sent).await.expect("sent");
            stream.read_exact(&mut back).await.expect("an echo");
            assert!(sent == back, "the echo differs");
        }
    }

    /// Sends a piece of a record, straight to the sockets.
    pub(super) async fn send_part(&mut self, range: Range<usize>) {
        let part = T::part().expect("a transport with records");
        for stream in &mut self.open {
            T::socket(stream).write_all(&part[range.clone()]).await.expect("sent");
        }
    }

    /// Sends a message on all connections, and reads none of the echoes.
    pub(super) async fn send(&mut self, size: usize) {
        let message = vec![0x5A; size];
        for stream in &mut self.open {
            T::send(stream, &message).await.expect("sent");
        }
    }

    /// Reads the echoes of what was sent.
    pub(super) async fn receive(&mut self, size: usize) {
        let mut back = vec![0; size];
        for stream in &mut self.open {
            stream.read_exact(&mut back).await.expect("an echo");
            assert!(back.iter().all(|&byte| byte == 0x5A), "the echo differs");
        }
    }
}
