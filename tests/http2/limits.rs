//! A test for each limit that shows that its setting reaches it.

use std::time::Duration;

use alts::http2::frame::{self, ErrorCode, Headers, Kind, Setting, WindowUpdate};
use alts::http2::hpack::encode;

use crate::fixture::{Over, Served};
use crate::raw::{Raw, call, data, message, raw};

/// The settings that a server announces.
async fn announced(client: &mut Raw) -> Vec<Setting> {
    let (head, payload) = client.until(Kind::Settings).await;
    frame::Settings::parse(&head, &payload).unwrap().iter().collect()
}

#[tokio::test]
async fn settings_are_announced() {
    let served = Served::with(Over::Tcp, |builder| {
        builder
            .max_concurrent_streams(7)
            .stream_window(70_000)
            .connection_window(80_000)
            .max_header_list_size(5_000)
            .header_table_size(1_000)
    });
    let served = served.await;
    let mut client = Raw::new(&served).await;
    let expected = [
        Setting::MaxConcurrentStreams(7),
        Setting::InitialWindowSize(70_000),
        Setting::MaxHeaderListSize(5_000),
        Setting::HeaderTableSize(1_000),
    ];
    assert_eq!(announced(&mut client).await, expected);
    let (head, payload) = client.until(Kind::WindowUpdate).await;
    let update = WindowUpdate::parse(&head, &payload).unwrap();
    assert_eq!(update, WindowUpdate { stream: 0, increment: 80_000 - 65_535 });
}

#[tokio::test]
async fn max_concurrent_streams() {
    let served = Served::with(Over::Tcp, |builder| builder.max_concurrent_streams(2)).await;
    let mut client = Raw::new(&served).await;
    for stream in [1, 3, 5] {
        client.send(&call(stream, "Join", false)).await;
    }
    let (head, payload) = client.until(Kind::Reset).await;
    assert_eq!((head.stream, payload), (5, ErrorCode::REFUSED_STREAM.0.to_be_bytes().to_vec()));
}

#[tokio::test]
async fn stream_window() {
    let served = Served::with(Over::Tcp, |builder| builder.stream_window(70_000)).await;
    let mut client = Raw::new(&served).await;
    // The beginning of a message that is larger than what will come: the handler takes it all, and asks for more at half a window.
    client.send(&call(1, "Join", false)).await;
    let mut sent = vec![0, 0, 20, 0, 0];
    sent.resize(16_384, 0);
    let piece = data(1, &sent, false);
    client.send(&piece).await;
    let piece = data(1, &vec![0; 16_384], false);
    client.send(&piece).await;
    client.send(&piece).await;
    let mut increment = 0;
    while increment < 35_000 {
        let (head, payload) = client.until(Kind::WindowUpdate).await;
        if head.stream == 1 {
            increment += WindowUpdate::parse(&head, &payload).unwrap().increment;
        }
    }
    let limit = 70_000 + 35_000 + 200_000;
    client.flood(&data(1, &vec![0; 16_384], false).repeat(8), limit).await;
    drop(client);

    let mut client = Raw::new(&served).await;
    client.send(&call(1, "Once", false)).await;
    client.send(&message(1, b"wait", false)).await;
    let frame = data(1, &vec![0; 10_000], false);
    for _ in 0..7 {
        client.send(&frame).await;
    }
    let (head, payload) = client.until(Kind::Reset).await;
    assert_eq!((head.stream, payload), (1, ErrorCode::FLOW_CONTROL_ERROR.0.to_be_bytes().to_vec()));
}

#[tokio::test]
async fn max_header_list_size() {
    for (limit, status) in [(5_000, &b"431"[..]), (16_000, b"")] {
        let served = Served::with(Over::Tcp, |builder| builder.max_header_list_size(limit)).await;
        let mut client = Raw::new(&served).await;
        let mut out = Vec::new();
        let start = Headers::begin(&mut out);
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/a/b"),
            ("long", &"x".repeat(6_000)),
        ] {
            encode::field(&mut out, name.as_bytes(), value.as_bytes());
        }
        Headers::finish(&mut out, start, 1, true);
        client.send(&out).await;
        let (_, block) = client.until(Kind::Headers).await;
        assert_eq!(block.windows(3).any(|window| window == b"431"), !status.is_empty());
    }
}

