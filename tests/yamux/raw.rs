//! A peer that writes frames by hand.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

pub(crate) const DATA: u8 = 0;
pub(crate) const WINDOW_UPDATE: u8 = 1;
pub(crate) const PING: u8 = 2;
pub(crate) const GO_AWAY: u8 = 3;
pub(crate) const SYN: u8 = 1;
pub(crate) const FIN: u8 = 4;
pub(crate) const RST: u8 = 8;

/// A header as it is on the wire.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, length: u32) -> Vec<u8> {
    let mut bytes = vec![0, kind, 0, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

/// Data with a body of that many bytes.
pub(crate) fn data(flags: u8, stream: u32, len: u32) -> Vec<u8> {
    let mut bytes = frame(DATA, flags, stream, len);
    bytes.resize(bytes.len() + len as usize, 7);
    bytes
}

/// The other end of a connection.
pub(crate) struct Raw(pub(crate) UnixStream);

impl Raw {
    pub(crate) async fn send(&mut self, frames: &[Vec<u8>]) {
        self.0.write_all(&frames.concat()).await.unwrap();
    }

    /// The next frame's header: type, flags, stream and length. Its body is skipped. `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<(u8, u8, u32, u32)> {
        let mut header = [0; 12];
        let read = timeout(Duration::from_secs(60), self.0.read_exact(&mut header)).await;
        read.expect("a frame or the end").ok()?;
        let word = |at: usize| u32::from_be_bytes(header[at..at + 4].try_into().unwrap());
        if header[1] == DATA {
            let mut body = vec![0; word(8) as usize];
            self.0.read_exact(&mut body).await.unwrap();
        }
        Some((header[1], header[3], word(4), word(8)))
    }

    /// All that is sent up to the end.
    pub(crate) async fn rest(&mut self) -> Vec<(u8, u8, u32, u32)> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            frames.push(frame);
        }
        frames
    }
}
