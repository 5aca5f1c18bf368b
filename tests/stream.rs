//! Streams over real sockets.

mod support;

use std::io::IoSlice;

use alts::connect::Settings;
use alts::ready::ReadyReader;
use alts::record::AeadProvider;
use support::{CLIENT, Parties, SERVER, pattern};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn both_sides_prove_themselves_and_bytes_flow() {
    let parties = Parties::new();
    let (mut client, mut server) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    assert_eq!(client.peer().name(), SERVER);
    assert_eq!(server.peer().name(), CLIENT);
    client.write_all(b"ping").await.unwrap();
    let mut buf = [0; 4];
    server.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"ping");
    server.write_all(b"pong").await.unwrap();
    let pool = client.negotiated().peer.name().len();
    assert_ne!(pool, 0);
    client.read_exact(&mut buf).await.unwrap();
    assert_eq!(&buf, b"pong");
    client.shutdown().await.unwrap();
    assert_eq!(server.read(&mut buf).await.unwrap(), 0);
    assert!(server.peer_closed_authenticated());
    // The other direction stays open.
    server.write_all(b"late").await.unwrap();
    server.shutdown().await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"late");
}

#[tokio::test]
async fn large_transfers_arrive_whole_in_both_directions_at_once() {
    let parties = Parties::new();
    let (mut client, mut server) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    let data = pattern(20 << 20);
    let expected = data.clone();
    let echo = tokio::spawn(async move {
        let pool = alts::pool::BufferPool::new();
        while let Some(buf) = server.read_on_ready(&pool).await.unwrap() {
            server.write_all(&buf).await.unwrap();
        }
        server.shutdown().await.unwrap();
        assert_eq!(pool.stats().in_use_buffers, 0);
    });
    let (mut read, mut write) = {
        client.flush().await.unwrap();
        client.into_split()
    };
    let sender = tokio::spawn(async move {
        write.write_all(&data).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    read.read_to_end(&mut back).await.unwrap();
    assert!(back == expected);
    sender.await.unwrap();
    echo.await.unwrap();
}

/// What is on the wire does not depend on whose AES-GCM it is, nor on whether what is written lies in one piece. Enough records
/// for both to change keys in between.
#[tokio::test]
async fn each_side_has_the_cryptography_that_it_chose() {
    let parties = Parties::new();
    let pairs = AeadProvider::ALL
        .iter()
        .flat_map(|&near| AeadProvider::ALL.iter().map(move |&far| [near, far]));
    for pair in pairs {
        let [near, far] = pair.map(|aead| {
            let mut settings = Settings::default();
            settings.stream.aead = aead;
            settings
        });
        let (mut near, mut far) = parties.tcp_pair(near, far).await;
        for count in [1, 100, 5_000, 100_000] {
            let data = pattern(count);
            let (first, second) = data.split_at(count / 3);
            let pieces = [first, &[], second].map(IoSlice::new);
            let written = near.write_vectored(&pieces).await.unwrap();
            near.write_all(&data[written..]).await.unwrap();
            let mut received = vec![0; count];
            far.read_exact(&mut received).await.unwrap();
            assert!(received == data, "{pair:?}, {count} bytes");
            far.write_all(&received).await.unwrap();
            near.read_exact(&mut received).await.unwrap();
            assert!(received == data, "{pair:?}, {count} bytes back");
        }
        let mut turn = [0; 1];
        for _ in 0..66_000 {
            near.write_all(&turn).await.unwrap();
            far.read_exact(&mut turn).await.unwrap();
        }
    }
}

/// What the documentation says about tests that stop tokio's clock and have their peer on another thread.
#[tokio::test(start_paused = true)]
async fn with_a_stopped_clock_handshakes_need_the_peer_in_the_runtime_or_a_clock_that_runs() {
    let parties = Parties::new();
    // Both sides in this runtime.
    let (mut near, mut far) = parties.tcp_pair(Settings::default(), Settings::default()).await;
    near.write_all(b"ping").await.unwrap();
    far.read_exact(&mut [0; 4]).await.unwrap();

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = parties.acceptor(Settings::default());
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, _) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        runtime.block_on(async {
            let socket = tokio::net::TcpStream::from_std(socket).unwrap();
            let mut stream = acceptor.accept(socket).await.unwrap();
            let mut text = [0; 4];
            stream.read_exact(&mut text).await.unwrap();
            stream.write_all(&text).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read(&mut text).await;
        });
    });
    tokio::time::resume();
    let socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut stream = parties.connector(Settings::default()).connect(socket).await.unwrap();
    tokio::time::pause();
    stream.write_all(b"ping").await.unwrap();
    stream.read_exact(&mut [0; 4]).await.unwrap();
    stream.shutdown().await.unwrap();
    server.join().unwrap();
}

#[test]
fn a_stream_adds_120_bytes_to_its_socket() {
    // tokio's own `TcpStream` is 32 bytes without debug assertions, which makes 152.
    let socket = size_of::<tokio::net::TcpStream>();
    assert_eq!(size_of::<alts::AltsStream<tokio::net::TcpStream>>(), socket + 120);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_kernel_is_told_how_much_may_wait_unsent() {
    let parties = Parties::new();
    let mut unlimited = Settings::default();
    unlimited.unsent_limit = None;
    let (client, server) = parties.tcp_pair(Settings::default(), unlimited).await;
    let limit = |stream: &alts::AltsStream<tokio::net::TcpStream>| {
        socket2::SockRef::from(stream.get_ref()).tcp_notsent_lowat().unwrap()
    };
    let (untouched, _) = support::tcp_sockets().await;
    let system = socket2::SockRef::from(&untouched).tcp_notsent_lowat().unwrap();
    assert_eq!((limit(&client), limit(&server)), (64 << 10, system));
    assert_ne!(system, 64 << 10, "the limit would not show");
}
