//! Requests whose futures are dropped.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use alts_nbd::client::{Client, Settings};
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::reply::{encode_data_prefix, encode_none};
use alts_nbd::wire::request::{Command, Request};
use tokio::io::AsyncReadExt as _;

use super::scripted::{Server, connected, connected_with};

/// Polls a future once, and drops it.
async fn begin(work: impl Future) {
    let mut work = pin!(work);
    poll_fn(|cx| {
        assert!(work.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// The connection goes on, and has nothing else to send.
async fn flush_is_next(client: Client, server: &mut Server) {
    let flushing = tokio::spawn(async move { client.flush().await });
    let (request, _) = server.request().await;
    assert_eq!(request.command, Command::Flush);
    server.send(&encode_none(request.cookie)).await;
    assert_eq!(flushing.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_reply_that_nobody_awaits_is_read_and_forgotten() {
    let (client, mut server) = connected(true).await;
    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.read(0, 8192).await.map(drop) }
    });
    let (request, _) = server.request().await;
    let prefix = encode_data_prefix(true, request.cookie, 0, 8192);
    // It goes away when half has come.
    server.send(&[&prefix[..], &[1; 4096]].concat()).await;
    reading.abort();
    assert!(reading.await.unwrap_err().is_cancelled());
    server.send(&[1; 4096]).await;
    flush_is_next(client, &mut server).await;
}

#[tokio::test]
async fn a_request_that_was_not_sent_is_not_sent() {
    let (client, mut server) = connected(true).await;
    begin(client.read(0, 512)).await;
    begin(client.write(0, vec![1; 512], CommandFlags::NONE)).await;
    flush_is_next(client, &mut server).await;
}

#[tokio::test]
async fn a_write_that_is_half_sent_is_sent() {
    let (client, mut server) = connected(true).await;
    let writing = tokio::spawn({
        let client = client.clone();
        async move { client.write(0, vec![3; 4 << 20], CommandFlags::NONE).await }
    });
    let mut begun = [0; Request::LEN];
    server.0.read_exact(&mut begun).await.unwrap();
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    let request = Request::decode(&begun).unwrap();
    let mut payload = vec![0; 4 << 20];
    server.0.read_exact(&mut payload).await.unwrap();
    assert!(payload.iter().all(|&byte| byte == 3));
    server.send(&encode_none(request.cookie)).await;
    flush_is_next(client, &mut server).await;
}

#[tokio::test]
async fn a_place_among_the_requests_in_flight_is_not_lost() {
    let mut settings = Settings::default();
    settings.requests_in_flight = 2;
    let (client, mut server) = connected_with(true, settings).await;
    for _ in 0..5 {
        begin(client.read(0, 512)).await;
        tokio::task::yield_now().await;
    }
    for _ in 0..5 {
        let flushing = tokio::spawn({
            let client = client.clone();
            async move { client.flush().await }
        });
        loop {
            let (request, _) = server.request().await;
            if request.command == Command::Flush {
                server.send(&encode_none(request.cookie)).await;
                break;
            }
            let prefix = encode_data_prefix(true, request.cookie, 0, 512);
            server.send(&[&prefix[..], &[0; 512]].concat()).await;
        }
        assert_eq!(flushing.await.unwrap(), Ok(()));
    }
}
