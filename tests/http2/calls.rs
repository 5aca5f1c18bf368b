//! tonic's generated client over hyper against this server: every kind of call, over every transport, wherever handlers run.

use std::sync::atomic::Ordering;
use std::time::Duration;

use alts::http2::frame::{Kind, flag};
use tokio_stream::StreamExt;
use tonic::Code;

use crate::echo::{Message, RepeatRequest, WhoAmIRequest};
use crate::fixture::{ALL, EVERYWHERE, Over, Served};
use crate::raw::{self, Raw, call_with};
use crate::support::CLIENT;

fn message(len: usize) -> Message {
    Message { payload: (0..len).map(|at| (at * 31) as u8).collect::<Vec<_>>().into() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_call() {
    for over in ALL {
        for handlers in EVERYWHERE {
            let served = Served::with(over, |builder| builder.handlers(handlers)).await;
            let mut client = served.client().await;
            for len in [0, 1, 1_000, 20_000, 300_000, 8 << 20] {
                let answer = client.once(message(len)).await.unwrap().into_inner();
                assert_eq!(answer, message(len), "{over:?}, {handlers:?}, {len} bytes");
            }

            let request = RepeatRequest { message: Some(message(10_000)), times: 50 };
            let mut stream = client.repeat(request).await.unwrap().into_inner();
            let mut count = 0;
            while let Some(answer) = stream.next().await {
                assert_eq!(answer.unwrap(), message(10_000));
                count += 1;
            }
            assert_eq!(count, 50);
            assert!(stream.trailers().await.unwrap().is_some());

            let messages = tokio_stream::iter((0..40).map(|_| message(30_000)));
            let joined = client.join(messages).await.unwrap().into_inner();
            assert_eq!(joined.payload.len(), 40 * 30_000);

            let (sender, receiver) = tokio::sync::mpsc::channel(1);
            let receiver = tokio_stream::wrappers::ReceiverStream::new(receiver);
            let mut answers = client.chat(receiver).await.unwrap().into_inner();
            for len in [3, 70_000, 0, 5] {
                sender.send(message(len)).await.unwrap();
                assert_eq!(answers.next().await.unwrap().unwrap(), message(len));
            }
            drop(sender);
            assert!(answers.next().await.is_none());

            let failed = client.once(Message { payload: b"fail".to_vec().into() }).await;
            let failed = failed.unwrap_err();
            assert_eq!(
                (failed.code(), failed.message()),
                (Code::FailedPrecondition, "as was asked")
            );
            let addressed = served.seen.addressed.load(Ordering::SeqCst);
            assert_eq!(addressed > 0, over == Over::Tcp, "{over:?}");
            let who = client.who_am_i(WhoAmIRequest {}).await;
            match over {
                Over::Alts => {
                    let caller = who.unwrap().into_inner();
                    assert_eq!(caller.identity, CLIENT);
                    assert!(caller.address.starts_with("127.0.0.1:"));
                }
                _ => assert_eq!(who.unwrap_err().code(), Code::Unauthenticated),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_a_time() {
    for handlers in EVERYWHERE {
        let served = Served::with(Over::Tcp, |builder| builder.handlers(handlers)).await;
        let client = served.client().await;
        let calls: Vec<_> = (0..300_usize)
            .map(|at| {
                let mut client = client.clone();
                tokio::spawn(async move {
                    let len = (at * 997) % 100_000;
                    assert_eq!(client.once(message(len)).await.unwrap().into_inner(), message(len));
                })
            })
            .collect();
        for call in calls {
            call.await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canceled_call_drops_its_handler() {
    for handlers in EVERYWHERE {
        let served = Served::with(Over::Tcp, |builder| builder.handlers(handlers)).await;
        let client = served.client().await;
        let mut waiting = client.clone();
        let call = tokio::spawn(async move {
            waiting.once(Message { payload: b"wait".to_vec().into() }).await
        });
        served.seen.until(&served.seen.begun, 1).await;
        assert_eq!(served.seen.dropped.load(Ordering::SeqCst), 0);
        call.abort();
        served.seen.until(&served.seen.dropped, 1).await;
        // The connection goes on.
        client.clone().once(message(5)).await.unwrap();
        assert_eq!(served.server.stats().accepted, 1);
    }
}

/// By a client that leaves it to the server, which tonic's does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_covers_the_whole_call() {
    for handlers in EVERYWHERE {
        let served = Served::with(Over::Tcp, |builder| builder.handlers(handlers)).await;
        let mut client = Raw::new(&served).await;
        let timeout = [("grpc-timeout", "100m")];
        let begin = call_with(1, "Once", &timeout, false);
        client.send(&[begin, raw::message(1, b"wait", true)].concat()).await;
        let (head, block) = client.until(Kind::Headers).await;
        assert!(head.has(flag::END_STREAM) && says(&block, "grpc-status", "4"), "{block:?}");
        served.seen.until(&served.seen.dropped, 1).await;

        // The head of the response is out, and the client sends nothing.
        client.send(&call_with(3, "Chat", &timeout, false)).await;
        let (head, _) = client.until(Kind::Headers).await;
        assert!(!head.has(flag::END_STREAM));
        let (head, block) = client.until(Kind::Headers).await;
        assert!(head.has(flag::END_STREAM) && says(&block, "grpc-status", "4"), "{block:?}");
        let (head, code) = client.until(Kind::Reset).await;
        assert_eq!((head.stream, code), (3, vec![0; 4]));

        // The response waits for window.
        client.send(&raw::raw(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, 3])).await;
        let begin = call_with(5, "Once", &timeout, false);
        client.send(&[begin, raw::message(5, b"hello", true)].concat()).await;
        let (head, code) = client.until(Kind::Reset).await;
        assert_eq!((head.stream, code), (5, vec![0, 0, 0, 8]));
    }
}

/// Whether a block has this field as a literal.
fn says(block: &[u8], name: &str, value: &str) -> bool {
    let mut field = vec![name.len() as u8];
    field.extend_from_slice(name.as_bytes());
    field.push(value.len() as u8);
    field.extend_from_slice(value.as_bytes());
    block.windows(field.len()).any(|window| window == field)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_limit_applies_too() {
    let limit = Duration::from_millis(100);
    let served = Served::with(Over::Tcp, |builder| builder.timeout(limit)).await;
    let mut client = served.client().await;
    let status = client.once(Message { payload: b"wait".to_vec().into() }).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_cancellations_in_a_row_are_no_flood() {
    let served = Served::new(Over::Tcp).await;
    let client = served.client().await;
    for _ in 0..5_000 {
        let mut client = client.clone();
        let call = client.once(Message { payload: b"wait".to_vec().into() });
        // Begun, most likely sent, and dropped.
        assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
    }
    client.clone().once(message(5)).await.unwrap();
    assert_eq!(served.server.stats().accepted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_quick_calls_are_no_flood() {
    let served = Served::new(Over::Tcp).await;
    let client = served.client().await;
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move {
                for _ in 0..1_000 {
                    client.once(message(5)).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(served.server.stats().accepted, 1);
}
