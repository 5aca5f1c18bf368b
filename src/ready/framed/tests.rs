//! What is held when.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::codec::{BytesCodec, LengthDelimitedCodec, LinesCodec};

use super::*;

type Messages = Framed<UnixStream, LengthDelimitedCodec>;

fn messages() -> (Messages, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    (Framed::new(near, LengthDelimitedCodec::new(), BufferPool::new()), far)
}

fn message(len: usize) -> Vec<u8> {
    let mut bytes = (len as u32).to_be_bytes().to_vec();
    bytes.extend((0..len).map(|at| at as u8));
    bytes
}

/// Nothing comes for now.
async fn waits(framed: &mut Messages) {
    tokio::select! {
        biased;
        received = framed.next() => panic!("{received:?}"),
        () = async { for _ in 0..3 { tokio::task::yield_now().await } } => {}
    }
}

impl<IO, C> Framed<IO, C> {
    /// How many bytes there are of a message, and the memory that they have.
    fn held(&self) -> Option<(usize, usize)> {
        let received = &self.active.as_ref()?.received;
        Some((received.len(), received.capacity()))
    }
}

#[tokio::test]
async fn nothing_is_held_between_messages() {
    let (mut framed, mut far) = messages();
    for len in [0, 1, 5_000, 300_000] {
        let sent = message(len);
        let (_, received) = tokio::join!(far.write_all(&sent), framed.next());
        assert_eq!(received.unwrap().unwrap(), sent[4..]);
        waits(&mut framed).await;
        assert!(framed.active.is_none());
        assert_eq!(framed.pool.stats().in_use_buffers, 0);

        let mut back = vec![0; sent.len()];
        let payload = bytes::Bytes::copy_from_slice(&sent[4..]);
        let (sending, reading) = tokio::join!(framed.send(payload), far.read_exact(&mut back));
        sending.unwrap();
        reading.unwrap();
        assert_eq!(back, sent);
        assert!(framed.active.is_none());
    }
}

#[tokio::test]
async fn part_of_a_message_has_memory_of_its_own_size() {
    let (mut framed, mut far) = messages();
    // The decoder reserves what the length claims.
    let sent = message(1 << 20);
    far.write_all(&sent[..12]).await.unwrap();
    waits(&mut framed).await;
    assert_eq!(framed.held(), Some((8, 8)));
    far.write_all(&sent[12..8_000]).await.unwrap();
    waits(&mut framed).await;
    assert_eq!(framed.held(), Some((7_996, 7_996)));
    let rest = async {
        for part in sent[8_000..].chunks(10_000) {
            far.write_all(part).await.unwrap();
        }
    };
    let (received, ()) = tokio::join!(framed.next(), rest);
    assert_eq!(received.unwrap().unwrap(), sent[4..]);

    // The beginning of the next one does not keep the memory of those before it.
    let mut several = message(20_000);
    several.extend(message(100));
    far.write_all(&several[..several.len() - 1]).await.unwrap();
    let first = framed.next().await.unwrap().unwrap();
    waits(&mut framed).await;
    assert_eq!(framed.held(), Some((99, 99)));
    assert_eq!(first, message(20_000)[4..]);
}

#[tokio::test]
async fn a_large_part_is_moved_when_it_has_doubled() {
    let (mut framed, mut far) = messages();
    let sent = message(1 << 20);
    let (mut sent_so_far, mut moves, mut exact) = (0, 0, 0);
    while sent_so_far < 600_000 {
        far.write_all(&sent[sent_so_far..][..5_000]).await.unwrap();
        sent_so_far += 5_000;
        waits(&mut framed).await;
        let now = framed.active.as_ref().unwrap().exact;
        moves += u32::from(now != exact);
        exact = now;
    }
    assert_eq!(framed.active.as_ref().unwrap().received.len(), sent_so_far - 4);
    // At 5,000 bytes, at 10,000, 20,000 and so on.
    assert_eq!(moves, 7);
}

#[tokio::test]
async fn the_stream_is_over_after_an_error_and_after_the_end() {
    let (mut framed, mut far) = messages();
    far.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert!(framed.next().await.unwrap().is_err(), "more than the decoder takes");
    assert!(framed.next().await.is_none());
    assert!(framed.active.is_none());
    framed.send(bytes::Bytes::from("still there")).await.unwrap();
    let mut sent = [0; 15];
    far.read_exact(&mut sent).await.unwrap();
    assert_eq!(sent[4..], *b"still there");

    let (mut framed, mut far) = messages();
    far.write_all(&message(3)).await.unwrap();
    far.write_all(&message(3)[..5]).await.unwrap();
    drop(far);
    assert_eq!(framed.next().await.unwrap().unwrap(), [0, 1, 2][..]);
    assert!(framed.next().await.unwrap().is_err(), "the last one was cut off");
    assert!(framed.next().await.is_none());
}

#[tokio::test]
async fn at_the_end_the_decoder_is_asked_for_what_is_left() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut lines = Framed::new(near, LinesCodec::new(), BufferPool::new());
    far.write_all(b"one\ntwo").await.unwrap();
    drop(far);
    assert_eq!(lines.next().await.unwrap().unwrap(), "one");
    assert_eq!(lines.next().await.unwrap().unwrap(), "two");
    assert!(lines.next().await.is_none());
}

#[tokio::test]
async fn another_codec_begins_with_what_was_received() {
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut lines = Framed::new(near, LinesCodec::new(), BufferPool::new());
    far.write_all(b"bytes from here on\nhello").await.unwrap();
    assert_eq!(lines.next().await.unwrap().unwrap(), "bytes from here on");
    let ended = tokio::select! {
        biased;
        line = lines.next() => Some(line),
        () = tokio::task::yield_now() => None,
    };
    assert!(ended.is_none());
    let mut bytes = lines.map_codec(|_| BytesCodec::new());
    assert_eq!(bytes.next().await.unwrap().unwrap(), b"hello"[..]);
    far.write_all(b"and more").await.unwrap();
    assert_eq!(bytes.next().await.unwrap().unwrap(), b"and more"[..]);
    assert!(bytes.into_parts().received.is_empty());
}

#[tokio::test]
async fn a_peer_that_does_not_read_has_little_encoded_for_it() {
    let (mut framed, _far) = messages();
    let mut fed = 0;
    let feeding = async {
        loop {
            framed.feed(bytes::Bytes::from(vec![7; 1_000])).await.unwrap();
            fed += 1;
        }
    };
    tokio::select! {
        biased;
        () = feeding => {}
        () = async { for _ in 0..100 { tokio::task::yield_now().await } } => {}
    }
    assert!(fed > 8);
    let unsent = framed.into_parts().unsent.len();
    assert!((1..UNSENT + 1_004).contains(&unsent), "{unsent}");
}

#[tokio::test]
async fn at_the_pools_cap_a_reader_waits_in_the_queue() {
    let pool = BufferPool::builder().cap(64 << 10).build().unwrap();
    let (near, mut far) = UnixStream::pair().unwrap();
    let mut framed = Framed::new(near, LengthDelimitedCodec::new(), pool.clone());
    let taken = pool.take(pool.buffer_size()).unwrap();
    let mut others = Vec::new();
    while let Ok(buffer) = pool.take(pool.buffer_size()) {
        others.push(buffer);
    }
    far.write_all(&message(10)).await.unwrap();
    waits(&mut framed).await;
    assert_eq!(pool.stats().waiting, 1);
    drop(taken);
    assert_eq!(framed.next().await.unwrap().unwrap(), message(10)[4..]);
    waits(&mut framed).await;
    assert!(framed.active.is_none());
}
