//! `callers SOCKET WINDOW COUNT`: a caller of the handshaker service that begins so many handshakes as a client, with HTTP/2 windows of so
//! many bytes, and does not go on. The order `begin` is reported when all have been sent; the end of the process ends them.

use std::future::poll_fn;

use alts::handshaker::RpcVersions;
use alts::handshaker::proto::handshaker_req::ReqOneof;
use alts::handshaker::proto::{HandshakeProtocol, HandshakerReq, StartClientHandshakeReq};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use prost::Message;
use serde_json::json;
use tokio::net::UnixStream;

use super::{Work, report};

/// What gRPC's servers take at a time on one connection, and less.
const STREAMS: u64 = 50;

pub(crate) async fn run(mut work: Work) {
    let (window, count) = (work.number(1) as u32, work.number(2));
    let path = work.dir.join(work.word(0));
    report(&json!({}));
    work.order().await;
    let mut held = Vec::new();
    let mut connection = None;
    for at in 0..count {
        if at % STREAMS == 0 {
            connection = Some(connect(&path, window).await);
        }
        held.push(begin(connection.as_ref().expect("it is made first")).await);
    }
    report(&json!({ "begun": held.len() }));
    work.order().await;
}

async fn connect(path: &std::path::Path, window: u32) -> SendRequest<Bytes> {
    let socket = UnixStream::connect(path).await.expect("the service is there");
    let mut builder = h2::client::Builder::new();
    let (requests, connection) =
        builder.initial_window_size(window).handshake(socket).await.expect("it speaks HTTP/2");
    tokio::spawn(connection);
    requests
}

async fn begin(requests: &SendRequest<Bytes>) -> (ResponseFuture, h2::SendStream<Bytes>) {
    let mut requests = requests.clone().ready().await.expect("there is room for a stream");
    let request = http::Request::post("http://x/grpc.gcp.HandshakerService/DoHandshake")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let (response, mut body) = requests.send_request(request, false).expect("it is sent");
    let message = start().encode_to_vec();
    let length = (message.len() as u32).to_be_bytes();
    let framed = [&[0], &length[..], &message].concat();
    body.reserve_capacity(framed.len());
    while body.capacity() < framed.len() {
        // A service may refuse it first.
        if !matches!(poll_fn(|cx| body.poll_capacity(cx)).await, Some(Ok(_))) {
            return (response, body);
        }
    }
    let _ = body.send_data(framed.into(), false);
    (response, body)
}

fn start() -> HandshakerReq {
    let start = StartClientHandshakeReq {
        handshake_security_protocol: HandshakeProtocol::Alts.into(),
        application_protocols: vec!["grpc".into()],
        record_protocols: vec!["ALTSRP_GCM_AES128_REKEY".into()],
        rpc_versions: Some(RpcVersions::GRPC.into()),
        ..Default::default()
    };
    HandshakerReq { req_oneof: Some(ReqOneof::ClientStart(start)) }
}
