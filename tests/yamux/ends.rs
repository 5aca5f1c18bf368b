//! How streams and sessions end, and how the ends are told apart.

use std::io::ErrorKind;
use std::time::Duration;

use alts::yamux::{Error, Fault};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use crate::raw::{GO_AWAY, PING, RST, Raw, SYN, WINDOW_UPDATE, data, frame};
use crate::{Side, both, config, connected};

#[tokio::test]
async fn three_ends_are_told_apart() {
    // In order.
    let (_client, _server, mut near, mut far) = connected().await;
    near.write_all(b"abc").await.unwrap();
    near.close_write();
    let mut received = Vec::new();
    assert_eq!(far.read_to_end(&mut received).await.unwrap(), 3);

    // Reset, with a code.
    let (_client, _server, near, mut far) = connected().await;
    near.reset(42);
    let error = far.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(Error::of(&error), Some(&Error::Reset { code: 42 }));
    assert_eq!(Error::of(&error).unwrap().fault(), Fault::Refused);

    // The connection is gone, in the middle of a frame.
    let (near, far) = UnixStream::pair().unwrap();
    let server = Side::server(far, config());
    let mut raw = Raw(near);
    raw.send(&[data(SYN, 1, 3), frame(0, 0, 1, 100)]).await;
    let mut stream = server.session.accept().await.unwrap().unwrap();
    drop(raw);
    let mut received = Vec::new();
    let error = stream.read_to_end(&mut received).await.unwrap_err();
    assert_eq!(received.len(), 3, "what came is not lost");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(Error::of(&error), Some(&Error::Truncated));
    assert_eq!(server.driver.await.unwrap(), Err(Error::Truncated));
}

