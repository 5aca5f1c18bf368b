//! No security at all: the limit. It reads on ready, too, so that it is alts without the cryptography.

use std::io::{self, Write};

use alts::pool::{BufferPool, PooledBuf};
use alts::ready::{ReadyReader, TryReadyReader};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{OnMio, Transport, gather};
use crate::roles::echo::PooledEcho;

#[derive(Clone)]
pub(super) struct Tcp {
    pool: BufferPool,
}

impl Tcp {
    pub(super) fn new(pool: BufferPool) -> Self {
        Self { pool }
    }
}

impl Transport for Tcp {
    type Stream = TcpStream;
    type Pool = BufferPool;
    type Received = PooledBuf;
    type Message = PooledBuf;
    type Echo = PooledEcho<TcpStream>;
    type OnMio = TcpOnMio;

    fn pool(&self) -> BufferPool {
        self.pool.clone()
    }

    fn accept(&self, tcp: TcpStream) -> impl Future<Output = io::Result<TcpStream>> + use<> {
        // As large as a pointer.
        Box::pin(std::future::ready(tcp.set_nodelay(true).map(|()| tcp)))
    }

    fn connect(&self, tcp: TcpStream) -> impl Future<Output = io::Result<TcpStream>> + use<> {
        self.accept(tcp)
    }

    fn receive<'read>(
        stream: &'read mut TcpStream,
        pool: &'read BufferPool,
    ) -> impl Future<Output = io::Result<Option<PooledBuf>>> + 'read {
        stream.read_on_ready(pool)
    }

    fn send<'write>(
        stream: &'write mut TcpStream,
        bytes: &'write [u8],
    ) -> impl Future<Output = io::Result<()>> + 'write {
        stream.write_all(bytes)
    }

    fn receive_all<'read>(
        stream: &'read mut TcpStream,
        pool: &'read BufferPool,
        len: usize,
    ) -> impl Future<Output = io::Result<PooledBuf>> + 'read {
        gather(stream, pool, len)
    }

    async fn discard(stream: &mut TcpStream, pool: &BufferPool) -> io::Result<usize> {
        Ok(stream.read_on_ready(pool).await?.map_or(0, |received| received.len()))
    }

    fn echo(stream: TcpStream, pool: BufferPool) -> Self::Echo {
        PooledEcho::new(stream, pool)
    }

    fn on_mio(&self, socket: mio::net::TcpStream) -> TcpOnMio {
        TcpOnMio { socket, unsent: None, pool: self.pool.clone() }
    }

    fn socket(stream: &mut TcpStream) -> &mut TcpStream {
        stream
    }

    fn part() -> Option<[u8; 128]> {
        None
    }
}

pub(super) struct TcpOnMio {
    socket: mio::net::TcpStream,
    /// Rarely present.
    unsent: Option<Box<(PooledBuf, usize)>>,
    pool: BufferPool,
}

impl OnMio for TcpOnMio {
    fn go_on(&mut self) -> io::Result<()> {
        loop {
            let (received, mut sent) = match self.unsent.take() {
                Some(unsent) => *unsent,
                None => match self.socket.try_read_on_ready(&self.pool)? {
                    Some(received) => (received, 0),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            };
            while sent < received.len() {
                match self.socket.write(&received[sent..]) {
                    Ok(more) => sent += more,
                    Err(error) => {
                        self.unsent = Some(Box::new((received, sent)));
                        return Err(error);
                    }
                }
            }
        }
    }
}
