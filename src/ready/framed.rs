//! Messages over a connection, without a buffer while none is under way.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::AsyncWrite;
use tokio_util::codec::{Decoder, Encoder};

use super::ReadyReader;
use crate::pool::{BufferPool, Ticket};

/// Up to this many bytes, part of a message is held in memory of its own size.
const MAX_EXACT: usize = 8 << 10;
/// Encoded bytes from which on they are written before more are encoded. As many as with tokio-util's `Framed`.
const UNSENT: usize = 8 << 10;

/// A connection as a stream and sink of messages, by a [`Decoder`] and [`Encoder`] of tokio-util. (Feature `codec`.)
///
/// Takes the place of `tokio_util::codec::Framed`, which keeps a read buffer of 8 KiB for each connection and a write buffer as large as
/// the largest message ever sent. This one holds 24 bytes and the codec between messages; the memory for bytes on their way is taken when
/// they arrive or are encoded.
///
/// # Memory
///
/// Bytes are read on ready into a buffer of the pool, and copied from there to memory of their own, which messages that are slices
/// ([`Bytes`](bytes::Bytes), `BytesMut`) share. Of a message that has not arrived completely, up to 8 KiB are held exactly, whatever the
/// decoder has reserved for the rest. Of a larger part at most twice of it is held, or what the decoder has reserved since: limit that
/// in the decoder (`LengthDelimitedCodec::max_frame_length`). Encoded bytes are at most 8 KiB and a message, if the peer does not read.
///
/// # Ends
///
/// After the end of the connection, or an error of the decoder or of reading, the stream is over. Sending is not affected by that.
///
/// ```no_run
/// use alts::pool::BufferPool;
/// use alts::ready::Framed;
/// use tokio_stream::StreamExt;
/// use tokio_util::codec::LinesCodec;
///
/// # async fn serve(socket: tokio::net::TcpStream, pool: BufferPool) -> Result<(), tokio_util::codec::LinesCodecError> {
/// let mut lines = Framed::new(socket, LinesCodec::new_with_max_length(4_096), pool);
/// while let Some(line) = lines.next().await {
///     println!("{}", line?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Framed<IO, C> {
    io: IO,
    codec: C,
    pool: BufferPool,
    active: Option<Box<Active>>,
    reading: Reading,
}

/// What a [`Framed`] was made of, and what it had not finished: see [`Framed::into_parts`].
#[derive(Debug)]
#[non_exhaustive]
pub struct FramedParts<IO, C> {
    /// The connection.
    pub io: IO,
    /// The codec.
    pub codec: C,
    /// What was received and not decoded.
    pub received: BytesMut,
    /// What was encoded and not written.
    pub unsent: BytesMut,
}

/// Exists while a message is under way.
#[derive(Debug, Default)]
struct Active {
    received: BytesMut,
    /// How many bytes were in `received` when it was last given memory of just that size.
    exact: usize,
    /// Messages were taken from `received` since, which share its memory.
    shared: bool,
    unsent: BytesMut,
    ticket: Option<Ticket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The decoder needs more bytes.
    Waits,
    /// The decoder may have another message.
    Decodes,
    /// No more bytes come, but the decoder may have another message.
    Ends,
    Over,
}

impl<IO, C> Framed<IO, C> {
    /// Reads from and writes to `io`, with buffers of `pool` for reading.
    pub fn new(io: IO, codec: C, pool: BufferPool) -> Self {
        Self { io, codec, pool, active: None, reading: Reading::Waits }
    }

    /// The connection.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// The connection; reading from it or writing to it directly breaks the order of messages.
    pub fn get_mut(&mut self) -> &mut IO {
        &mut self.io
    }

    /// The codec.
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// The codec.
    pub fn codec_mut(&mut self) -> &mut C {
        &mut self.codec
    }

    /// The same connection with another codec, which begins with what was received and not decoded.
    pub fn map_codec<D>(self, change: impl FnOnce(C) -> D) -> Framed<IO, D> {
        let Self { io, codec, pool, active, mut reading } = self;
        if active.as_ref().is_some_and(|active| !active.received.is_empty())
            && reading == Reading::Waits
        {
            reading = Reading::Decodes;
        }
        Framed { io, codec: change(codec), pool, active, reading }
    }