#[tokio::test]
async fn header_table_size() {
    for (size, allowed) in [(4_096, true), (100, false)] {
        let served = Served::with(Over::Tcp, |builder| builder.header_table_size(size)).await;
        let mut client = Raw::new(&served).await;
        let mut out = Vec::new();
        let start = Headers::begin(&mut out);
        encode::size_update(&mut out, 4_096);
        Headers::finish(&mut out, start, 1, true);
        client.send(&out).await;
        match allowed {
            true => assert_eq!(client.until(Kind::Reset).await.0.stream, 1),
            false => assert_eq!(client.go_away().await.1, ErrorCode::COMPRESSION_ERROR),
        }
    }
}

#[tokio::test]
async fn preface_timeout() {
    let limit = Duration::from_millis(100);
    let served = Served::with(Over::Tcp, |builder| builder.preface_timeout(limit)).await;
    let mut client = Raw::silent(&served).await;
    client.send(b"PRI * ").await;
    let (_, _, text) = client.go_away().await;
    assert_eq!(text, "the client's preface and settings did not come");
    client.ended().await;
}

#[tokio::test]
async fn an_incomplete_frame_times_out() {
    let limit = Duration::from_millis(100);
    let served = Served::with(Over::Tcp, |builder| builder.stall_timeout(limit)).await;
    for bytes in [raw(Kind::Headers, 0, 1, &[]), raw(Kind::Ping, 0, 0, &[0; 8])[..12].to_vec()] {
        let mut client = Raw::new(&served).await;
        client.send(&bytes).await;
        let (_, _, text) = client.go_away().await;
        assert_eq!(text, "a frame that has begun was not completed");
        client.ended().await;
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed() {
    let limit = Duration::from_millis(100);
    let served = Served::with(Over::Tcp, |builder| builder.stall_timeout(limit)).await;
    let mut client = Raw::new(&served).await;
    // Much window, and nobody who reads.
    let mut bytes = Vec::new();
    frame::Settings::write(&[Setting::InitialWindowSize(1 << 30)], &mut bytes);
    WindowUpdate { stream: 0, increment: 1 << 30 }.write(&mut bytes);
    client.send(&bytes).await;
    let request = [0, 0, 0, 0, 11, 10, 5, 10, 3, b'a', b'b', b'c', 16, 0xFF, 0xFF, 0x7F];
    client.send(&call(1, "Repeat", false)).await;
    client.send(&data(1, &request, true)).await;
    let closed = async {
        while served.server.stats().ended == 0 {
            tokio::time::sleep(limit).await;
        }
        served.server.drained().await;
    };
    tokio::time::timeout(crate::fixture::PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_pings_ends_and_says_why() {
    let served = Served::new(Over::Tcp).await;
    let mut client = Raw::new(&served).await;
    let sending = raw(Kind::Ping, 0, 0, &[0; 8]).repeat(100);
    for _ in 0..25 {
        client.send(&sending).await;
    }
    let (_, code, text) = client.go_away().await;
    assert_eq!(code, ErrorCode::ENHANCE_YOUR_CALM);
    assert!(text.contains("PING"), "{text}");
    client.ended().await;
}

#[test]
fn settings_that_cannot_be() {
    use alts::http2::Server;
    for builder in [
        Server::builder().max_concurrent_streams(0),
        Server::builder().stream_window(0),
        Server::builder().stream_window(1 << 31),
        Server::builder().connection_window(65_534),
        Server::builder().max_header_list_size(0),
        Server::builder().header_table_size(65_537),
        Server::builder().keepalive(Duration::from_millis(1), Duration::from_secs(1)),
        Server::builder().preface_timeout(Duration::ZERO),
        Server::builder().timeout(Duration::ZERO),
    ] {
        builder.build().unwrap_err();
    }
}

#[test]
fn an_idle_connection_is_small() {
    use alts::http2::server::Connection;
    use tokio::net::TcpStream;
    use tonic::body::Body;
    use tonic::service::Routes;
    let sizes = [
        size_of::<Connection<TcpStream, Routes, Body>>(),
        size_of::<Connection<alts::AltsStream<TcpStream>, Routes, Body>>(),
    ];
    assert!(sizes[0] <= 152 && sizes[1] <= 280, "{sizes:?}");
}
