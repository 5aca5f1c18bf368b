//! How an ending crosses a relay.

use std::io;

use alts::Error;
use alts::connect::Settings;
use alts::relay::{End, PipePool, RelayOptions, relay};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::between;
use crate::support::{Parties, pattern, tcp_sockets};

/// By splice and by copying.
fn both_paths() -> [RelayOptions; 2] {
    let mut copying = RelayOptions::default();
    copying.pipes = None;
    [RelayOptions::default(), copying]
}

#[tokio::test]
async fn a_half_closed_connection_goes_on_in_the_other_direction() {
    for options in both_paths() {
        let mut between = between(&options).await;
        between.left.write_all(b"request").await.unwrap();
        between.left.shutdown().await.unwrap();
        let mut request = String::new();
        between.right.read_to_string(&mut request).await.unwrap();
        assert_eq!(request, "request");
        let answer = pattern(3 << 20);
        let sending = async {
            between.right.write_all(&answer).await.unwrap();
            between.right.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let receiving = between.left.read_to_end(&mut received);
        let ((), result) = tokio::join!(sending, receiving);
        result.unwrap();
        assert!(received == answer);
        assert!(between.relay.await.unwrap().is_clean());
    }
}

#[tokio::test]
async fn a_reset_crosses_as_a_reset_in_both_directions() {
    for options in both_paths() {
        for from_left in [true, false] {
            let mut between = between(&options).await;
            // Something has passed, so that it is no reset before the first byte.
            let mut byte = [0];
            between.left.write_all(b"x").await.unwrap();
            between.right.read_exact(&mut byte).await.unwrap();
            let (gone, mut other) = match from_left {
                true => (between.left, between.right),
                false => (between.right, between.left),
            };
            gone.set_zero_linger().unwrap();
            drop(gone);
            let error = other.read(&mut byte).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            let summary = between.relay.await.unwrap();
            let cut = match from_left {
                true => (summary.a_to_b.end, summary.b_to_a.end),
                false => (summary.b_to_a.end, summary.a_to_b.end),
            };
            assert_eq!(cut.0, End::ReadFailed(io::ErrorKind::ConnectionReset));
            assert_eq!(cut.1, End::Aborted);
        }
    }
}

#[tokio::test]
async fn a_secure_stream_that_is_cut_is_never_a_clean_end_on_the_plain_side() {
    let parties = Parties::new();
    let options = RelayOptions::default();
    let (mut client, secure) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let (plain, mut service) = tcp_sockets().await;
    let relay = tokio::spawn(relay(secure, plain, &options));
    client.write_all(b"half of it").await.unwrap();
    let mut received = [0; 10];
    service.read_exact(&mut received).await.unwrap();
    drop(client); // without the authenticated close
    let error = service.read(&mut received).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let summary = relay.await.unwrap();
    assert_eq!(summary.a_to_b.end, End::ReadFailed(io::ErrorKind::UnexpectedEof));
}

#[tokio::test]
async fn a_plain_side_that_is_reset_is_no_authenticated_end_on_the_secure_side() {
    let parties = Parties::new();
    let options = RelayOptions::default();
    let (mut client, secure) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let (plain, mut service) = tcp_sockets().await;
    let relay = tokio::spawn(relay(secure, plain, &options));
    service.write_all(b"half of it").await.unwrap();
    let mut received = [0; 10];
    client.read_exact(&mut received).await.unwrap();
    service.set_zero_linger().unwrap();
    drop(service);
    let error = client.read(&mut received).await.unwrap_err();
    assert!(matches!(Error::of(&error), Some(Error::Truncated { .. })), "{error}");
    assert!(!client.peer_closed_authenticated());
    assert!(!relay.await.unwrap().is_clean());
}

/// The left side sends on after the right side has gone, but what the right side sent before is delivered first.
#[tokio::test]
async fn what_a_vanished_receiver_sent_before_is_delivered() {
    for pipes in [Some(PipePool::default()), None] {
        let mut options = RelayOptions::default();
        options.pipes = pipes;
        let mut between = between(&options).await;
        between.right.write_all(b"last words").await.unwrap();
        // The end, then a reset for each byte that comes later.
        drop(between.right);
        let mut received: Vec<u8> = Vec::new();
        let mut buf = [0; 64];
        loop {
            let _ = between.left.write_all(b"anybody there?").await;
            match between.left.read(&mut buf).await {
                Ok(0) | Err(_) => break,
                Ok(count) => received.extend(&buf[..count]),
            }
        }
        assert_eq!(received, b"last words");
        between.relay.await.unwrap();
    }
}

#[tokio::test]
async fn a_relay_that_is_dropped_is_no_clean_end() {
    let between = between(&RelayOptions::default()).await;
    let mut left = between.left;
    left.write_all(b"x").await.unwrap();
    let mut right = between.right;
    right.read_exact(&mut [0]).await.unwrap();
    between.relay.abort();
    for side in [&mut left, &mut right] {
        let error = side.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}

#[cfg(feature = "yamux")]
#[tokio::test]
async fn a_stream_of_a_session_ends_as_the_plain_side_does() {
    use alts::pool::BufferPool;
    use alts::yamux::{Config, Session};
    use tokio::net::UnixStream;

    let options = RelayOptions::default();
    let (near, far) = UnixStream::pair().unwrap();
    let (client, driver) = Session::client(near, Config::default(), BufferPool::new());
    tokio::spawn(driver);
    let (server, driver) = Session::server(far, Config::default(), options.pool.clone());
    let driver = tokio::spawn(driver);
    for is_cut in [false, true] {
        let mut stream = client.open().await.unwrap();
        let (plain, mut service) = tcp_sockets().await;
        let accepted = server.accept().await.unwrap().unwrap();
        let relay = tokio::spawn(relay(plain, accepted, &options));
        let data = pattern(3 << 20);
        let mut received = Vec::new();
        let (sent, read) = tokio::join!(
            async {
                service.write_all(&data).await?;
                // The direction that has ended in order stays so.
                if is_cut { Ok(()) } else { service.shutdown().await }
            },
            async {
                match is_cut {
                    true => {
                        received.resize(data.len(), 0);
                        stream.read_exact(&mut received).await
                    }
                    false => stream.read_to_end(&mut received).await,
                }
            }
        );
        sent.unwrap();
        read.unwrap();
        assert!(received == data);
        if is_cut {
            service.set_zero_linger().unwrap();
            drop(service);
            let error = stream.read(&mut [0]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            assert!(!relay.await.unwrap().is_clean());
        } else {
            stream.write_all(b"thanks").await.unwrap();
            stream.close_write();
            let mut answer = String::new();
            service.read_to_string(&mut answer).await.unwrap();
            assert_eq!(answer, "thanks");
            assert!(relay.await.unwrap().is_clean());
        }
    }
    // The other way round: a stream that is reset, and one whose session is lost.
    for session_is_lost in [false, true] {
        let mut stream = client.open().await.unwrap();
        let (plain, mut service) = tcp_sockets().await;
        let accepted = server.accept().await.unwrap().unwrap();
        let relay = tokio::spawn(relay(plain, accepted, &options));
        stream.write_all(b"half").await.unwrap();
        service.read_exact(&mut [0; 4]).await.unwrap();
        if session_is_lost {
            driver.abort();
        } else {
            stream.reset(7);
        }
        let error = service.read(&mut [0]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(!relay.await.unwrap().is_clean());
    }
}
