//! How much of a response goes to a transport at a time that takes a batch at most, as one that secures bytes does.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use alts::http2::frame::{Head, Kind, PREFACE, Setting, Settings, WindowUpdate, flag};
use alts::http2::server::{Connected, Described};
use alts::http2::{Body, Server};
use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::{Probed, ReadyReader};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tower_service::Service;

const BATCH: usize = 48 << 10;
const MESSAGE: usize = 64 << 10;
const MESSAGES: usize = 12;

type Messages = tokio_stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

/// Answers with messages that are all there.
#[derive(Clone, Copy)]
struct Sends;

impl Service<Request<Body>> for Sends {
    type Response = Response<StreamBody<Messages>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        let message = || Ok(Frame::data(Bytes::from(vec![7; MESSAGE])));
        let messages: Vec<_> = (0..MESSAGES).map(|_| message()).collect();
        ready(Ok(Response::new(StreamBody::new(tokio_stream::iter(messages)))))
    }
}

/// Takes a batch at most, and notes how much that was.
struct Batches {
    io: Described<Probed<DuplexStream>>,
    taken: Arc<Mutex<Vec<usize>>>,
}

impl ReadyReader for Batches {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_readable(cx)
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        self.io.poll_read_on_ready(cx, pool, ticket)
    }
}

impl AsyncWrite for Batches {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let buf = &buf[..buf.len().min(BATCH)];
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &written {
            self.taken.lock().unwrap().push(*count);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = bufs.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &all)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Connected for Batches {
    fn extend(&self, _: &mut http::Extensions) {}
}

#[tokio::test]
async fn a_response_goes_out_in_full_batches_while_there_is_more_of_it() {
    let (mut near, far) = duplex(4 << 20);
    let io = Described::new(Probed::new(far), http::Extensions::new());
    let taken = Arc::new(Mutex::default());
    let io = Batches { io, taken: Arc::clone(&taken) };
    let server = Server::builder().build().unwrap();
    let served = tokio::spawn(server.connection(io, Sends));
    let mut bytes = PREFACE.to_vec();
    Settings::write(&[Setting::InitialWindowSize(1 << 30)], &mut bytes);
    Settings::write_ack(&mut bytes);
    WindowUpdate { stream: 0, increment: 1 << 30 }.write(&mut bytes);
    bytes.extend(crate::waiting::request(1, "/", true));
    near.write_all(&bytes).await.unwrap();
    let mut received = 0;
    loop {
        let mut head = [0; Head::LEN];
        near.read_exact(&mut head).await.unwrap();
        let head = Head::parse(&head);
        let mut payload = vec![0; head.len as usize];
        near.read_exact(&mut payload).await.unwrap();
        if head.kind == Kind::Data {
            received += payload.len();
            if head.has(flag::END_STREAM) {
                break;
            }
        }
    }
    assert_eq!(received, MESSAGES * MESSAGE);
    let taken = taken.lock().unwrap().clone();
    let full = taken.iter().filter(|count| **count == BATCH).count();
    let least = MESSAGES * MESSAGE / BATCH;
    // The greeting, and what is left at the end of a turn of the connection's: there are sixteen steps in each.
    assert!(full >= least - 1 && taken.len() <= least + 4, "{full} of {least}: {taken:?}");
    served.abort();
}
