//! Callers by the thousand that never finish anything.

use std::io::{ErrorKind, Read, Write};

use alts_handshaker::RpcVersions;
use alts_handshaker::proto::handshaker_req::ReqOneof;
use alts_handshaker::proto::handshaker_service_client::HandshakerServiceClient;
use alts_handshaker::proto::{
    HandshakeProtocol, HandshakerReq, HandshakerResp, ServerHandshakeParameters,
    StartServerHandshakeReq,
};
use tokio::sync::mpsc::{self, Sender};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

use crate::daemon::{Daemon, Files, HalfWay, PATIENT, eventually, handshake, health, remote};

/// Most of the largest first message that a client may send: half a handshake that holds as much as it can.
fn half_a_message() -> Vec<u8> {
    [&[0xfc, 0x0f, 0, 0, 0x41, 0, 0, 0][..], &[0xff; 4_000]].concat()
}

fn server_start() -> HandshakerReq {
    let parameters = ServerHandshakeParameters {
        record_protocols: vec!["ALTSRP_GCM_AES128_REKEY".into()],
        ..Default::default()
    };
    let start = StartServerHandshakeReq {
        application_protocols: vec!["grpc".into()],
        handshake_parameters: [(HandshakeProtocol::Alts.into(), parameters)].into(),
        in_bytes: half_a_message(),
        rpc_versions: Some(RpcVersions::GRPC.into()),
        ..Default::default()
    };
    HandshakerReq { req_oneof: Some(ReqOneof::ServerStart(start)) }
}

struct HalfOpen {
    _requests: Sender<HandshakerReq>,
    _responses: Streaming<HandshakerResp>,
}

async fn channels(address: &str, count: usize) -> Vec<Channel> {
    let mut channels = Vec::new();
    for _ in 0..count {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        channels.push(endpoint.connect().await.unwrap());
    }
    channels
}

/// Opens a stream and leaves it there. `Err` if it is refused before it can be left.
async fn abandon(channel: &Channel) -> Result<HalfOpen, Code> {
    let (requests, receiver) = mpsc::channel(1);
    requests.try_send(server_start()).unwrap();
    let mut client = HandshakerServiceClient::new(channel.clone());
    let calling = client.do_handshake(ReceiverStream::new(receiver));
    let responses = calling.await.map_err(|status| status.code())?.into_inner();
    Ok(HalfOpen { _requests: requests, _responses: responses })
}

/// Resident memory in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn counted(daemon: &Daemon, series: &str) -> u64 {
    let metrics = daemon.metrics();
    let line = metrics.lines().find(|line| line.starts_with(series));
    line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn thousands_of_half_open_handshakes() {
    let files = Files::new();
    let more = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        files.socket(),
        "--admin",
        "127.0.0.1:0",
        // So that nothing ends by itself while the test looks.
        "--idle-timeout",
        "1h",
        "--handshake-timeout",
        "1h",
    ];
    let daemon = Daemon::start(&files.usual(), &more);
    let [tcp, unix] = &daemon.addresses[..] else { panic!("two addresses") };
    let (others, own) = (remote(unix), remote(tcp));
    handshake(&own, &others).await.unwrap();
    let half_way = HalfWay::reach(&own, &own).await.unwrap();
    let before = resident(&daemon);

    // 20 connections with 150 streams: 3,000, of which 254 get a place (two have been given) and 256 may wait.
    let flood = channels(tcp, 20).await;
    let mut abandoned = Vec::new();
    for _ in 0..150 {
        for channel in &flood {
            if let Ok(half_open) = abandon(channel).await {
                abandoned.push(half_open);
            }
        }
    }
    let refused = "alts_handshaker_handshake_failures_total{role=\"none\",reason=\"overloaded\"}";
    eventually(|| counted(&daemon, refused) == 3_000 - 254 - 256).await;
    assert_eq!(counted(&daemon, "alts_handshaker_in_flight"), 512);

    // Callers elsewhere do not notice, nor does what was under way.
    for _ in 0..20 {
        handshake(&others, &others).await.unwrap();
    }
    half_way.finish().await.unwrap();
    // Each half-open handshake holds some 4 KiB of a peer's bytes, and its stream.
    let grown = resident(&daemon).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more");

    // All of it goes with its callers.
    drop((abandoned, flood));
    eventually(|| counted(&daemon, "alts_handshaker_in_flight") == 0).await;
    handshake(&own, &own).await.unwrap();
}

