//! A caller that never lets the service send: HTTP/2 with a window of zero bytes.

use std::future::poll_fn;
use std::time::Duration;

use alts_handshaker::service::ServiceLimits;
use h2::client::SendRequest;
use prost::Message;
use tokio::net::UnixStream;
use tonic::Code;
use tonic::codegen::Bytes;

use crate::support::{
    Served, assert_status, builder, client, client_start, eventually, handshake, server_start,
};

/// One connection of such a caller, and a request that it makes.
async fn connect(served: &Served) -> SendRequest<Bytes> {
    let path = served.address.strip_prefix("unix:").unwrap();
    let socket = UnixStream::connect(path).await.unwrap();
    let (requests, connection) =
        h2::client::Builder::new().initial_window_size(0).handshake(socket).await.unwrap();
    tokio::spawn(connection);
    requests
}

struct Unread {
    _response: h2::client::ResponseFuture,
    _body: h2::SendStream<Bytes>,
}

async fn ask(requests: &SendRequest<Bytes>) -> Unread {
    let mut requests = requests.clone().ready().await.unwrap();
    let request = http::Request::post("http://x/grpc.gcp.HandshakerService/DoHandshake")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let (response, mut body) = requests.send_request(request, false).unwrap();
    let message = client(client_start()).encode_to_vec();
    let mut framed = vec![0];
    framed.extend((message.len() as u32).to_be_bytes());
    framed.extend(message);
    body.reserve_capacity(framed.len());
    while body.capacity() < framed.len() {
        poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap();
    }
    body.send_data(framed.into(), false).unwrap();
    Unread { _response: response, _body: body }
}

#[tokio::test(start_paused = true)]
async fn deadlines_hold_for_callers_that_do_not_read() {
    let mut limits = ServiceLimits::default();
    (limits.streams, limits.streams_per_caller, limits.queue) = (4, 2, 2);
    // The next message is not waited for: the answer to the first is not read.
    limits.idle_timeout = Duration::from_hours(1);
    let service = builder().limits(limits).build().unwrap();
    let served = Served::of(service.clone().into_server()).await;
    let requests = connect(&served).await;
    let mut unread = vec![ask(&requests).await, ask(&requests).await];
    eventually(|| service.in_flight() == 2).await;
    // Time passes by itself while nobody moves.
    eventually(|| service.in_flight() == 0).await;
    handshake(&served, client_start(), server_start(&[])).await.unwrap();

    // Their streams remain, since they read no end. So many and no more: others are not asked to pay for them.
    unread.extend([ask(&requests).await, ask(&requests).await]);
    eventually(|| service.in_flight() == 0).await;
    let refused = served.refusal(client(client_start())).await;
    assert_status(&refused, Code::Unavailable, "open streams");
    drop((unread, requests));
    while handshake(&served, client_start(), server_start(&[])).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
