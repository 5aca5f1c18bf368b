//! What callers can do wrong. Each ends with a status that says so, without a response.

use alts_handshaker::proto::{
    HandshakeProtocol, HandshakerReq, HandshakerResp, StartClientHandshakeReq,
    StartServerHandshakeReq, handshaker_service_server,
};
use alts_handshaker::{RpcVersion, RpcVersions};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use crate::support::{
    Served, assert_status, builder, client, client_start, handshake, next, server, server_start,
};

#[tokio::test]
async fn messages_out_of_order() {
    let served = Served::new(builder()).await;
    assert_status(&served.refusal(next(b"x")).await, Code::Internal, "before");
    let nothing = HandshakerReq { req_oneof: None };
    assert_status(&served.refusal(nothing).await, Code::Internal, "neither");

    for again in [client(client_start()), server(server_start(&[]))] {
        let mut call = served.open(client(client_start())).await.unwrap();
        call.answer().await.unwrap();
        let refused = call.ask(again).await.unwrap_err();
        assert_status(&refused, Code::Internal, "second start");
    }
}

/// What to break in a good start message.
type Change<Start> = fn(&mut Start);

#[tokio::test]
async fn starts_that_make_no_sense() {
    let served = Served::new(builder()).await;
    let clients: [(_, Change<StartClientHandshakeReq>); 6] = [
        ("not ALTS", |start| start.handshake_security_protocol = HandshakeProtocol::Tls.into()),
        ("not ALTS", |start| start.handshake_security_protocol = 0),
        ("rpc_versions", |start| start.rpc_versions = None),
        ("rpc_versions", |start| start.rpc_versions.as_mut().unwrap().min_rpc_version = None),
        ("application_protocols", |start| start.application_protocols.clear()),
        ("application_protocols", |start| start.application_protocols = vec!["x".repeat(65)]),
    ];
    for (text, change) in clients {
        let mut start = client_start();
        change(&mut start);
        assert_status(&served.refusal(client(start)).await, Code::Internal, text);
    }
    let servers: [(_, Change<StartServerHandshakeReq>); 4] = [
        ("none for ALTS", |start| start.handshake_parameters.clear()),
        ("rpc_versions", |start| start.rpc_versions = None),
        ("application_protocols", |start| start.application_protocols = vec!["g".into(); 1_000]),
        ("rpc_versions", |start| {
            start.rpc_versions.as_mut().unwrap().max_rpc_version.as_mut().unwrap().major = 1;
        }),
    ];
    for (text, change) in servers {
        let mut start = server_start(&[]);
        change(&mut start);
        assert_status(&served.refusal(server(start)).await, Code::Internal, text);
    }
}

#[tokio::test]
async fn nothing_in_common() {
    let served = Served::new(builder()).await;
    for protocols in [vec![], vec!["ALTSRP_GCM_AES128".to_owned()]] {
        let start =
            StartClientHandshakeReq { record_protocols: protocols.clone(), ..client_start() };
        let refused = served.refusal(client(start)).await;
        assert_status(&refused, Code::Unauthenticated, "ALTSRP_GCM_AES128_REKEY");
        let mut start = server_start(&[]);
        start.handshake_parameters.get_mut(&2).unwrap().record_protocols = protocols;
        let refused = served.refusal(server(start)).await;
        assert_status(&refused, Code::Unauthenticated, "ALTSRP_GCM_AES128_REKEY");
    }

    let application_protocols = vec!["other".to_owned()];
    let start = StartClientHandshakeReq { application_protocols, ..client_start() };
    let refused = handshake(&served, start, server_start(&[])).await.unwrap_err();
    assert_status(&refused, Code::Unauthenticated, "application protocol");

    let other = RpcVersion { major: 3, minor: 0 };
    let rpc_versions = Some(RpcVersions { max: other, min: other }.into());
    let start = StartClientHandshakeReq { rpc_versions, ..client_start() };
    let refused = handshake(&served, start, server_start(&[])).await.unwrap_err();
    assert_status(&refused, Code::Unauthenticated, "RPC versions");
}

#[tokio::test]
async fn input_that_is_too_large() {
    let served = Served::new(builder()).await;
    let refused = served.refusal(server(server_start(&vec![0; 1 << 20]))).await;
    assert_status(&refused, Code::Internal, "too large");
    let mut call = served.open(client(client_start())).await.unwrap();
    call.answer().await.unwrap();
    let refused = call.ask(next(&vec![0; 1 << 20])).await.unwrap_err();
    assert_status(&refused, Code::Internal, "too large");
}

