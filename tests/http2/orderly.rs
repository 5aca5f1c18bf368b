//! How connections end.

use std::time::Duration;

use alts::http2::frame::{ErrorCode, Kind, LARGEST_WINDOW, flag};
use tonic::Code;

use crate::echo::Message;
use crate::fixture::{Over, PATIENCE, Served};
use crate::raw::{Raw, call, message, raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_lets_calls_end() {
    for over in [Over::Tcp, Over::Alts] {
        let mut served = Served::new(over).await;
        let mut client = served.client().await;
        let mut idle = served.client().await;
        idle.once(Message::default()).await.unwrap();
        let call =
            tokio::spawn(
                async move { client.once(Message { payload: b"nap".to_vec().into() }).await },
            );
        served.seen.until(&served.seen.begun, 2).await;
        served.stop();
        assert_eq!(call.await.unwrap().unwrap().into_inner().payload, b"nap"[..]);
        tokio::time::timeout(PATIENCE, &mut served.done).await.unwrap().unwrap();
        assert_eq!(served.server.stats().connections, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_is_two_go_aways_around_a_ping() {
    let mut served = Served::new(Over::Tcp).await;
    let mut client = Raw::new(&served).await;
    client.send(&[call(1, "Once", false), message(1, b"wait", true)].concat()).await;
    served.seen.until(&served.seen.begun, 1).await;
    served.stop();
    assert_eq!(client.go_away().await, (LARGEST_WINDOW, ErrorCode::NO_ERROR, String::new()));
    let (_, ping) = client.until(Kind::Ping).await;
    // A call that was on its way is still served.
    client.send(&[call(3, "Once", false), message(3, b"hello", true)].concat()).await;
    let (head, _) = client.until(Kind::Headers).await;
    assert_eq!(head.stream, 3);
    client.send(&raw(Kind::Ping, flag::ACK, 0, &ping)).await;
    assert_eq!(client.go_away().await, (3, ErrorCode::NO_ERROR, String::new()));
    // One that comes later is not: not even an answer.
    client.send(&[call(5, "Once", false), message(5, b"hello", true)].concat()).await;
    client.send(&raw(Kind::Reset, 0, 1, &8_u32.to_be_bytes())).await;
    assert!(client.frame().await.is_none());
    tokio::time::timeout(PATIENCE, &mut served.done).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_answer_the_ping_is_told_after_a_second() {
    let mut served = Served::new(Over::Tcp).await;
    let mut client = Raw::new(&served).await;
    client.until(Kind::Settings).await;
    served.stop();
    client.go_away().await;
    assert_eq!(client.go_away().await, (0, ErrorCode::NO_ERROR, String::new()));
    client.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_ends() {
    let idle = Duration::from_millis(100);
    let served = Served::with(Over::Tcp, |builder| builder.max_connection_idle(idle)).await;
    let mut client = Raw::new(&served).await;
    assert_eq!(client.go_away().await.0, LARGEST_WINDOW);
    assert_eq!(client.go_away().await.0, 0);
    client.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_connection_ends_after_its_grace() {
    let served = Served::with(Over::Tcp, |builder| {
        let limit = Duration::from_millis(100);
        builder.max_connection_age(limit).max_connection_age_grace(limit)
    });
    let served = served.await;
    let mut client = served.client().await;
    let status = client.once(Message { payload: b"wait".to_vec().into() }).await.unwrap_err();
    assert_ne!(status.code(), Code::Ok);
    served.seen.until(&served.seen.dropped, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keepalive_asks_and_gives_up() {
    let second = Duration::from_secs(1);
    let served = Served::with(Over::Tcp, |builder| builder.keepalive(second, second)).await;
    let mut client = Raw::new(&served).await;
    let (_, first) = client.until(Kind::Ping).await;
    client.send(&raw(Kind::Ping, flag::ACK, 0, &first)).await;
    client.until(Kind::Ping).await;
    let (_, code, text) = client.go_away().await;
    assert_eq!((code, &text[..]), (ErrorCode::NO_ERROR, "the client does not answer PING"));
    client.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_leaves_takes_its_handlers_along() {
    let served = Served::new(Over::Tcp).await;
    let mut client = Raw::new(&served).await;
    client.send(&[call(1, "Once", false), message(1, b"wait", true)].concat()).await;
    served.seen.until(&served.seen.begun, 1).await;
    drop(client);
    served.seen.until(&served.seen.dropped, 1).await;
    tokio::time::timeout(PATIENCE, async { served.server.drained().await }).await.unwrap();
}
