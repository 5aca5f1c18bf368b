//! So much and no more. Where time is what ends a call, the clock stands still while there is work: caller and service share a thread.

use std::time::Duration;

use alts_handshaker::service::ServiceLimits;
use tonic::Code;

use crate::support::{
    Call, Served, assert_status, builder, client, client_start, eventually, handshake, next,
    server, server_start,
};

fn limits(change: impl FnOnce(&mut ServiceLimits)) -> ServiceLimits {
    let mut limits = ServiceLimits::default();
    limits.handshake_timeout = Duration::from_secs(60 * 60);
    limits.idle_timeout = Duration::from_secs(60 * 60);
    change(&mut limits);
    limits
}

#[tokio::test]
async fn a_full_house_lets_some_wait_and_sends_others_away() {
    let service = builder()
        .limits(limits(|limits| {
            limits.streams_per_caller = 2;
            limits.queue = 1;
        }))
        .build()
        .unwrap();
    let served = Served::of(service.clone().into_server()).await;
    let mut first = served.open(client(client_start())).await.unwrap();
    let offer = first.answer().await.unwrap().out_frames;
    let mut second = served.open(server(server_start(&offer))).await.unwrap();
    let answer = second.answer().await.unwrap().out_frames;

    let mut waits = served.open(client(client_start())).await.unwrap();
    eventually(|| service.in_flight() == 3).await;
    let one_too_many = served.refusal(client(client_start())).await;
    assert_status(&one_too_many, Code::Unavailable, "queue");

    // Those under way are not disturbed, and make room.
    let finish = first.ask(next(&answer)).await.unwrap();
    assert!(finish.result.is_some());
    assert!(!waits.answer().await.unwrap().out_frames.is_empty());
    assert!(second.ask(next(&finish.out_frames)).await.unwrap().result.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_says_nothing() {
    let idle = limits(|limits| limits.idle_timeout = Duration::from_millis(100));
    let served = Served::new(builder().limits(idle)).await;
    // Not even a first message.
    let mut call = Call::open(&served.channel, None).await.unwrap();
    assert_status(&call.answer().await.unwrap_err(), Code::Unavailable, "next message");
    let mut call = served.open(client(client_start())).await.unwrap();
    call.answer().await.unwrap();
    assert_status(&call.answer().await.unwrap_err(), Code::Unavailable, "next message");
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_takes_for_ever() {
    let deadline = limits(|limits| limits.handshake_timeout = Duration::from_millis(300));
    let served = Served::new(builder().limits(deadline)).await;
    let start = &[0xfc, 0x0f, 0, 0, 0x41, 0, 0, 0];
    let mut call = served.open(server(server_start(start))).await.unwrap();
    call.answer().await.unwrap();
    let refused = loop {
        match call.ask(next(&[0])).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(status) => break status,
        }
    };
    assert_status(&refused, Code::Unavailable, "took too long");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_counts() {
    let limits = limits(|limits| {
        limits.streams = 1;
        limits.handshake_timeout = Duration::from_millis(300);
    });
    let served = Served::new(builder().limits(limits)).await;
    let _first = served.open(client(client_start())).await.unwrap();
    let mut second = served.open(client(client_start())).await.unwrap();
    // Either the first is given up and the second gets its place, with no time left, or the other way round in that instant.
    let mut refused = second.answer().await;
    if refused.is_ok() {
        refused = second.answer().await;
    }
    assert_status(&refused.unwrap_err(), Code::Unavailable, "took too long");
}

#[tokio::test]
async fn limits_at_their_ends() {
    for zero in [
        limits(|limits| limits.handshake_timeout = Duration::ZERO),
        limits(|limits| limits.idle_timeout = Duration::ZERO),
    ] {
        let refused = builder().limits(zero).build().unwrap_err().to_string();
        assert!(refused.contains("is zero"), "{refused}");
    }
    let largest = limits(|limits| {
        (limits.handshake_timeout, limits.idle_timeout) = (Duration::MAX, Duration::MAX);
        (limits.streams, limits.streams_per_caller, limits.queue) =
            (usize::MAX, usize::MAX, usize::MAX);
    });
    let served = Served::new(builder().limits(largest)).await;
    handshake(&served, client_start(), server_start(&[])).await.unwrap();
    let shortest = limits(|limits| limits.handshake_timeout = Duration::from_nanos(1));
    let served = Served::new(builder().limits(shortest)).await;
    let mut call = served.open(client(client_start())).await.unwrap();
    // Messages that have arrived already may be answered.
    let refused = match call.answer().await {
        Ok(_) => call.answer().await.unwrap_err(),
        Err(refused) => refused,
    };
    assert_status(&refused, Code::Unavailable, "took too long");
}

#[tokio::test]
async fn abandoned_streams_leave_nothing() {
    let service = builder().limits(limits(|_| ())).build().unwrap();
    let served = Served::of(service.clone().into_server()).await;
    for _ in 0..1_000 {
        let mut call = served.open(client(client_start())).await.unwrap();
        call.answer().await.unwrap();
    }
    eventually(|| service.in_flight() == 0).await;
}