#[tokio::test]
async fn bytes_that_are_no_handshake() {
    let served = Served::new(builder()).await;
    for (bytes, code, text) in [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], Code::Unavailable, "HTTP/2"),
        (&[0x16, 3, 1, 2, 0, 1, 0, 1], Code::Unavailable, "TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", Code::Unavailable, "HTTP/1"),
        (&[0; 8], Code::Unavailable, "decode_error"),
        // A record where the handshake should begin.
        (&[20, 0, 0, 0, 6, 0, 0, 0], Code::Unavailable, ""),
        // A ClientFinished.
        (&[30, 0, 0, 0, 0x44, 0, 0, 0], Code::Unavailable, "unexpected_message"),
    ] {
        let refused = served.refusal(server(server_start(bytes))).await;
        assert_status(&refused, code, text);
    }
    // The client's side.
    let mut call = served.open(client(client_start())).await.unwrap();
    call.answer().await.unwrap();
    let refused = call.ask(next(&[0x81; 40])).await.unwrap_err();
    assert_status(&refused, Code::Unavailable, "too_large");
}

/// What a peer says in the handshake's own terms comes as a status of its own.
#[tokio::test]
async fn an_alert_of_the_peer() {
    let served = Served::new(builder()).await;
    let mut call = served.open(client(client_start())).await.unwrap();
    call.answer().await.unwrap();
    let alert = [&[7, 0, 0, 0, 0x4f, 0, 0, 0, 0, 15, 0][..]].concat();
    let refused = call.ask(next(&alert)).await.unwrap_err();
    assert_status(&refused, Code::Unavailable, "overloaded");
}

#[tokio::test]
async fn input_without_end() {
    let served = Served::new(builder()).await;
    // The largest frame that a client's first message may be, of nonsense, in small pieces: it ends with the frame.
    let mut call =
        served.open(server(server_start(&[0xfc, 0x0f, 0, 0, 0x41, 0, 0, 0]))).await.unwrap();
    call.answer().await.unwrap();
    let mut sent = 8;
    let refused = loop {
        match call.ask(next(&[0xff; 24])).await {
            Ok(response) => {
                assert_eq!((response.bytes_consumed, response.out_frames.len()), (24, 0));
                sent += 24;
                assert!(sent <= 4_096, "there is an end");
            }
            Err(status) => break status,
        }
    };
    assert_status(&refused, Code::Unavailable, "");

    // Messages with nothing in them bring nothing forward.
    let mut call = served.open(server(server_start(&[]))).await.unwrap();
    call.answer().await.unwrap();
    let mut asked = 0;
    let refused = loop {
        match call.ask(next(&[])).await {
            Ok(_) => asked += 1,
            Err(status) => break status,
        }
    };
    assert_status(&refused, Code::Internal, "without in_bytes");
    assert_eq!(asked, 16);
}

#[tokio::test]
async fn a_caller_that_hangs_up() {
    let served = Served::new(builder()).await;
    let mut call = served.open(client(client_start())).await.unwrap();
    call.answer().await.unwrap();
    // Ends its own direction only.
    call.requests = tokio::sync::mpsc::channel(1).0;
    assert_status(&call.answer().await.unwrap_err(), Code::Cancelled, "before");
}

/// As [`HandshakerReq`], from a caller of another time.
#[derive(Clone, PartialEq, prost::Message)]
struct Foreign {
    /// Not the message that it should be.
    #[prost(uint32, optional, tag = "1")]
    wrong: Option<u32>,
    #[prost(message, optional, tag = "2")]
    server_start: Option<ForeignServerStart>,
    #[prost(string, tag = "1000")]
    unknown: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ForeignServerStart {
    #[prost(string, repeated, tag = "1")]
    application_protocols: Vec<String>,
    #[prost(btree_map = "int32, message", tag = "2")]
    handshake_parameters:
        std::collections::BTreeMap<i32, alts_handshaker::proto::ServerHandshakeParameters>,
    #[prost(message, optional, tag = "6")]
    rpc_versions: Option<alts_handshaker::proto::RpcProtocolVersions>,
    #[prost(bytes = "vec", tag = "99")]
    unknown: Vec<u8>,
}

async fn send(served: &Served, request: Foreign) -> Result<HandshakerResp, Status> {
    let mut grpc = tonic::client::Grpc::new(served.channel.clone());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<Foreign, HandshakerResp>::default();
    let path = format!("/{}/DoHandshake", handshaker_service_server::SERVICE_NAME);
    let path = PathAndQuery::try_from(path).unwrap();
    let request = Request::new(tokio_stream::once(request));
    let mut responses = grpc.streaming(request, path, codec).await?.into_inner();
    Ok(responses.message().await?.unwrap())
}

#[tokio::test]
async fn fields_of_another_time() {
    let served = Served::new(builder()).await;
    let known = server_start(&[]);
    let start = ForeignServerStart {
        application_protocols: known.application_protocols,
        handshake_parameters: known.handshake_parameters,
        rpc_versions: known.rpc_versions,
        unknown: vec![7; 100],
    };
    let request =
        Foreign { server_start: Some(start), unknown: "unknown".into(), ..Default::default() };
    assert!(send(&served, request).await.unwrap().status.is_some());

    let request = Foreign { wrong: Some(7), ..Default::default() };
    let refused = send(&served, request).await.unwrap_err();
    assert_status(&refused, Code::Internal, "unreadable");
}
