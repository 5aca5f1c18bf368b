//! The crate `yamux`, rust-libp2p's, as client and as server, over TCP and over alts.
//!
//! What it does wrong is asserted where it shows, so that a version which mends it is noticed.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::yamux::{Error, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Connection, ConnectionError, Mode};

use crate::config;
use crate::support::{Parties, pattern, settings, tcp_sockets};

type Theirs = Compat<yamux::Stream>;

/// A connection of rust-yamux in a task of its own.
struct Rust {
    open: mpsc::UnboundedSender<oneshot::Sender<Theirs>>,
    accepted: mpsc::UnboundedReceiver<Theirs>,
    /// How it ended.
    ended: JoinHandle<Result<(), ConnectionError>>,
    close: Option<oneshot::Sender<()>>,
}

impl Rust {
    fn start(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, mode: Mode) -> Self {
        let (open, mut to_open) = mpsc::unbounded_channel::<oneshot::Sender<Theirs>>();
        let (accept, accepted) = mpsc::unbounded_channel();
        let (close, closing) = oneshot::channel::<()>();
        let (mut closing, mut closes) = (Some(closing), false);
        let mut connection = Connection::new(io.compat(), yamux::Config::default(), mode);
        let mut opening: Option<oneshot::Sender<Theirs>> = None;
        let ended = tokio::spawn(poll_fn(move |cx| {
            if let Some(asked) = &mut closing
                && let Poll::Ready(asked) = std::pin::Pin::new(asked).poll(cx)
            {
                closing = None;
                closes = asked.is_ok();
            }
            if closes {
                return connection.poll_close(cx);
            }
            loop {
                if opening.is_none()
                    && let Poll::Ready(Some(wanted)) = to_open.poll_recv(cx)
                {
                    opening = Some(wanted);
                }
                if opening.is_some()
                    && let Poll::Ready(Ok(stream)) = connection.poll_new_outbound(cx)
                    && let Some(wanted) = opening.take()
                {
                    let _ = wanted.send(stream.compat());
                    continue;
                }
                match connection.poll_next_inbound(cx) {
                    Poll::Ready(Some(Ok(stream))) => {
                        let _ = accept.send(stream.compat());
                    }
                    Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                    Poll::Ready(None) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        Self { open, accepted, ended, close: Some(close) }
    }

    async fn open(&self) -> Theirs {
        let (send, receive) = oneshot::channel();
        self.open.send(send).unwrap();
        receive.await.unwrap()
    }
}

/// A session of ours and one of rust-yamux's.
struct Pair {
    ours: Session,
    driver: JoinHandle<Result<(), Error>>,
    theirs: Rust,
}

fn pair_over<A, B>(ours: A, theirs: B, client: bool) -> Pair
where
    A: ReadyReader + AsyncWrite + Unpin + Send + 'static,
    B: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (config, pool) = (config().build().unwrap(), BufferPool::new());
    let (session, driver) = match client {
        true => Session::client(ours, config, pool),
        false => Session::server(ours, config, pool),
    };
    let mode = if client { Mode::Server } else { Mode::Client };
    let theirs = Rust::start(theirs, mode);
    Pair { ours: session, driver: tokio::spawn(driver), theirs }
}

/// Every pair there is: ours as client and as server, over TCP and over alts.
async fn pairs() -> Vec<(&'static str, Pair)> {
    let mut pairs = Vec::new();
    for client in [true, false] {
        let (near, far) = tcp_sockets().await;
        pairs.push(("TCP", pair_over(near, far, client)));
        let pool = BufferPool::new();
        let (near, far) =
            Parties::new().tcp_pair(settings(&pool, |_| ()), settings(&pool, |_| ())).await;
        pairs.push(("alts", pair_over(near, far, client)));
    }
    pairs
}

/// Sends back what comes, and the end too.
async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        let _ = writer.shutdown().await;
    }
}

/// Sends these bytes and expects them back.
async fn expect_echo(stream: impl AsyncRead + AsyncWrite + Unpin, all: &[u8]) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = Vec::new();
    let writing = async {
        writer.write_all(all).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((), read) = tokio::join!(writing, reader.read_to_end(&mut received));
    read.unwrap();
    assert!(received == all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_echoes_for_the_other() {
    for (over, mut pair) in pairs().await {
        let ours = pair.ours.clone();
        tokio::spawn(async move {
            while let Ok(Some(stream)) = ours.accept().await {
                tokio::spawn(echo(stream));
            }
        });
        let (sizes, all) = ([1, 1_000, 70_000, 1_000_000], pattern(1_000_000));
        for size in sizes {
            expect_echo(pair.theirs.open().await, &all[..size]).await;
        }
        let mut tasks = Vec::new();
        for nth in 0..20 {
            let stream = pair.ours.open().await.unwrap();
            let all = all.clone();
            tasks.push(tokio::spawn(async move {
                expect_echo(stream, &all[..sizes[nth % 4]]).await;
            }));
        }
        for _ in 0..20 {
            tokio::spawn(echo(pair.theirs.accepted.recv().await.unwrap()));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(pair.ours.ping().await.unwrap() > Duration::ZERO, "{over}");
        // A drain in order: all streams have ended before it is told.
        pair.ours.shutdown(Duration::from_secs(30)).await.unwrap();
        pair.driver.await.unwrap().unwrap();
        pair.theirs.ended.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bulk_both_ways() {
    for (_, mut pair) in pairs().await {
        let all = pattern(20_000_000);
        let mut near = pair.ours.open().await.unwrap();
        let sending = {
            let all = all.clone();
            tokio::spawn(async move {
                near.write_all(&all).await.unwrap();
                near.close_write();
                let mut received = Vec::new();
                near.read_to_end(&mut received).await.unwrap();
                assert!(received == all);
            })
        };
        let mut far = pair.theirs.accepted.recv().await.unwrap();
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        assert!(received == all);
        far.write_all(&all).await.unwrap();
        far.shutdown().await.unwrap();
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn its_reset_is_seen_as_one_and_ours_is_not() {
    for (_, mut pair) in pairs().await {
        let mut near = pair.ours.open().await.unwrap();
        near.write_all(b"x").await.unwrap();
        let far = pair.theirs.accepted.recv().await.unwrap();
        drop(far);
        let error = near.read(&mut [0]).await.unwrap_err();
        assert_eq!(Error::of(&error), Some(&Error::Reset { code: 0 }));

        let mut near = pair.ours.open().await.unwrap();
        near.write_all(b"x").await.unwrap();
        let mut far = pair.theirs.accepted.recv().await.unwrap();
        near.reset(7);
        let mut received = Vec::new();
        // rust-yamux 0.14 reports a reset as an end in order.
        far.read_to_end(&mut received).await.unwrap();
    }
}

#[tokio::test]
async fn its_close_is_an_end_in_order() {
    for (_, mut pair) in pairs().await {
        expect_nothing(&mut pair).await;
        pair.theirs.close.take().unwrap().send(()).unwrap();
        assert!(pair.ours.accept().await.unwrap().is_none());
        pair.driver.await.unwrap().unwrap();
        pair.theirs.ended.await.unwrap().unwrap();
    }
}

/// A round trip, so that both sides are up.
async fn expect_nothing(pair: &mut Pair) {
    pair.ours.ping().await.unwrap();
}

#[tokio::test]
async fn go_away_ends_its_session_at_once() {
    let (near, far) = tcp_sockets().await;
    let mut pair = pair_over(near, far, true);
    let mut near = pair.ours.open().await.unwrap();
    near.write_all(b"x").await.unwrap();
    let _far = pair.theirs.accepted.recv().await.unwrap();
    pair.ours.go_away();
    // rust-yamux 0.14 drops what is open when it is told that there will be no more.
    let error = near.read(&mut [0]).await.unwrap_err();
    assert!(Error::of(&error).is_some(), "{error}");
    pair.theirs.ended.await.unwrap().unwrap();
}
