//! What an application does with streams.

use std::sync::Arc;
use std::time::Duration;

use alts::pool::BufferPool;
use alts::ready::{Probed, ReadyReader};
use alts::yamux::{ConfigError, Error, ReadHalf, Session, Stream, WriteHalf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::support::{Parties, assert_nothing_out, pattern, settings, tcp_sockets};
use crate::{both, config, connected};

/// Accepts streams and sends back what comes.
async fn echo(server: Session) {
    while let Ok(Some(mut stream)) = server.accept().await {
        tokio::spawn(async move {
            let pool = BufferPool::new();
            while let Ok(Some(chunk)) = stream.read_on_ready(&pool).await {
                stream.write_all(&chunk).await.unwrap();
            }
            let _ = stream.shutdown().await;
        });
    }
}

/// Many streams at once, each with bytes of its own.
async fn exchange<A, B>(near: A, far: B, streams: usize, len: usize)
where
    A: ReadyReader + AsyncWrite + Unpin + Send + 'static,
    B: ReadyReader + AsyncWrite + Unpin + Send + 'static,
{
    let pool = BufferPool::new();
    let (client, near) = Session::client(near, config().build().unwrap(), pool.clone());
    let (server, far) = Session::server(far, config().build().unwrap(), pool.clone());
    let (near, far) = (tokio::spawn(near), tokio::spawn(far));
    tokio::spawn(echo(server));
    let all = Arc::new(pattern(len + streams));
    let tasks: Vec<_> = (0..streams)
        .map(|nth| {
            let (client, all) = (client.clone(), Arc::clone(&all));
            tokio::spawn(async move {
                let (mut reader, mut writer) = client.open().await.unwrap().into_split();
                let sent = Arc::clone(&all);
                let writing = tokio::spawn(async move {
                    writer.write_all(&sent[nth..nth + len]).await.unwrap();
                    writer.shutdown().await.unwrap();
                });
                let mut received = Vec::new();
                reader.read_to_end(&mut received).await.unwrap();
                assert!(received == all[nth..nth + len], "stream {nth}");
                writing.await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    client.shutdown(Duration::from_secs(30)).await.unwrap();
    near.await.unwrap().unwrap();
    far.await.unwrap().unwrap();
    assert_nothing_out(&pool);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_over_tcp() {
    let (near, far) = tcp_sockets().await;
    exchange(near, far, 50, 400_000).await;
}

#[tokio::test]
async fn many_streams_over_alts() {
    let pool = BufferPool::new();
    let (near, far) =
        Parties::new().tcp_pair(settings(&pool, |_| ()), settings(&pool, |_| ())).await;
    exchange(near, far, 20, 400_000).await;
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn many_streams_over_anything_that_is_probed() {
    let (near, far) = tokio::io::duplex(1_000);
    exchange(Probed::new(near), Probed::new(far), 10, 100_000).await;
}

#[test]
fn handles_and_drivers_can_be_sent_to_other_threads() {
    fn is_send<T: Send + 'static>() {}
    fn is_sync<T: Sync>() {}
    is_send::<(Stream, ReadHalf, WriteHalf, Session)>();
    is_sync::<(Stream, Session)>();
    is_send::<alts::yamux::Driver<tokio::net::TcpStream>>();
    assert!(size_of::<Stream>() <= 48);
}

#[tokio::test]
async fn a_large_answer_after_a_half_close() {
    let (_client, _server, mut near, mut far) = connected().await;
    near.close_write();
    let sending = tokio::spawn(async move {
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        far.write_all(&pattern(3_000_000)).await.unwrap();
        far.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    near.read_to_end(&mut received).await.unwrap();
    assert!(received == pattern(3_000_000));
    sending.await.unwrap();
}

#[tokio::test]
async fn what_is_read_on_ready_is_the_buffer_itself() {
    let (_client, server, mut near, mut far) = connected().await;
    near.write_all(&pattern(20_000)).await.unwrap();
    let other = BufferPool::new();
    let mut received = Vec::new();
    while received.len() < 20_000 {
        let chunk = far.read_on_ready(&other).await.unwrap().unwrap();
        assert!(server.pool.stats().in_use_buffers >= 1);
        received.extend_from_slice(&chunk);
    }
    assert!(received == pattern(20_000));
    assert_eq!(other.stats().high_water_bytes, 0);
    assert_nothing_out(&server.pool);
}

#[tokio::test]
async fn a_given_up_read_or_write_loses_nothing() {
    let (_client, _server, mut near, mut far) = connected().await;
    let all = pattern(2_000_000);
    let sent = all.clone();
    let sending = tokio::spawn(async move {
        let mut left = &sent[..];
        while !left.is_empty() {
            // Some are given up before they have taken anything.
            match timeout(Duration::ZERO, near.write(left)).await {
                Ok(written) => left = &left[written.unwrap()..],
                Err(_) => tokio::task::yield_now().await,
            }
        }
        near.shutdown().await.unwrap();
        near
    });
    let mut received = Vec::new();
    let mut buffer = vec![0; 7_000];
    loop {
        match timeout(Duration::ZERO, far.read(&mut buffer)).await {
            Ok(read) => match read.unwrap() {
                0 => break,
                count => received.extend_from_slice(&buffer[..count]),
            },
            Err(_) => tokio::task::yield_now().await,
        }
    }
    assert!(received == all);
    sending.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn deadlines_fail_what_waits_and_nothing_else() {
    let (_client, _server, mut near, mut far) = connected().await;
    let deadline = Instant::now() + Duration::from_secs(5);
    near.set_read_deadline(Some(deadline));
    let error = near.read(&mut [0; 10]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(Error::of(&error), Some(&Error::Deadline));
    assert_eq!(Instant::now(), deadline);
    near.set_write_deadline(Some(deadline + Duration::from_secs(1)));
    // The other side does not read: a window, and then nothing.
    let mut written = 0;
    let error = loop {
        match near.write(&[7; 10_000]).await {
            Ok(count) => written += count,
            Err(error) => break error,
        }
    };
    assert_eq!((written, Error::of(&error)), (256 << 10, Some(&Error::Deadline)));
    near.set_write_deadline(None);
    let mut received = vec![0; written];
    far.read_exact(&mut received).await.unwrap();
    near.write_all(b"more").await.unwrap();
    far.write_all(b"x").await.unwrap();
    near.set_read_deadline(None);
    std::future::poll_fn(|cx| near.poll_readable(cx)).await.unwrap();
    near.set_read_deadline(Some(deadline));
    assert_eq!(near.read_u8().await.unwrap(), b'x', "what is here is read, deadline or not");
    near.set_read_deadline(Some(Instant::now() + Duration::from_secs(9)));
    let (mut reader, _writer) = near.into_split();
    let before = Instant::now();
    assert!(reader.read_u8().await.is_err(), "the halves keep their deadlines");
    assert_eq!(Instant::now() - before, Duration::from_secs(9));
}

#[tokio::test]
async fn a_window_can_be_chosen_for_each_stream() {
    let (client, server) = both(&config());
    let near = client.session.open_with_window(1 << 20).await.unwrap().unwrap();
    let mut far = server.session.accept().await.unwrap().unwrap();
    let mut written = 0;
    while let Ok(count) = timeout(Duration::from_millis(200), far.write(&[7; 16_000])).await {
        written += count.unwrap();
    }
    assert_eq!(written, 1 << 20);
    drop(near);
    let refused = client.session.open_with_window(1).await.unwrap_err();
    assert_eq!(refused, ConfigError::Window(1));
}

#[tokio::test]
async fn pings_say_how_far_the_peer_is_also_beside_bulk() {
    let (client, server, mut near, far) = connected().await;
    let sending = tokio::spawn(async move {
        near.write_all(&pattern(20_000_000)).await.unwrap();
        near
    });
    let reading = tokio::spawn(async move {
        let mut far = far;
        let mut buffer = vec![0; 20_000_000];
        far.read_exact(&mut buffer).await.unwrap();
        far
    });
    for _ in 0..50 {
        client.session.ping().await.unwrap();
        server.session.ping().await.unwrap();
    }
    assert!(client.session.stats().rtt.is_some());
    sending.await.unwrap();
    reading.await.unwrap();
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_its_sender_and_nobody_else() {
    let (client, server, mut near, _far) = connected().await;
    let stuck = tokio::spawn(async move { near.write_all(&vec![7; 1_000_000]).await });
    for _ in 0..20 {
        let mut other = client.session.open().await.unwrap();
        let mut served = server.session.accept().await.unwrap().unwrap();
        other.write_all(b"hello").await.unwrap();
        let mut received = [0; 5];
        served.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"hello");
    }
    assert!(!stuck.is_finished());
    stuck.abort();
}

/// Each side has more resets to send than the connection takes, behind data that it does not take either.
#[tokio::test(start_paused = true)]
async fn both_sides_drop_hundreds_of_streams_at_once_beside_bulk() {
    let (near, far) = tokio::io::duplex(1_000);
    let pool = BufferPool::new();
    let config = config().build().unwrap();
    let (client, driver) = Session::client(Probed::new(near), config.clone(), pool.clone());
    tokio::spawn(driver);
    let (server, driver) = Session::server(Probed::new(far), config, pool);
    tokio::spawn(driver);
    let mut pairs = Vec::new();
    for _ in 0..301 {
        let near = client.open().await.unwrap();
        pairs.push((near, server.accept().await.unwrap().unwrap()));
    }
    let (mut near, mut far) = pairs.pop().unwrap();
    // Nobody else runs between here and the last drop.
    assert_eq!(near.write(&pattern(200_000)).await.unwrap(), 128 << 10);
    assert_eq!(far.write(&pattern(200_000)).await.unwrap(), 128 << 10);
    drop(pairs);
    for stream in [&mut near, &mut far] {
        stream.read_exact(&mut vec![0; 128 << 10]).await.unwrap();
    }
    client.ping().await.unwrap();
    assert_eq!((client.stats().streams, server.stats().streams), (1, 1));
}

/// Reads through tokio's traits alone.
async fn through_traits(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    stream.write_all(b"x").await.unwrap();
    stream.flush().await.unwrap();
}

#[tokio::test]
async fn streams_are_streams() {
    let (_client, _server, near, mut far) = connected().await;
    tokio::spawn(async move {
        through_traits(near).await;
    });
    // Dropped without an end, it is reset; whether the byte was read before is luck.
    let mut received = Vec::new();
    let error = far.read_to_end(&mut received).await.unwrap_err();
    assert_eq!(Error::of(&error), Some(&Error::Reset { code: 0 }));
}
