//! Services that do not do as they should.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Mutex;

use alts_handshaker::proto::handshaker_service_server::{
    HandshakerService as Rpc, HandshakerServiceServer,
};
use alts_handshaker::proto::{HandshakerReq, HandshakerResp, HandshakerResult, HandshakerStatus};
use alts_handshaker::{Error, Role, Step};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::remote::{start, step};
use crate::support::{Served, grpc_versions, service_account};

/// Answers each message with the next of what it has been given, and ends.
struct Script(Mutex<VecDeque<Result<HandshakerResp, Status>>>);

#[tonic::async_trait]
impl Rpc for Script {
    type DoHandshakeStream = Pin<Box<dyn Stream<Item = Result<HandshakerResp, Status>> + Send>>;

    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakerReq>>,
    ) -> Result<Response<Self::DoHandshakeStream>, Status> {
        let mut script = std::mem::take(&mut *self.0.lock().unwrap());
        let answers = request.into_inner().map_while(move |_| script.pop_front());
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A session's steps against a script: each with these bytes of the peer, which are no part of a message that this package knows,
/// as the service is asked about those only when they are whole. What it sends, and how it ends.
async fn play(
    script: impl IntoIterator<Item = Result<HandshakerResp, Status>>,
    received: &[&[u8]],
) -> (Vec<u8>, Result<Step, Error>) {
    let script = Script(Mutex::new(script.into_iter().collect()));
    let served = Served::of(HandshakerServiceServer::new(script)).await;
    let mut session = start(&served.remote(), Role::Server);
    let mut out = Vec::new();
    let mut last = Err(Error::Misuse("nothing was asked".into()));
    for received in received {
        last = step(&mut *session, received, &mut out).await;
        if last.is_err() {
            break;
        }
    }
    (out, last)
}

fn ok(out_frames: &[u8], bytes_consumed: u32) -> HandshakerResp {
    HandshakerResp {
        out_frames: out_frames.to_vec(),
        bytes_consumed,
        result: None,
        status: Some(HandshakerStatus::default()),
    }
}

fn result() -> HandshakerResult {
    let mut result = HandshakerResult::default();
    result.application_protocol = "grpc".into();
    result.record_protocol = "ALTSRP_GCM_AES128_REKEY".into();
    result.key_data = vec![7; 128];
    result.peer_identity = Some(service_account("peer@example"));
    result.peer_rpc_versions = Some(grpc_versions());
    result
}

#[track_caller]
fn unavailable(outcome: (Vec<u8>, Result<Step, Error>), text: &str) -> Vec<u8> {
    match outcome.1 {
        Err(Error::Unavailable(detail)) => assert!(detail.contains(text), "{detail}"),
        other => panic!("{other:?}"),
    }
    outcome.0
}

#[tokio::test]
async fn a_good_one_to_compare_with() {
    let done = HandshakerResp { result: Some(result()), ..ok(b"two", 2) };
    let (out, last) = play([Ok(ok(b"one", 3)), Ok(done)], &[b"abc", b"defg"]).await;
    let last = last.unwrap();
    assert_eq!((out.as_slice(), last.consumed), (&b"onetwo"[..], 2));
    let result = last.result.unwrap();
    assert_eq!(result.peer.name(), "peer@example");
    assert_eq!(result.key_data.as_bytes(), [7; 44]);
}

#[tokio::test]
async fn statuses_in_responses() {
    unavailable(
        play([Ok(HandshakerResp { status: None, ..ok(b"", 1) })], &[b"xxx"]).await,
        "status",
    );
    let failed = HandshakerStatus { code: 3, details: "words".into() };
    let failing = HandshakerResp { status: Some(failed), ..ok(b"an alert", 1) };
    // What the peer should be told goes out.
    assert_eq!(unavailable(play([Ok(failing.clone())], &[b"xxx"]).await, "words"), b"an alert");
    // Looked at in every response, not in the first only, and before the result.
    let failing = HandshakerResp { result: Some(result()), ..failing };
    unavailable(play([Ok(ok(b"", 1)), Ok(failing)], &[b"xxx", b"yyy"]).await, "words");
    let denied = HandshakerStatus { code: 7, details: "words".into() };
    let (_, denied) =
        play([Ok(HandshakerResp { status: Some(denied), ..ok(b"", 1) })], &[b"xxx"]).await;
    assert!(matches!(denied, Err(Error::Denied { .. })));
}

#[tokio::test]
async fn more_consumed_than_there_was() {
    unavailable(play([Ok(ok(b"", 4))], &[b"xxx"]).await, "consumed");
    let done = HandshakerResp { result: Some(result()), ..ok(b"", u32::MAX) };
    unavailable(play([Ok(done)], &[b"xxx"]).await, "consumed");
}

#[tokio::test]
async fn less_consumed_than_there_was() {
    // It sees the rest again, with what follows.
    let done = HandshakerResp { result: Some(result()), ..ok(b"", 6) };
    let (_, last) =
        play([Ok(ok(b"", 0)), Ok(ok(b"", 1)), Ok(done)], &[b"abc", b"de", b"fgh"]).await;
    assert_eq!(last.unwrap().consumed, 2);
    // It cannot give back what was taken from the caller before.
    let done = HandshakerResp { result: Some(result()), ..ok(b"", 1) };
    unavailable(play([Ok(ok(b"", 0)), Ok(done)], &[b"abc", b"de"]).await, "leaves");
    // Nor be given more and more.
    let script = (0..5).map(|_| Ok(ok(b"", 0)));
    unavailable(play(script, &[&vec![7; 20_000][..]; 5]).await, "does not take");
}

#[tokio::test]
async fn ends_too_soon() {
    unavailable(play([], &[b"xxx"]).await, "without a result");
    unavailable(play([Ok(ok(b"", 1))], &[b"xxx", b"yyy"]).await, "without a result");
    unavailable(play([Err(Status::internal("words"))], &[b"xxx"]).await, "words");
    unavailable(
        play([Ok(ok(b"", 1)), Err(Status::aborted("words"))], &[b"xxx", b"yyy"]).await,
        "words",
    );
}

#[tokio::test]
async fn a_result_that_is_none() {
    let mut short = result();
    short.key_data.truncate(43);
    let short = HandshakerResp { result: Some(short), ..ok(b"", 1) };
    unavailable(play([Ok(short)], &[b"xxx"]).await, "43 bytes");
}

#[tokio::test]
async fn a_response_without_measure() {
    unavailable(play([Ok(ok(&vec![0; 3 << 20], 1))], &[b"xxx"]).await, "too large");
}
