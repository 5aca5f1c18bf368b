//! Servers that break the protocol during transmission. Each fault has its name, and ends the connection.

use alts_nbd::client::{Client, Error, Violation};
use alts_nbd::wire::flags::{AllocationFlags, CommandFlags};
use alts_nbd::wire::reply::{
    ChunkHeader, ChunkType, ErrorChunk, Extent, SimpleReply, encode_block_status,
    encode_data_prefix, encode_hole, encode_none,
};
use alts_nbd::wire::request::{Command, Request};
use alts_nbd::wire::{Errno, Malformed};

use super::scripted::{CONTEXT, Server, connected, violation};

const LEN: usize = 4096;

/// A chunk of these data.
fn data(done: bool, cookie: u64, offset: u64, data: &[u8]) -> Vec<u8> {
    [&encode_data_prefix(done, cookie, offset, data.len() as u32)[..], data].concat()
}

fn chunk(done: bool, kind: ChunkType, cookie: u64, contents: &[u8]) -> Vec<u8> {
    let len = contents.len() as u32;
    [&ChunkHeader { done, kind, cookie, len }.encode()[..], contents].concat()
}

/// What a read of 4 KiB at 8 KiB meets when it is answered by this.
async fn read_answered(
    structured: bool,
    flags: CommandFlags,
    answer: impl FnOnce(&Request) -> Vec<u8>,
) -> (Result<Vec<u8>, Error>, Client, Server) {
    let (client, mut server) = connected(structured).await;
    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.read_with(8192, LEN, flags).await.map(|buf| buf.to_vec()) }
    });
    let (request, _) = server.request().await;
    server.send(&answer(&request)).await;
    (reading.await.unwrap(), client, server)
}

/// The violation in such an answer. Nothing else works afterwards.
async fn fault(structured: bool, answer: impl FnOnce(&Request) -> Vec<u8>) -> Violation {
    let (result, client, mut server) = read_answered(structured, CommandFlags::NONE, answer).await;
    let found = violation(result.unwrap_err());
    let later = client.flush().await.unwrap_err();
    assert_eq!(violation(later), found, "the first fault is final");
    assert_eq!(violation(client.disconnect().await.unwrap_err()), found);
    server.is_dropped().await;
    found
}

#[tokio::test]
async fn chunks_that_do_not_fit() {
    let bytes = [1; LEN];
    let half = &bytes[..LEN / 2];
    let found = fault(true, |r| {
        [data(false, r.cookie, 8192, half), data(true, r.cookie, 8192 + 100, half)].concat()
    });
    assert_eq!(found.await, Violation::Overlap(8292, 2048));
    let found = fault(true, |r| data(true, r.cookie, 8193, &bytes));
    assert_eq!(found.await, Violation::Outside(8193, 4096));
    let found = fault(true, |r| data(true, r.cookie, 0, &bytes));
    assert_eq!(found.await, Violation::Outside(0, 4096));
    // The length is believed before the bytes come.
    let found = fault(true, |r| encode_data_prefix(true, r.cookie, 8192, u32::MAX - 8).to_vec());
    assert_eq!(found.await, Violation::Outside(8192, u64::from(u32::MAX - 8)));
    let found = fault(true, |r| encode_hole(true, r.cookie, 8192, u32::MAX).to_vec());
    assert_eq!(found.await, Violation::Outside(8192, u32::MAX.into()));
    let found = fault(true, |r| data(true, r.cookie, 8192, half));
    assert_eq!(found.await, Violation::Missing(8192 + 2048));
    let found = fault(true, |r| encode_none(r.cookie).to_vec());
    assert_eq!(found.await, Violation::Missing(8192));
}

#[tokio::test]
async fn lengths_that_a_chunk_cannot_have() {
    for (kind, len) in [
        (ChunkType::None, 1),
        (ChunkType::OffsetData, 0),
        (ChunkType::OffsetData, 8),
        (ChunkType::OffsetHole, 11),
        (ChunkType::OffsetHole, 13),
        (ChunkType::Error, 8193),
        (ChunkType::ErrorOffset, u32::MAX),
        (ChunkType::OtherError(0x8123), u32::MAX),
    ] {
        let header = |r: &Request| ChunkHeader { done: true, kind, cookie: r.cookie, len };
        let found = fault(true, |r| header(r).encode().to_vec()).await;
        assert_eq!(found, Violation::ChunkLength(kind, len));
    }
}

#[tokio::test]
async fn replies_to_nobody() {
    for cookie in [0, 2, u64::MAX] {
        let found = fault(true, |_| encode_none(cookie).to_vec()).await;
        assert_eq!(found, Violation::UnknownCookie(cookie));
        let simple = SimpleReply { error: None, cookie };
        let found = fault(true, |_| simple.encode().to_vec()).await;
        assert_eq!(found, Violation::UnknownCookie(cookie));
    }
}

