//! A connection on which the client says what is to happen.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::roles::transport::Transport;

/// What a client asks for, and the first byte of asking for it.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(in crate::roles) enum Request {
    /// Send so many bytes, so many at a time.
    Download = b'd',
    /// Take so many bytes, then send one.
    Upload = b'u',
    /// Send back what comes, forever.
    Echo = b'e',
}

/// The kind, the size of a write, and how much in all.
const HEADER_LEN: usize = 17;

impl Request {
    pub(in crate::roles) fn header(self, write: usize, total: usize) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        header[0] = self as u8;
        header[1..9].copy_from_slice(&(write as u64).to_le_bytes());
        header[9..].copy_from_slice(&(total as u64).to_le_bytes());
        header
    }
}

pub(super) async fn serve<T: Transport>(transport: T, tcp: TcpStream) {
    // Where the client goes away, it has seen enough.
    let _ = obey(transport, tcp).await;
}

async fn obey<T: Transport>(transport: T, tcp: TcpStream) -> io::Result<()> {
    let mut stream = transport.accept(tcp).await?;
    let pool = transport.pool();
    loop {
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await?;
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes) as usize
        };
        let (write, mut left) = (number(1), number(9));
        match header[0] {
            kind if kind == Request::Download as u8 => {
                let payload = vec![0x5A; write];
                while left > 0 {
                    let len = left.min(write);
                    stream.write_all(&payload[..len]).await?;
                    left -= len;
                }
                stream.flush().await?;
            }
            kind if kind == Request::Upload as u8 => {
                while left > 0 {
                    match T::discard(&mut stream, &pool).await? {
                        0 => return Ok(()),
                        len => left -= len.min(left),
                    }
                }
                T::send(&mut stream, &[0]).await?;
            }
            kind if kind == Request::Echo as u8 => {
                while let Some(received) = T::receive(&mut stream, &pool).await? {
                    T::send(&mut stream, &received).await?;
                }
                return Ok(());
            }
            kind => panic!("{kind} is no request"),
        }
    }
}
