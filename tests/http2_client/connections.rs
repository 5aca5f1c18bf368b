//! How connections begin and end, and what becomes of the calls on them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use alts::http2::client::{CallError, Client};
use alts::http2::{Fault, Reason};
use alts::ready::Probed;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::server::{GOAWAY, PING, client};
use crate::{call, content_of, spawn};

#[tokio::test]
async fn calls_beyond_a_goaway_go_to_the_next_connection_and_others_are_finished() {
    let (client, connector, mut listener) = client(|builder| builder);
    let first = spawn(&client, b"first");
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    let others: Vec<_> = (0..3).map(|_| spawn(&client, b"other")).collect();
    for _ in 0..3 {
        server.request().await;
    }
    server.go_away(stream, 0, "").await;
    let mut next = listener.accept(&[]).await;
    for _ in 0..3 {
        let (stream, _) = next.request().await;
        next.answer(stream, b"from the next").await;
    }
    for other in others {
        assert_eq!(other.await.unwrap().unwrap(), "from the next");
    }
    server.answer(stream, b"from the first").await;
    assert_eq!(first.await.unwrap().unwrap(), "from the first");
    // After its last call the old connection is closed, in order.
    assert_eq!(server.next(GOAWAY).await.number(4), 0);
    assert!(server.read().await.is_none());
    assert_eq!(connector.count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_ends_fails_its_calls_and_the_next_call_makes_another() {
    let (client, connector, mut listener) = client(|builder| builder);
    let answer = spawn(&client, b"");
    let mut server = listener.accept(&[]).await;
    server.request().await;
    drop(server);
    let error = answer.await.unwrap().unwrap_err();
    let CallError::Http2(error) = error else { panic!("{error:?}") };
    assert!(matches!(error.reason(), Reason::Truncated | Reason::Io { .. }), "{error}");

    let answer = spawn(&client, b"");
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    server.answer(stream, b"again").await;
    assert_eq!(answer.await.unwrap().unwrap(), "again");
    assert_eq!(connector.count.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_calls_fail_at_once_until_back_off_is_over() {
    let second = Duration::from_secs(1);
    let (client, connector, mut listener) = client(|builder| builder.backoff(second, 10 * second));
    connector.fails.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let error = call(&client, b"").await.unwrap_err();
        assert!(matches!(&error, CallError::Connect(_)), "{error:?}");
        let text = "no connection to http://service.test:7000/: out of order";
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(connector.count.load(Ordering::SeqCst), 1);
    // At most 1.2 of a second; then 1.6 times as long, so at least 1.28.
    tokio::time::sleep(second * 6 / 5).await;
    call(&client, b"").await.unwrap_err();
    assert_eq!(connector.count.load(Ordering::SeqCst), 2);
    tokio::time::sleep(second * 6 / 5).await;
    call(&client, b"").await.unwrap_err();
    assert_eq!(connector.count.load(Ordering::SeqCst), 2);

    connector.fails.store(false, Ordering::SeqCst);
    tokio::time::sleep(second).await;
    let answer = spawn(&client, b"");
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    server.answer(stream, b"there").await;
    assert_eq!(answer.await.unwrap().unwrap(), "there");
}

/// Without a pause each call makes one attempt, and fails with it.
#[tokio::test]
async fn back_off_takes_every_value() {
    for (pause, attempts) in [(Duration::ZERO, 3), (Duration::MAX, 1)] {
        let (client, connector, _listener) = client(|builder| builder.backoff(pause, pause));
        connector.fails.store(true, Ordering::SeqCst);
        for _ in 0..3 {
            let turns = async {
                for _ in 0..10_000 {
                    tokio::task::yield_now().await;
                }
            };
            let error = tokio::select! {
                called = call(&client, b"") => called.unwrap_err(),
                () = turns => panic!("no answer after {} attempts", connector.count.load(Ordering::SeqCst)),
            };
            assert!(matches!(&error, CallError::Connect(_)), "{error:?}");
        }
        assert_eq!(connector.count.load(Ordering::SeqCst), attempts, "{pause:?}");
    }
}

#[tokio::test]
async fn the_last_client_takes_the_connection_with_it_when_its_calls_are_done() {
    let (client, _, mut listener) = client(|builder| builder);
    let answer = spawn(&client, b"");
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    drop(client);
    server.write(PING, 0, 0, b"still on").await;
    server.next(PING).await;
    server.answer(stream, b"done").await;
    assert_eq!(answer.await.unwrap().unwrap(), "done");
    assert_eq!(server.next(GOAWAY).await.number(4), 0);
    assert!(server.read().await.is_none());
}

#[tokio::test]
async fn over_a_given_transport_there_is_no_second_connection() {
    let (near, far) = duplex(1 << 16);
    let builder = Client::builder("http://service.test".parse().unwrap());
    let (client, driver) = builder.over(Probed::new(near)).unwrap();
    let driver = tokio::spawn(driver);
    drop(far);
    assert!(driver.await.unwrap().is_err());
    let error = content_of(call(&client, b"")).await.unwrap_err();
    assert!(matches!(error, CallError::Http2(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_http_1_is_named() {
    let (near, mut far) = duplex(1 << 16);
    let builder = Client::builder("http://service.test".parse().unwrap());
    let (client, driver) = builder.over(Probed::new(near)).unwrap();
    tokio::spawn(driver);
    let answer = spawn(&client, b"");
    let mut preface = [0; 24];
    far.read_exact(&mut preface).await.unwrap();
    far.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let CallError::Http2(error) = answer.await.unwrap().unwrap_err() else { panic!() };
    assert_eq!(error.fault(), Fault::Incompatible, "{error}");
    assert!(error.to_string().contains("HTTP/1"), "{error}");
}

#[tokio::test]
async fn settings_that_cannot_be_are_named() {
    let lazy = |builder: alts::http2::client::ClientBuilder| builder.connect_lazy();
    let target = || Client::builder("http://service.test".parse().unwrap());
    lazy(target()).unwrap();
    for wrong in [
        target().stream_window(0),
        target().connection_window(1),
        target().header_table_size(70_000),
        Client::builder("/path".parse().unwrap()),
    ] {
        let error = lazy(wrong).unwrap_err().to_string();
        assert!(error.contains("must be") || error.contains("authority"), "{error}");
    }
    target().user_agent("a\nb").unwrap_err();
}

/// Ten seconds, the least there is.
#[tokio::test(start_paused = true)]
async fn keepalive_pings_while_calls_are_open_and_ends_a_connection_that_is_silent() {
    let ten = Duration::from_secs(10);
    let (client, _, mut listener) = client(|builder| builder.keepalive(ten / 2, ten));
    let begun = tokio::time::Instant::now();
    let answer = spawn(&client, b"");
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    let ping = server.next(PING).await;
    assert_eq!(begun.elapsed().as_secs(), 10);
    server.write(PING, 1, 0, &ping.payload).await;
    server.next(PING).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
    // Anything shows that the server is there.
    server.respond(stream, 0).await;
    server.next(PING).await;
    let error = answer.await.unwrap().unwrap_err();
    let CallError::Http2(error) = error else { panic!("{error:?}") };
    assert!(matches!(error.reason(), Reason::Timeout(_)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn without_calls_there_is_no_keepalive_unless_asked_for() {
    let ten = Duration::from_secs(10);
    for while_idle in [false, true] {
        let set = |builder: alts::http2::client::ClientBuilder| {
            builder.keepalive(ten, ten).keepalive_while_idle(while_idle)
        };
        let (client, _, mut listener) = client(set);
        client.connected().await.unwrap();
        let mut server = listener.accept(&[]).await;
        let pinged = tokio::time::timeout(Duration::from_secs(100), server.next(PING)).await;
        assert_eq!(pinged.is_ok(), while_idle);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_complains_about_pings_gets_half_as_many() {
    let ten = Duration::from_secs(10);
    let (client, connector, mut listener) =
        client(|builder| builder.keepalive(ten, ten).keepalive_while_idle(true));
    client.connected().await.unwrap();
    let mut server = listener.accept(&[]).await;
    server.next(PING).await;
    server.go_away(0, 11, "too_many_pings").await;
    drop(server);
    while connector.count.load(Ordering::SeqCst) < 2 {
        client.connected().await.unwrap();
        tokio::task::yield_now().await;
    }
    let begun = tokio::time::Instant::now();
    let mut server = listener.accept(&[]).await;
    server.next(PING).await;
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_acknowledge_settings_is_left() {
    for (set, expected) in [(None, 20), (Some(5), 5)] {
        let (client, _, mut listener) = client(|builder| match set {
            Some(seconds) => builder.settings_timeout(Duration::from_secs(seconds)),
            None => builder,
        });
        let begun = tokio::time::Instant::now();
        let answer = spawn(&client, b"");
        let _server = listener.accept(&[]).await;
        let error = answer.await.unwrap().unwrap_err();
        assert!(error.to_string().contains("acknowledge"), "{error}");
        assert_eq!(begun.elapsed().as_secs(), expected);
    }
}
