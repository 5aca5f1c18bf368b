//! Calls that somebody gives up.

use std::time::Duration;

use tonic::{Code, Request};

use crate::fixture::{BOTH, Served, Talk, message, nothing_out};
use crate::support::Parties;

#[tokio::test]
async fn a_deadline_ends_a_call_and_not_the_connection() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, pool) = served.connect(&parties).await;
        // The server waits for more, and there is no more.
        let mut request = Request::new(tokio_stream::pending());
        request.set_timeout(Duration::from_millis(50));
        let status = client.join(request).await.unwrap_err();
        let code = status.code();
        assert!(matches!(code, Code::Cancelled | Code::DeadlineExceeded), "{status}");
        client.once(message("again")).await.unwrap();
        nothing_out(&[&pool, &served.pool]).await;
    }
}

#[tokio::test]
async fn the_server_learns_that_a_call_was_cancelled() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, pool) = served.connect(&parties).await;
        let mut kept = Talk::begin(&mut client).await;
        let mut dropped = Talk::begin(&mut client).await;
        kept.exchange(b"one").await;
        dropped.exchange(b"one").await;
        served.seen.chats(2).await;
        drop(dropped);
        served.seen.chats(1).await;
        kept.exchange(b"two").await;
        nothing_out(&[&pool, &served.pool]).await;
    }
}

#[tokio::test]
async fn calls_end_when_their_client_goes_away() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, _pool) = served.connect(&parties).await;
        let mut talk = Talk::begin(&mut client).await;
        talk.exchange(b"hello").await;
        drop((talk, client));
        served.seen.chats(0).await;
        nothing_out(&[&served.pool]).await;
    }
}
