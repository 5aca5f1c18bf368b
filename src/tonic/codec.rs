//! Messages in buffers of their size.

use std::fmt;
use std::marker::PhantomData;

use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic_prost::{ProstCodec, ProstDecoder};

/// What a call's buffers begin with, in bytes: room for the messages of quiet streams and for the heads of others. It must not be
/// 0, since tonic grows the buffers of compressed messages by multiples of it.
const BUFFER_SIZE: usize = 64;
/// How much of a stream of messages is sent in one piece, in bytes; tonic's default.
const YIELD_THRESHOLD: usize = 32 << 10;

/// Prost's codec for messages, with buffers that are as large as the messages are.
///
/// tonic's own takes 8 KiB in each direction when a call begins, before there is a message, and keeps them as long as the call
/// lasts. For a stream on which little happens that is most of what the stream costs. This one begins with 64 bytes, and before a
/// message is encoded takes as many as it needs at once.
///
/// Generated code names it: tell the generator, and neither services nor clients change.
///
/// ```ignore
/// // build.rs
/// tonic_prost_build::configure()
///     .codec_path("alts::tonic::SmallBufferCodec")
///     .compile_protos(&["proto/chat.proto"], &["proto"])?;
/// ```
///
/// It changes nothing on the wire, and works over hyper's HTTP/2 as it does over [`http2`](crate::http2).
pub struct SmallBufferCodec<T, U>(PhantomData<fn(T) -> U>);

impl<T, U> Default for SmallBufferCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Clone for SmallBufferCodec<T, U> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl<T, U> fmt::Debug for SmallBufferCodec<T, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmallBufferCodec")
    }
}

impl<T, U> Codec for SmallBufferCodec<T, U>
where
    T: Message + 'static,
    U: Message + Default + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = SmallBufferEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> SmallBufferEncoder<T> {
        SmallBufferEncoder(PhantomData)
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstCodec::<T, U>::raw_decoder(settings())
    }
}

/// The sending half of a [`SmallBufferCodec`].
pub struct SmallBufferEncoder<T>(PhantomData<fn(T)>);

impl<T: Message> Encoder for SmallBufferEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(message.encoded_len());
        message.encode(buf).map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        settings()
    }
}

impl<T> fmt::Debug for SmallBufferEncoder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SmallBufferEncoder")
    }
}

fn settings() -> BufferSettings {
    BufferSettings::new(BUFFER_SIZE, YIELD_THRESHOLD)
}
