//! Connections that break, and are made again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use alts_nbd::client::{Client, Error, Haggling, Reconnect, Redial, Settings, Terms};
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::reply::{encode_data_prefix, encode_none};
use alts_nbd::wire::request::Command;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::scripted::{Server, pair, violation};

const NONE: CommandFlags = CommandFlags::NONE;

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.reconnect = Some(Reconnect::default());
    settings
}

async fn open(stream: UnixStream) -> Result<(UnixStream, Terms), Error> {
    Haggling::begin(stream).await?.open("disk").await
}

/// A client whose connections come from a channel.
async fn connected() -> (Client, Server, mpsc::UnboundedSender<UnixStream>) {
    let (near, mut server) = pair().await;
    let opening = tokio::spawn(open(near));
    server.agree(true).await;
    let (stream, terms) = opening.await.unwrap().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let redial = Redial::new(move || {
        let receiver = Arc::clone(&receiver);
        async move {
            let next = receiver.lock().await.recv().await;
            open(next.ok_or(Error::Timeout)?).await
        }
    });
    (Client::start_again(stream, terms, settings(), Some(redial)), server, sender)
}

#[tokio::test]
async fn what_was_not_answered_is_sent_again_in_order() {
    let (client, mut server, streams) = connected().await;
    let call = |offset: u64| {
        let client = client.clone();
        tokio::spawn(async move { client.write(offset, vec![offset as u8; 512], NONE).await })
    };
    let answered = call(0);
    let (request, _) = server.request().await;
    server.send(&encode_none(request.cookie)).await;
    assert_eq!(answered.await.unwrap(), Ok(()));

    let first = call(512);
    server.request().await;
    let reading = tokio::spawn({
        let client = client.clone();
        async move { client.read(4096, 1024).await.map(|buf| buf.to_vec()) }
    });
    let (request, _) = server.request().await;
    // Half of the read has come, and all of it comes again.
    let half = encode_data_prefix(false, request.cookie, 4096, 512);
    server.send(&[&half[..], &[9; 512]].concat()).await;
    drop(server);

    let (near, mut server) = pair().await;
    streams.send(near).unwrap();
    server.agree(true).await;
    let (request, payload) = server.request().await;
    assert_eq!((request.command, request.offset), (Command::Write, 512));
    assert_eq!(payload, [0; 512]);
    server.send(&encode_none(request.cookie)).await;
    let (request, _) = server.request().await;
    assert_eq!((request.command, request.offset, request.len), (Command::Read, 4096, 1024));
    let prefix = encode_data_prefix(true, request.cookie, 4096, 1024);
    server.send(&[&prefix[..], &[5; 1024]].concat()).await;
    assert_eq!(first.await.unwrap(), Ok(()));
    assert_eq!(reading.await.unwrap(), Ok(vec![5; 1024]));

    // The first write may be lost, which a flush does not hide. The next one covers what was written again.
    for expected in [Err(Error::UnsavedWrites), Ok(())] {
        let flushing = tokio::spawn({
            let client = client.clone();
            async move { client.flush().await }
        });
        let (request, _) = server.request().await;
        assert_eq!(request.command, Command::Flush);
        server.send(&encode_none(request.cookie)).await;
        assert_eq!(flushing.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn writes_that_were_flushed_are_not_doubted() {
    let (client, mut server, streams) = connected().await;
    for nth in 0..3 {
        let client = client.clone();
        let call = tokio::spawn(async move {
            match nth {
                0 => client.write(0, vec![1; 512], NONE).await,
                1 => client.flush().await,
                _ => client.write(0, vec![1; 512], CommandFlags::FUA).await,
            }
        });
        let (request, _) = server.request().await;
        server.send(&encode_none(request.cookie)).await;
        assert_eq!(call.await.unwrap(), Ok(()));
    }
    // A flush on its way is repeated.
    let flushing = tokio::spawn(async move { client.flush().await });
    server.request().await;
    drop(server);
    let (near, mut server) = pair().await;
    streams.send(near).unwrap();
    server.agree(true).await;
    let (request, _) = server.request().await;
    assert_eq!(request.command, Command::Flush);
    server.send(&encode_none(request.cookie)).await;
    assert_eq!(flushing.await.unwrap(), Ok(()));
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_is_not_asked_again() {
    let (client, mut server, streams) = connected().await;
    let (near, _other) = pair().await;
    streams.send(near).unwrap();
    server.send(&encode_none(99)).await;
    violation(client.disconnect().await.unwrap_err());
    violation(client.flush().await.unwrap_err());
}

#[tokio::test(start_paused = true)]
async fn attempts_end() {
    let (near, mut server) = pair().await;
    let opening = tokio::spawn(open(near));
    server.agree(true).await;
    let (stream, terms) = opening.await.unwrap().unwrap();
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let redial = Redial::<UnixStream>::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err(Error::Timeout))
    });
    let client = Client::start_again(stream, terms, settings(), Some(redial));
    drop(server);
    assert_eq!(client.flush().await, Err(Error::Timeout));
    assert_eq!(attempts.load(Ordering::Relaxed), Reconnect::default().attempts);
    assert_eq!(client.read(0, 512).await.map(drop), Err(Error::Timeout));
}

#[tokio::test]
async fn another_export_does_not_take_over() {
    let (client, server, streams) = connected().await;
    drop(server);
    let (near, mut server) = pair().await;
    streams.send(near).unwrap();
    // Without structured replies this time.
    server.agree(false).await;
    assert_eq!(client.flush().await, Err(Error::ExportChanged("way to reply")));
}
