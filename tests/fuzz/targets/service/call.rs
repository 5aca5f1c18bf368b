//! One call of `DoHandshake` without a connection: a body that is written bit by bit, and the answer's body.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use alts::handshaker::proto::HandshakerResp;
use alts::handshaker::proto::handshaker_service_server::HandshakerServiceServer;
use alts::handshaker::service::HandshakerService;
use bytes::Bytes;
use http_body::{Body, Frame};
use prost::Message;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::{Code, Status};

use crate::support::polling::now;

/// What a caller sends, as it comes.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    data: VecDeque<Bytes>,
    /// Nothing more comes; and whether that is an accident.
    end: Option<bool>,
    /// The service, if it waits.
    waker: Option<Waker>,
}

impl Requests {
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.0.lock().unwrap();
        change(&mut queue);
        if let Some(waker) = queue.waker.take() {
            waker.wake();
        }
    }
}

impl Body for Requests {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let mut queue = self.0.lock().unwrap();
        match (queue.data.pop_front(), queue.end) {
            (Some(data), _) => Poll::Ready(Some(Ok(Frame::data(data)))),
            (None, None) => {
                queue.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            (None, Some(true)) => Poll::Ready(Some(Err(Status::unavailable("gone")))),
            (None, Some(false)) => Poll::Ready(None),
        }
    }
}

pub(super) enum Answer {
    Response(Box<HandshakerResp>),
    End,
}

type Answers = tonic::body::Body;

pub(super) struct Call {
    requests: Requests,
    opening: Option<BoxFuture<http::Response<Answers>, Infallible>>,
    answers: Option<Answers>,
    received: Vec<u8>,
    result: bool,
    status: Option<Code>,
}

impl Call {
    pub(super) fn new(service: HandshakerService) -> Self {
        let requests = Requests::default();
        let request = http::Request::post("/grpc.gcp.HandshakerService/DoHandshake")
            .header("content-type", "application/grpc")
            .body(tonic::body::Body::new(requests.clone()))
            .unwrap();
        let mut server: HandshakerServiceServer<_> = service.into_server();
        let opening = Some(server.call(request));
        Self { requests, opening, answers: None, received: Vec::new(), result: false, status: None }
    }

    pub(super) fn send(&self, bytes: Vec<u8>) {
        self.requests.change(|queue| queue.data.push_back(bytes.into()));
    }

    pub(super) fn end(&self, by_accident: bool) {
        self.requests.change(|queue| queue.end = Some(by_accident));
    }

    pub(super) fn has_result(&self) -> bool {
        self.result
    }

    pub(super) fn is_over(&self) -> bool {
        self.status.is_some()
    }

    pub(super) fn status(&self) -> Option<Code> {
        self.status
    }

    /// The next thing that the service says, if it does.
    pub(super) fn poll(&mut self) -> Option<Answer> {
        if let Some(answer) = self.next_response() {
            return Some(answer);
        }
        if let Some(opening) = &mut self.opening {
            let Ok(response) = now(|cx| opening.as_mut().poll(cx))?;
            self.opening = None;
            if let Some(status) = response.headers().get("grpc-status") {
                return Some(self.over(status.as_bytes()));
            }
            self.answers = Some(response.into_body());
        }
        let answers = self.answers.as_mut()?;
        let Some(frame) = now(|cx| Pin::new(answers).poll_frame(cx))? else {
            assert!(self.status.is_some(), "a stream without a status");
            self.answers = None;
            return None;
        };
        let frame = frame.unwrap();
        if let Some(trailers) = frame.trailers_ref() {
            let status = trailers["grpc-status"].clone();
            return Some(self.over(status.as_bytes()));
        }
        self.received.extend(frame.into_data().unwrap());
        self.next_response()
    }

    /// One answer may hold several.
    fn next_response(&mut self) -> Option<Answer> {
        let (prefix, rest) = self.received.split_first_chunk::<5>()?;
        let [0, length @ ..] = *prefix else { panic!("nobody asked for compression") };
        let message = rest.get(..u32::from_be_bytes(length) as usize)?;
        let response = HandshakerResp::decode(message).unwrap();
        self.received.drain(..5 + message.len());
        assert!(!self.result, "something behind the result");
        self.result = response.result.is_some();
        Some(Answer::Response(Box::new(response)))
    }

    fn over(&mut self, status: &[u8]) -> Answer {
        let status = Code::from_bytes(status);
        assert_eq!(status == Code::Ok, self.result, "{status:?}");
        assert_eq!(self.status.replace(status), None);
        Answer::End
    }
}