#[tokio::test]
async fn abandoned_handshakes_end_by_themselves() {
    let files = Files::new();
    let more = [
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        // More than a busy machine keeps an honest caller from its next message, once for those that have places, and once for
        // those that get theirs.
        "--idle-timeout",
        "2s",
        "--handshake-timeout",
        "1h",
        // Of which one caller alone gets half.
        "--max-streams",
        "40",
        "--queue",
        "100",
    ];
    let daemon = Daemon::start(&files.usual(), &more);
    let flood = channels(&daemon.addresses[0], 1).await;
    let mut abandoned = Vec::new();
    for _ in 0..40 {
        abandoned.push(abandon(&flood[0]).await);
    }
    // A caller that waits behind them gets its turn.
    handshake(&daemon.remote(), &daemon.remote()).await.unwrap();
    eventually(|| counted(&daemon, "alts_handshaker_in_flight") == 0).await;
    let idle = "alts_handshaker_handshake_failures_total{role=\"server\",reason=\"idle\"}";
    assert_eq!(counted(&daemon, idle), 40);
}

/// Of one more connection than there may be, the one that has been unused for longest is closed. Nobody is kept out.
#[tokio::test]
async fn connections_that_say_nothing_give_way() {
    let files = Files::new();
    let more = [
        "--listen",
        "127.0.0.1:0",
        "--listen",
        files.socket(),
        "--admin",
        "127.0.0.1:0",
        "--max-connections-per-caller",
        "3",
        "--first-call-timeout",
        "1h",
    ];
    let daemon = Daemon::start(&files.usual(), &more);
    let [tcp, unix] = &daemon.addresses[..] else { panic!("two addresses") };
    let displaced = "alts_handshaker_connections_closed_total{reason=\"displaced\"}";
    let sockets: Vec<_> =
        (0..10).map(|_| std::net::TcpStream::connect(tcp.as_str()).unwrap()).collect();
    eventually(|| counted(&daemon, displaced) == 7).await;
    assert_eq!(counted(&daemon, "alts_handshaker_connections "), 3);
    // Those that came first, and they are told.
    for (at, mut socket) in sockets.iter().enumerate() {
        socket.set_nonblocking(at >= 7).unwrap();
        let closed = match socket.read(&mut [0; 1_000]) {
            // A server of HTTP/2 speaks first.
            Ok(1..) => socket.read(&mut [0; 1_000]).is_ok_and(|count| count == 0),
            Ok(0) => true,
            Err(fault) => fault.kind() == ErrorKind::ConnectionReset,
        };
        assert_eq!(closed, at < 7, "{at}");
    }

    // Whoever comes displaces another: callers, and what asks whether the daemon is alive.
    handshake(&remote(tcp), &remote(tcp)).await.unwrap();
    for address in [tcp, unix] {
        assert_eq!(health(address), (true, String::new()));
    }
    assert!(counted(&daemon, displaced) > 7);
    drop(sockets);
    eventually(|| counted(&daemon, "alts_handshaker_connections ") == 0).await;
    handshake(&remote(tcp), &remote(tcp)).await.unwrap();
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed() {
    let files = Files::new();
    let more = [
        "--listen",
        files.socket(),
        "--listen",
        "127.0.0.1:0",
        "--admin",
        "127.0.0.1:0",
        "--first-call-timeout",
        "50ms",
    ];
    let daemon = Daemon::start(&files.usual(), &[&more[..], &PATIENT].concat());
    // One in use for longer than that.
    let half_way = loop {
        if let Ok(half_way) = HalfWay::reach(&daemon.remote(), &daemon.remote()).await {
            break half_way;
        }
    };
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let mut socket = std::net::TcpStream::connect(daemon.addresses[1].as_str()).unwrap();
        // It may be closed already.
        let _ = socket.write_all(said);
        let _ = socket.read_to_end(&mut Vec::new());
    }
    let silent = "alts_handshaker_connections_closed_total{reason=\"silent\"}";
    eventually(|| counted(&daemon, silent) >= 2).await;
    half_way.finish().await.unwrap();
}

#[tokio::test]
async fn visitors_that_say_nothing_do_not_hide_the_metrics() {
    let files = Files::new();
    let daemon = Daemon::usual(&files);
    let admin = daemon.admin.clone().unwrap();
    let _silent: Vec<_> =
        (0..40).map(|_| std::net::TcpStream::connect(admin.as_str()).unwrap()).collect();
    assert!(daemon.metrics().ends_with("# EOF\n"));
}

/// Bytes that are not even HTTP/2.
#[tokio::test]
async fn connections_that_speak_something_else() {
    let files = Files::new();
    let daemon = Daemon::start(&files.usual(), &["--listen", "127.0.0.1:0"]);
    let tcp = &daemon.addresses[0];
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 100], &[0xff; 10_000], b"PRI * HTTP/2.0"] {
        let mut socket = std::net::TcpStream::connect(tcp.as_str()).unwrap();
        // It may be closed before everything is sent.
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        let _ = socket.read_to_end(&mut Vec::new());
    }
    handshake(&daemon.remote(), &daemon.remote()).await.unwrap();
}
