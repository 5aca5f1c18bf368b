//! h2's codec.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;
use h2::Codec;
use h2::frame::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{FRAMES, Peer};

pub(crate) struct Theirs(Codec<Socket, Bytes>);

impl Theirs {
    pub(crate) fn new(before: &[u8], frame: &[u8]) -> Self {
        let socket = Socket { before: before.to_vec(), bytes: frame.repeat(FRAMES), at: 0 };
        let mut this = Self(Codec::new(socket));
        if !before.is_empty() {
            this.run(1);
        }
        this
    }
}

impl Peer for Theirs {
    fn run(&mut self, frames: usize) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = 0;
        for _ in 0..frames {
            let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut self.0).poll_next(&mut cx) else {
                panic!("frames are there")
            };
            seen += match frame {
                Frame::Data(data) => std::hint::black_box(data.payload()).len(),
                Frame::Headers(headers) => {
                    let (pseudo, fields) = std::hint::black_box(headers).into_parts();
                    let pseudo = [
                        (":method", pseudo.method.as_ref().map(|method| method.as_str().len())),
                        (":scheme", pseudo.scheme.as_ref().map(|scheme| scheme.len())),
                        (":path", pseudo.path.as_ref().map(|path| path.len())),
                        (":authority", pseudo.authority.as_ref().map(|name| name.len())),
                    ];
                    let pseudo: usize =
                        pseudo.iter().filter_map(|(name, len)| Some(name.len() + (*len)?)).sum();
                    let fields: usize =
                        fields.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
                    pseudo + fields
                }
                other => panic!("{other:?}"),
            };
        }
        seen
    }
}

/// First `before`, then `bytes` without end.
struct Socket {
    before: Vec<u8>,
    bytes: Vec<u8>,
    at: usize,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            buf.put_slice(&std::mem::take(&mut self.before));
            return Poll::Ready(Ok(()));
        }
        let len = buf.remaining().min(self.bytes.len() - self.at);
        buf.put_slice(&self.bytes[self.at..self.at + len]);
        self.at = (self.at + len) % self.bytes.len();
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