#[tokio::test]
async fn chunks_after_the_end_of_a_reply() {
    let (result, client, mut server) =
        read_answered(true, CommandFlags::NONE, |r| data(true, r.cookie, 8192, &[1; LEN])).await;
    assert!(result.is_ok());
    server.send(&encode_none(1)).await;
    let ended = client.disconnect().await.unwrap_err();
    assert_eq!(violation(ended), Violation::AnsweredTwice(1));
}

#[tokio::test]
async fn replies_of_the_wrong_kind() {
    let found = fault(true, |r| SimpleReply { error: None, cookie: r.cookie }.encode().to_vec());
    assert_eq!(found.await, Violation::SimpleReply);
    let refused = |r: &Request| SimpleReply { error: Some(Errno::Io), cookie: r.cookie };
    assert_eq!(fault(true, |r| refused(r).encode().to_vec()).await, Violation::SimpleReply);
    let found = fault(false, |r| data(true, r.cookie, 8192, &[0; LEN])).await;
    assert_eq!(found, Violation::Chunk);
    let extents = [Extent { len: 512, flags: AllocationFlags::NONE }];
    let found = fault(true, |r| encode_block_status(true, r.cookie, CONTEXT, &extents)).await;
    assert_eq!(found, Violation::WrongChunk(ChunkType::BlockStatus, Command::Read));
    let found = fault(true, |r| chunk(true, ChunkType::Unknown(9), r.cookie, b"")).await;
    assert_eq!(found, Violation::WrongChunk(ChunkType::Unknown(9), Command::Read));
    let found = fault(true, |r| chunk(false, ChunkType::None, r.cookie, b"")).await;
    assert_eq!(found, Violation::NotDone);
}

#[tokio::test]
async fn what_is_no_message() {
    for (bytes, expected) in [
        ([0; 40], Malformed::Magic(0)),
        // A chunk with an unknown flag.
        (
            {
                let mut bytes = [0; 40];
                bytes[..4].copy_from_slice(&[0x66, 0x8e, 0x33, 0xef]);
                bytes[5] = 2;
                bytes
            },
            Malformed::Field("flags of a chunk"),
        ),
    ] {
        let (result, ..) = read_answered(true, CommandFlags::NONE, |_| bytes.to_vec()).await;
        assert_eq!(result.unwrap_err(), Error::Malformed(expected));
    }
    let (result, ..) =
        read_answered(true, CommandFlags::NONE, |r| encode_hole(true, r.cookie, 8192, 0).to_vec())
            .await;
    assert!(matches!(result, Err(Error::Malformed(_))), "an empty hole: {result:?}");
}

#[tokio::test]
async fn one_chunk_where_one_was_asked_for() {
    let half = [1; LEN / 2];
    let (result, ..) = read_answered(true, CommandFlags::DF, |r| {
        [data(false, r.cookie, 8192, &half), data(true, r.cookie, 8192 + 2048, &half)].concat()
    })
    .await;
    assert_eq!(violation(result.unwrap_err()), Violation::Fragmented);
    // The end may be a chunk of its own.
    let (result, ..) = read_answered(true, CommandFlags::DF, |r| {
        [data(false, r.cookie, 8192, &[1; LEN]), encode_none(r.cookie).to_vec()].concat()
    })
    .await;
    assert_eq!(result.unwrap(), [1; LEN]);
}

#[tokio::test]
async fn errors_in_the_middle_leave_the_connection_usable() {
    let error = |offset| ErrorChunk { error: Errno::Io, message: "a bad\nsector", offset };
    for offset in [None, Some(8192 + 700)] {
        let (result, client, mut server) = read_answered(true, CommandFlags::NONE, |r| {
            [data(false, r.cookie, 8192, &[1; 700]), error(offset).encode(r.cookie)].concat()
        })
        .await;
        let result = result.unwrap_err();
        let text = result.to_string();
        assert!(text.contains("EIO") && text.contains(r"a bad\nsector"), "{text}");
        let Error::Refused(refusal) = result else { panic!("{result:?}") };
        assert_eq!((refusal.offset, refusal.failed_at), (8192, offset));
        let flushing = tokio::spawn(async move { client.flush().await });
        let (request, _) = server.request().await;
        assert_eq!(request.command, Command::Flush);
        server.send(&encode_none(request.cookie)).await;
        assert_eq!(flushing.await.unwrap(), Ok(()));
    }
    // An error is not the end of a reply if it does not say so.
    let (result, ..) = read_answered(true, CommandFlags::NONE, |r| {
        let contents = [0, 0, 0, 28, 0, 0];
        [chunk(false, ChunkType::Error, r.cookie, &contents), encode_none(r.cookie).to_vec()]
            .concat()
    })
    .await;
    assert_eq!(result.unwrap_err().errno(), Some(Errno::NoSpc));
    let outside = fault(true, |r| error(Some(0)).encode(r.cookie)).await;
    assert_eq!(outside, Violation::Outside(0, 0));
    let no_error = fault_of_error(&[0; 6]).await;
    assert!(matches!(no_error, Error::Malformed(Malformed::Field(_))), "{no_error:?}");
    let cut = fault_of_error(&[0, 0, 0, 5, 0, 9]).await;
    assert_eq!(cut, Error::Malformed(Malformed::Length));
}

