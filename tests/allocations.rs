//! Contents of calls live in pooled buffers: once a connection is at work, neither its server nor its client asks the allocator for
//! more than 4 KiB at a time, whatever the messages' sizes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::alloc::System;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use alts::http2::client::Client;
use alts::http2::{Body, Server};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_service::Service;
use tracking_allocator::{AllocationGroupId, AllocationRegistry, AllocationTracker, Allocator};

#[global_allocator]
static HEAP: Allocator<System> = Allocator::system();

/// The most that may be asked for, in bytes.
const MOST: usize = 4 << 10;
/// Contents of calls, and how many calls there are at the same time.
const CALLS: [(usize, usize); 4] = [(0, 32), (1 << 10, 32), (64 << 10, 8), (1 << 20, 4)];

/// Sizes beyond [`MOST`] that were asked for, the first of them, and how many there were.
static LARGE: [AtomicUsize; 32] = [const { AtomicUsize::new(0) }; 32];
static COUNT: AtomicUsize = AtomicUsize::new(0);
static WATCHING: AtomicBool = AtomicBool::new(false);

struct Watch;

impl AllocationTracker for Watch {
    fn allocated(&self, _: usize, size: usize, _: usize, _: AllocationGroupId) {
        if size > MOST && WATCHING.load(Ordering::Relaxed) {
            let nth = COUNT.fetch_add(1, Ordering::Relaxed);
            LARGE[nth % LARGE.len()].store(size, Ordering::Relaxed);
        }
    }

    fn deallocated(&self, _: usize, _: usize, _: usize, _: AllocationGroupId, _: AllocationGroupId) {
    }
}

/// Sends back what comes, as it comes.
#[derive(Clone)]
struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

/// Does all calls of a kind, and answers how many bytes came back.
async fn round(client: &Client, content: &Bytes, calls: usize) -> usize {
    let mut tasks = JoinSet::new();
    for _ in 0..calls {
        let request = Request::post("/echo/Once").body(Full::new(content.clone())).unwrap();
        let response = client.clone().call(request);
        tasks.spawn(async move {
            let (mut body, mut received) = (response.await.unwrap().into_body(), 0);
            while let Some(frame) = body.frame().await {
                received += frame.unwrap().data_ref().map_or(0, Bytes::len);
            }
            received
        });
    }
    tasks.join_all().await.into_iter().sum()
}

#[tokio::test]
async fn nothing_large_is_allocated_for_content() {
    AllocationRegistry::set_global_tracker(Watch).unwrap();
    AllocationRegistry::enable_tracking();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().build().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        server.connection(socket, Echo).await.unwrap();
    });
    let client = Client::builder(target.parse().unwrap()).connect().await.unwrap();
    for (size, calls) in CALLS {
        let content = Bytes::from(vec![0x5A; size]);
        // The first time, threads make the memory that they keep.
        for watching in [false, true, true] {
            WATCHING.store(watching, Ordering::Relaxed);
            let received = round(&client, &content, calls).await;
            WATCHING.store(false, Ordering::Relaxed);
            assert_eq!(received, size * calls);
        }
        let count = COUNT.swap(0, Ordering::Relaxed);
        let sizes: Vec<usize> =
            LARGE.iter().take(count).map(|size| size.load(Ordering::Relaxed)).collect();
        assert_eq!(count, 0, "{calls} calls of {size} bytes: allocations of {sizes:?}");
    }
}
