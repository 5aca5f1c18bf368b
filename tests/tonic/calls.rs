//! Calls that succeed, and what is held after them.

use tokio_stream::StreamExt;
use tonic::Code;

use crate::echo::RepeatRequest;
use crate::fixture::{BOTH, Over, Served, Talk, message, nothing_out};
use crate::support::{Parties, pattern};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unary_calls_of_every_size() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, pool) = served.connect(&parties).await;
        nothing_out(&[&pool, &served.pool]).await;
        for len in [0, 1, 1 << 10, (16 << 10) + 1, 8 << 20] {
            let sent = message(pattern(len));
            let answer = client.once(sent.clone()).await.unwrap().into_inner();
            assert!(answer == sent, "{len} bytes over {over:?} came back changed");
            // The connection is open, and idle.
            nothing_out(&[&pool, &served.pool]).await;
        }
        drop(client);
        served.end().await;
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_and_the_connection_lives() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let (mut client, _) = served.connect(&parties).await;
    let status = client.once(message(vec![0; 17 << 20])).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange, "{status}");
    client.once(message("again")).await.unwrap();
}

#[tokio::test]
async fn a_chat_of_300_messages() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, pool) = served.connect(&parties).await;
        let mut talk = Talk::begin(&mut client).await;
        for number in 0..300_usize {
            talk.exchange(&pattern(number * 7)).await;
        }
        // A stream that is open and silent holds nothing either.
        nothing_out(&[&pool, &served.pool]).await;
        let Talk { say, mut hear } = talk;
        drop(say);
        assert!(hear.next().await.is_none());
        served.seen.chats(0).await;
        drop((client, hear));
        served.end().await;
    }
}

#[tokio::test]
async fn a_chat_without_waiting_for_answers() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let (mut client, pool) = served.connect(&parties).await;
    let sent: Vec<_> = (0..300_usize).map(|number| message(pattern(number * 100))).collect();
    let answers = client.chat(tokio_stream::iter(sent.clone())).await.unwrap().into_inner();
    let received: Vec<_> = answers.map(Result::unwrap).collect().await;
    assert!(received == sent);
    nothing_out(&[&pool, &served.pool]).await;
}

#[tokio::test]
async fn streams_of_one_side() {
    let parties = Parties::new();
    for over in BOTH {
        let served = Served::new(&parties, over).await;
        let (mut client, pool) = served.connect(&parties).await;

        let repeated = message(pattern(3_000));
        let request = RepeatRequest { message: Some(repeated.clone()), times: 1_000 };
        let mut answers = client.repeat(request).await.unwrap().into_inner();
        for _ in 0..1_000 {
            assert!(answers.message().await.unwrap().unwrap() == repeated);
        }
        assert!(answers.message().await.unwrap().is_none());

        let parts = tokio_stream::iter((0..1_000).map(|_| message(pattern(3_000))));
        let joined = client.join(parts).await.unwrap().into_inner().payload;
        assert_eq!(joined.len(), 3_000_000);
        assert!(joined.chunks(3_000).all(|part| part == repeated.payload));

        nothing_out(&[&pool, &served.pool]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_connections_at_the_same_time() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (mut client, pool) = served.connect(&parties).await;
        clients.spawn(async move {
            let large = message(pattern(1 << 20));
            for _ in 0..5 {
                assert!(client.once(large.clone()).await.unwrap().into_inner() == large);
            }
            let mut talk = Talk::begin(&mut client).await;
            for number in 0..300_usize {
                talk.exchange(&pattern(number)).await;
            }
            drop(talk);
            (client, pool)
        });
    }
    let clients = clients.join_all().await;
    served.seen.chats(0).await;
    for (_, pool) in &clients {
        nothing_out(&[pool, &served.pool]).await;
    }
}