async fn fault_of_error(contents: &[u8]) -> Error {
    let answer = |r: &Request| chunk(true, ChunkType::Error, r.cookie, contents);
    read_answered(true, CommandFlags::NONE, answer).await.0.unwrap_err()
}

#[tokio::test]
async fn an_end_in_the_middle() {
    for cut in [1, 16, 20, 27, 28, 29, 28 + LEN - 1] {
        let (client, mut server) = connected(true).await;
        let reading = tokio::spawn({
            let client = client.clone();
            async move { client.read(8192, LEN).await.map(drop) }
        });
        let (request, _) = server.request().await;
        let answer = data(true, request.cookie, 8192, &[1; LEN]);
        server.send(&answer[..cut]).await;
        drop(server);
        let error = reading.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("in the middle"), "{cut}: {error}");
        assert_eq!(client.flush().await, Err(error));
    }
    let (client, server) = connected(true).await;
    drop(server);
    let error = client.read(0, 512).await.map(drop).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}

/// What block status of 1 MiB at 1 MiB meets.
async fn status(
    flags: CommandFlags,
    answer: impl FnOnce(u64) -> Vec<u8>,
) -> Result<Vec<Extent>, Error> {
    let (client, mut server) = connected(true).await;
    let asking = tokio::spawn(async move { client.block_status(1 << 20, 1 << 20, flags).await });
    let (request, _) = server.request().await;
    assert_eq!(request.command, Command::BlockStatus);
    server.send(&answer(request.cookie)).await;
    asking.await.unwrap()
}

#[tokio::test]
async fn extents() {
    let extent = |len| Extent { len, flags: AllocationFlags::HOLE };
    let one = CommandFlags::REQ_ONE;
    let none = CommandFlags::NONE;
    let told = |id, lens: &[u32]| {
        let extents: Vec<_> = lens.iter().copied().map(extent).collect();
        move |cookie| encode_block_status(true, cookie, id, &extents)
    };
    let two = status(none, told(CONTEXT, &[512, 1 << 30])).await;
    assert_eq!(two, Ok(vec![extent(512), extent(1 << 30)]));
    for (flags, id, lens, expected) in [
        (none, CONTEXT + 1, vec![512], Violation::UnknownContext(CONTEXT + 1)),
        (none, 0, vec![512], Violation::UnknownContext(0)),
        (none, CONTEXT, vec![1 << 20, 1], Violation::ExtentBeyond),
        (one, CONTEXT, vec![512, 512], Violation::NotOneExtent),
        (one, CONTEXT, vec![(1 << 20) + 1], Violation::NotOneExtent),
    ] {
        let found = status(flags, told(id, &lens)).await;
        assert_eq!(violation(found.unwrap_err()), expected);
    }
    let empty = status(none, |cookie| encode_none(cookie).to_vec()).await;
    assert_eq!(violation(empty.unwrap_err()), Violation::NoExtents);
    let simple = |cookie| SimpleReply { error: None, cookie }.encode().to_vec();
    assert_eq!(violation(status(none, simple).await.unwrap_err()), Violation::NoExtents);
    let refused = |cookie| SimpleReply { error: Some(Errno::Io), cookie }.encode().to_vec();
    assert_eq!(status(none, refused).await.unwrap_err().errno(), Some(Errno::Io));
    let twice = status(none, |cookie| {
        let once = encode_block_status(false, cookie, CONTEXT, &[extent(512)]);
        [once.clone(), once].concat()
    });
    assert_eq!(violation(twice.await.unwrap_err()), Violation::RepeatedContext(CONTEXT));
    for len in [4, 11, 13, 4 + 8 * ((1 << 20) + 1)] {
        let found = status(none, |cookie| {
            let kind = ChunkType::BlockStatus;
            let header = ChunkHeader { done: true, kind, cookie, len };
            [&header.encode()[..], &CONTEXT.to_be_bytes()].concat()
        });
        let expected = Violation::ChunkLength(ChunkType::BlockStatus, len);
        assert_eq!(violation(found.await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn requests_that_cannot_succeed_are_not_sent() {
    let (client, mut server) = connected(true).await;
    let size = client.size();
    assert!(client.read(size, 512).await.is_err());
    assert!(client.read(0, 511).await.is_err());
    assert!(client.read(0, 64 << 20).await.is_err());
    assert!(client.read(0, 0).await.is_err());
    assert!(client.zero(size - 512..size + 512, CommandFlags::NONE).await.is_err());
    assert!(client.write(u64::MAX - 511, vec![0; 512], CommandFlags::NONE).await.is_err());
    assert!(client.block_status(0, 512, CommandFlags::DF).await.is_err());
    assert_eq!(client.write(0, Vec::new(), CommandFlags::NONE).await, Ok(()));
    let leaving = tokio::spawn(async move { client.disconnect().await });
    assert_eq!(server.request().await.0.command, Command::Disconnect);
    drop(server);
    assert_eq!(leaving.await.unwrap(), Ok(()));
}