#[tokio::test]
async fn shutdown_lets_streams_end_and_says_go_away_last() {
    let (near, far) = UnixStream::pair().unwrap();
    let server = Side::server(far, config());
    let mut raw = Raw(near);
    raw.send(&[data(SYN, 1, 3)]).await;
    let mut stream = server.session.accept().await.unwrap().unwrap();
    assert_eq!(raw.next().await, Some((WINDOW_UPDATE, 2, 1, 0)));
    let session = server.session.clone();
    let ending = tokio::spawn(async move { session.shutdown(Duration::from_secs(60)).await });
    // No new streams any more.
    assert!(server.session.accept().await.unwrap().is_none());
    raw.send(&[data(SYN, 3, 5)]).await;
    assert_eq!(raw.next().await, Some((WINDOW_UPDATE, RST, 3, 0)));
    assert_eq!(server.session.open().await.unwrap_err(), Error::Closed);
    // The open one goes on.
    raw.send(&[data(4, 1, 100)]).await;
    let mut received = Vec::new();
    assert_eq!(stream.read_to_end(&mut received).await.unwrap(), 103);
    stream.write_all(b"answer").await.unwrap();
    assert!(!ending.is_finished());
    stream.close_write();
    let last = raw.rest().await;
    assert_eq!(last, [(0, 0, 1, 6), (WINDOW_UPDATE, 4, 1, 0), (GO_AWAY, 0, 0, 0)]);
    drop(raw);
    ending.await.unwrap().unwrap();
    server.driver.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn shutdown_has_a_limit() {
    let (_client, server, _near, mut far) = connected().await;
    let start = Instant::now();
    let ended = server.session.shutdown(Duration::from_secs(7)).await;
    assert_eq!(ended, Err(Error::Deadline));
    assert!(Instant::now() - start < Duration::from_secs(9));
    assert_eq!(
        Error::of(&far.read(&mut [0]).await.unwrap_err()),
        Some(&Error::ResetByThisSide { code: 0 })
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_neither_sends_nor_closes_after_the_end_is_left_after_a_second() {
    let (near, far) = UnixStream::pair().unwrap();
    let server = Side::server(far, config());
    let start = Instant::now();
    server.session.shutdown(Duration::from_secs(7)).await.unwrap();
    server.driver.await.unwrap().unwrap();
    assert_eq!((Instant::now() - start).as_secs(), 1);
    assert_eq!(Raw(near).rest().await, [(GO_AWAY, 0, 0, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_close_does_not_wait_for_a_peer_that_does_not_read() {
    let (near, far) = UnixStream::pair().unwrap();
    let server = Side::server(far, config());
    let mut raw = Raw(near);
    // As much credit as the socket does not take.
    raw.send(&[frame(WINDOW_UPDATE, SYN, 1, 100 << 20)]).await;
    let mut stream = server.session.accept().await.unwrap().unwrap();
    let writing = tokio::spawn(async move { stream.write_all(&vec![7; 50 << 20]).await });
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.session.shutdown(Duration::from_secs(7)).await, Err(Error::Deadline));
    writing.await.unwrap().unwrap_err();
    drop(raw);
}

#[tokio::test]
async fn a_session_ends_when_nobody_has_it_and_its_streams_any_more() {
    let (client, server, near, far) = connected().await;
    drop((client.session, server.session));
    assert!(!client.driver.is_finished());
    near.close_write();
    far.close_write();
    client.driver.await.unwrap().unwrap();
    server.driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dropped_driver_fails_everything() {
    let (client, server, mut near, _far) = connected().await;
    client.driver.abort();
    let error = near.read(&mut [0]).await.unwrap_err();
    assert_eq!(Error::of(&error), Some(&Error::DriverDropped));
    assert_eq!(client.session.open().await.unwrap_err(), Error::DriverDropped);
    assert_eq!(client.session.ping().await.unwrap_err(), Error::DriverDropped);
    assert_eq!(client.session.closed().await, Error::DriverDropped);
    // The connection may be closed over bytes that were not read.
    assert_eq!(server.driver.await.unwrap().unwrap_err().fault(), Fault::Network);
}

#[tokio::test]
async fn go_away_with_an_error_ends_the_session() {
    let (near, far) = UnixStream::pair().unwrap();
    let server = Side::server(far, config());
    let mut raw = Raw(near);
    raw.send(&[data(SYN, 1, 3), frame(GO_AWAY, 0, 0, 2), data(0, 1, 3)]).await;
    assert_eq!(server.driver.await.unwrap(), Err(Error::GoAway { code: 2 }));
    let accepted = server.session.accept().await;
    assert_eq!(accepted.unwrap_err(), Error::GoAway { code: 2 });
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_and_then_given_up() {
    let (near, far) = UnixStream::pair().unwrap();
    let server = Side::server(far, config());
    let mut raw = Raw(near);
    let start = Instant::now();
    assert_eq!(raw.next().await, Some((PING, SYN, 0, 0)));
    assert_eq!((Instant::now() - start).as_secs(), 30);
    raw.send(&[frame(PING, 2, 0, 0)]).await;
    assert_eq!(raw.next().await, Some((PING, SYN, 0, 1)));
    assert_eq!((Instant::now() - start).as_secs(), 60);
    assert_eq!(raw.next().await, Some((GO_AWAY, 0, 0, 2)));
    assert_eq!((Instant::now() - start).as_secs(), 70);
    assert_eq!(server.driver.await.unwrap(), Err(Error::KeepAlive));
}

#[tokio::test]
async fn both_sides_keep_alive() {
    let time = Duration::from_millis(20);
    let (client, server) = both(&config().keep_alive(time, 100 * time));
    sleep(20 * time).await;
    assert!(!client.driver.is_finished() && !server.driver.is_finished());
    assert!(client.session.stats().rtt.or(server.session.stats().rtt).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_takes_nothing_ends_the_session() {
    let (near, far) = UnixStream::pair().unwrap();
    let config = config().write_timeout(Some(Duration::from_secs(30))).no_keep_alive();
    let server = Side::server(far, config);
    let mut raw = Raw(near);
    raw.send(&[frame(WINDOW_UPDATE, SYN, 1, 100 << 20)]).await;
    let mut stream = server.session.accept().await.unwrap().unwrap();
    let error = stream.write_all(&vec![7; 50 << 20]).await.unwrap_err();
    assert_eq!(Error::of(&error), Some(&Error::WriteTimeout));
    assert_eq!(server.driver.await.unwrap(), Err(Error::WriteTimeout));
    drop(raw);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_never_acknowledged_fails_alone() {
    let (near, far) = UnixStream::pair().unwrap();
    let config = config().open_timeout(Some(Duration::from_secs(5)));
    let client = Side::client(near, config);
    let mut raw = Raw(far);
    let (mut first, mut second) =
        (client.session.open().await.unwrap(), client.session.open().await.unwrap());
    raw.next().await.unwrap();
    raw.next().await.unwrap();
    raw.send(&[data(0, 1, 3)]).await;
    let error = second.read(&mut [0]).await.unwrap_err();
    assert_eq!(Error::of(&error), Some(&Error::OpenTimeout));
    assert_eq!(first.read(&mut [0; 9]).await.unwrap(), 3);
    assert!(timeout(Duration::from_secs(20), first.read(&mut [0])).await.is_err());
}
