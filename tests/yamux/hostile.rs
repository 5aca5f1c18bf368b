//! Peers that are wrong, on a real connection: what they are told, and what is held for them.

use std::time::Duration;

use alts::yamux::{Error, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::raw::{DATA, FIN, GO_AWAY, PING, RST, Raw, SYN, WINDOW_UPDATE, data, frame};
use crate::{Side, config};

fn server() -> (Raw, Side) {
    let (near, far) = UnixStream::pair().unwrap();
    (Raw(near), Side::server(far, config()))
}

/// The session ends with this error, and the peer is told so, although it has sent more than was read.
async fn ends(frames: &[Vec<u8>], violation: Violation) {
    let (mut raw, server) = server();
    raw.send(frames).await;
    // What is still coming does not take the GoAway back.
    let _ = raw.0.write_all(&[0; 16_000]).await;
    let sent = raw.rest().await;
    assert_eq!(sent.last(), Some(&(GO_AWAY, 0, 0, 1)), "{violation}");
    drop(raw);
    assert_eq!(server.driver.await.unwrap(), Err(Error::Protocol(violation)));
}

#[tokio::test]
async fn faults_end_the_session_and_go_away_arrives() {
    let mut version = frame(DATA, 0, 1, 0);
    version[0] = 9;
    ends(&[version], Violation::Version(9)).await;
    ends(&[frame(7, 0, 1, 0)], Violation::Type(7)).await;
    let syn = || frame(WINDOW_UPDATE, SYN, 1, 0);
    ends(&[syn(), syn()], Violation::SynTwice { stream: 1 }).await;
    ends(&[frame(DATA, SYN, 2, 0)], Violation::SynOfThisSide { stream: 2 }).await;
    ends(&[frame(DATA, SYN, 0, 0)], Violation::SynOfThisSide { stream: 0 }).await;
    let exceeded = Violation::CreditExceeded { stream: 1, len: 262_145, credit: 262_144 };
    // The header alone is enough.
    ends(&[syn(), frame(DATA, 0, 1, 262_145)], exceeded).await;
    let delta = frame(WINDOW_UPDATE, 0, 1, u32::MAX);
    ends(&[syn(), delta], Violation::CreditOverflow { stream: 1 }).await;
}

#[tokio::test]
async fn faults_of_a_stream_end_the_stream_alone() {
    let (mut raw, server) = server();
    raw.send(&[
        data(SYN | FIN, 1, 3),
        data(0, 1, 9),
        frame(WINDOW_UPDATE, FIN, 1, 0),
        data(SYN, 3, 4),
    ])
    .await;
    assert_eq!(raw.next().await, Some((WINDOW_UPDATE, RST, 1, 0)));
    let mut stream = server.session.accept().await.unwrap().unwrap();
    assert_eq!(stream.id(), 3);
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 4);
}

#[tokio::test]
async fn one_byte_at_a_time() {
    let (mut raw, server) = server();
    let frames = [data(SYN, 1, 5), frame(PING, SYN, 0, 77), data(FIN, 1, 6)];
    for byte in frames.concat() {
        raw.0.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(raw.next().await, Some((PING, 2, 0, 77)));
    let mut stream = server.session.accept().await.unwrap().unwrap();
    let mut received = Vec::new();
    assert_eq!(stream.read_to_end(&mut received).await.unwrap(), 11);
}

#[tokio::test]
async fn a_header_cut_at_the_end() {
    let (mut raw, server) = server();
    raw.0.write_all(&frame(PING, SYN, 0, 1)[..11]).await.unwrap();
    raw.0.shutdown().await.unwrap();
    assert_eq!(server.driver.await.unwrap(), Err(Error::Truncated));
    assert_eq!(raw.rest().await, [(GO_AWAY, 0, 0, 1)]);
}

/// Floods from a peer that reads nothing: how many bytes this side takes before it stops reading.
async fn floods(frame: Vec<u8>) -> usize {
    let (mut raw, server) = server();
    let flood = frame.repeat(1_000);
    let mut sent = 0;
    // Only a flood that is taken without end would go on forever; the session would end it, but at 1.5 MB.
    while sent < 64 << 20 {
        match timeout(Duration::from_secs(2), raw.0.write_all(&flood)).await {
            Ok(Ok(())) => sent += flood.len(),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    assert_eq!(server.pool.stats().in_use_bytes + server.pool.stats().beyond_cap_bytes, 0);
    sent
}

#[tokio::test]
async fn pings_and_streams_that_are_refused_stop_this_side_from_reading() {
    let pings = floods(frame(PING, SYN, 0, 1)).await;
    assert!(pings <= 4 << 20, "{pings} bytes of pings");
    // Each is reset: after 256 in the backlog.
    let (mut raw, server) = server();
    let mut id = 1;
    let mut sent = 0;
    loop {
        let flood: Vec<u8> =
            (0..1_000).flat_map(|i| frame(WINDOW_UPDATE, SYN, id + 2 * i, 0)).collect();
        id += 2_000;
        match timeout(Duration::from_secs(2), raw.0.write_all(&flood)).await {
            Ok(Ok(())) => sent += flood.len(),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    assert!(sent <= 4 << 20, "{sent} bytes of SYN");
    assert_eq!(server.session.stats().streams, 256);
}

#[tokio::test]
async fn floods_of_frames_that_need_no_answer_end_the_session() {
    for frame in [frame(DATA, 0, 1, 0), frame(WINDOW_UPDATE, 0, 1, 0), frame(PING, 2, 0, 9)] {
        let (mut raw, server) = server();
        raw.send(&[data(SYN, 1, 5)]).await;
        let flood = frame.repeat(10_000);
        // All of it within a second, or there is more of it.
        while raw.0.write_all(&flood).await.is_ok() {}
        assert_eq!(server.driver.await.unwrap(), Err(Error::Protocol(Violation::Flood)));
    }
}

/// A few frames at a time, between which the session has nothing to do and keeps next to nothing.
#[tokio::test(start_paused = true)]
async fn a_flood_ends_a_session_without_streams_too() {
    for frame in [frame(PING, 2, 0, 9), frame(PING, SYN, 0, 9), frame(WINDOW_UPDATE, RST, 1, 0)] {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut raw, server) = (Raw(near), Side::server(far, config().no_keep_alive()));
        let (few, mut answers) = (frame.repeat(100), [0; 4_000]);
        // The clock stands still. What comes after the end of the session is read and dropped.
        for _ in 0..1_400 {
            raw.0.write_all(&few).await.unwrap();
            tokio::task::yield_now().await;
            let _ = raw.0.try_read(&mut answers);
        }
        drop(raw);
        assert_eq!(server.driver.await.unwrap(), Err(Error::Protocol(Violation::Flood)));
    }
}

#[tokio::test]
async fn resets_of_streams_that_nobody_has_accepted_leave_nothing() {
    let (mut raw, server) = server();
    for round in 0..2_000_u32 {
        let id = 2 * round + 1;
        raw.send(&[data(SYN, id, 1_000), frame(WINDOW_UPDATE, RST, id, 0)]).await;
    }
    raw.send(&[frame(PING, SYN, 0, 5)]).await;
    assert_eq!(raw.next().await, Some((PING, 2, 0, 5)));
    let stats = server.session.stats();
    assert_eq!((stats.streams, stats.queued, stats.held_bytes), (0, 0, 0));
    assert_eq!(stats.resets_received, 2_000);
}