    /// Gives back the connection, for a protocol that goes on without messages.
    pub fn into_parts(self) -> FramedParts<IO, C> {
        let Active { received, unsent, .. } =
            self.active.map_or_else(Active::default, |active| *active);
        FramedParts { io: self.io, codec: self.codec, received, unsent }
    }

    /// Drops what is not needed while no message is under way.
    fn rest(&mut self) {
        let Some(active) = &mut self.active else { return };
        if active.received.is_empty() {
            if active.unsent.is_empty() && active.ticket.is_none() {
                self.active = None;
            } else {
                (active.received, active.exact, active.shared) = (BytesMut::new(), 0, false);
            }
        } else {
            active.hold();
        }
    }
}

impl Active {
    /// Moves part of a message to memory of its own size. A large part is not moved again before it has doubled, so that a peer cannot
    /// cause much work by sending little at a time.
    fn hold(&mut self) {
        let len = self.received.len();
        let has_grown = if len <= MAX_EXACT { len != self.exact } else { len >= 2 * self.exact };
        if self.shared || has_grown {
            let mut exact = BytesMut::with_capacity(len);
            exact.extend_from_slice(&self.received);
            (self.received, self.exact, self.shared) = (exact, len, false);
        }
    }
}

// The codec is never pinned.
impl<IO: Unpin, C> Unpin for Framed<IO, C> {}

impl<IO: ReadyReader + Unpin, C: Decoder> Framed<IO, C> {
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<C::Item>, C::Error>> {
        loop {
            match self.reading {
                Reading::Over => return Poll::Ready(Ok(None)),
                Reading::Decodes | Reading::Ends => {
                    let active = self.active.get_or_insert_default();
                    let decoded = match self.reading {
                        Reading::Ends => self.codec.decode_eof(&mut active.received)?,
                        _ => self.codec.decode(&mut active.received)?,
                    };
                    if let Some(message) = decoded {
                        active.shared = true;
                        return Poll::Ready(Ok(Some(message)));
                    }
                    self.reading = match self.reading {
                        Reading::Ends => Reading::Over,
                        _ => Reading::Waits,
                    };
                }
                Reading::Waits => {
                    let mut ticket = self.active.as_mut().and_then(|active| active.ticket.take());
                    let read = self.io.poll_read_on_ready(cx, &self.pool, &mut ticket);
                    if ticket.is_some() {
                        self.active.get_or_insert_default().ticket = ticket;
                    }
                    match read {
                        Poll::Pending => {
                            self.rest();
                            return Poll::Pending;
                        }
                        Poll::Ready(read) => match read? {
                            Some(buf) => {
                                let active = self.active.get_or_insert_default();
                                active.received.extend_from_slice(&buf);
                                self.reading = Reading::Decodes;
                            }
                            None => self.reading = Reading::Ends,
                        },
                    }
                }
            }
        }
    }
}

impl<IO: ReadyReader + Unpin, C: Decoder> Stream for Framed<IO, C> {
    type Item = Result<C::Item, C::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(self.poll_message(cx)).transpose();
        if !matches!(message, Some(Ok(_))) {
            self.reading = Reading::Over;
            if let Some(active) = &mut self.active {
                active.received = BytesMut::new();
            }
            self.rest();
        }
        Poll::Ready(message)
    }
}

impl<IO: AsyncWrite + Unpin, C> Framed<IO, C> {
    fn poll_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(active) = &mut self.active else { return Poll::Ready(Ok(())) };
        while !active.unsent.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &active.unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => active.unsent.advance(count),
            }
        }
        active.unsent = BytesMut::new();
        if active.received.is_empty() {
            self.rest();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin, C: Encoder<M>, M> Sink<M> for Framed<IO, C> {
    type Error = C::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        match &self.active {
            Some(active) if active.unsent.len() >= UNSENT => {
                self.poll_unsent(cx).map_err(C::Error::from)
            }
            _ => Poll::Ready(Ok(())),
        }
    }

    fn start_send(mut self: Pin<&mut Self>, message: M) -> Result<(), C::Error> {
        let Self { codec, active, .. } = &mut *self;
        codec.encode(message, &mut active.get_or_insert_default().unsent)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.io).poll_flush(cx).map_err(C::Error::from)
    }

    /// Writes what is unsent, and ends this direction of the connection.
    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        ready!(self.poll_unsent(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx).map_err(C::Error::from)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
