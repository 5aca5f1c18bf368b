//! Connections that do something once, and then are quiet.

use std::ops::Range;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

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

    /// Sends a message on all connections, to the last byte, and reads none of the echoes.
    pub(super) async fn send(&mut self, size: usize) {
        let message = vec![0x5A; size];
        for stream in &mut self.open {
            stream.write_all(&message).await.expect("sent");
            stream.flush().await.expect("sent");
        }
    }

    /// Reads the echoes of what was sent, all at the same time: the server answers in an order of its own.
    pub(super) async fn receive(&mut self, size: usize) {
        let mut tasks = JoinSet::new();
        for mut stream in self.open.drain(..) {
            let pool = self.pool.clone();
            tasks.spawn(async move {
                let mut left = size;
                while left > 0 {
                    let received = T::receive(&mut stream, &pool).await.expect("an echo");
                    let received = received.expect("all of the echo");
                    assert!(received.iter().all(|&byte| byte == 0x5A), "the echo differs");
                    left -= received.len();
                }
                stream
            });
        }
        self.open = tasks.join_all().await;
    }
}
