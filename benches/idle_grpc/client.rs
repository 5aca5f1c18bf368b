//! The client's end of a connection, with the server in a process of its own.

use alts::http2::client::Client;
use alts::pool::BufferPool;
use alts::tonic::SmallBufferCodec;
use alts_benches::child::Child;
use alts_benches::descriptors;
use alts_benches::memory::{at_rest, live_heap, resident};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use crate::echo::Message;
use crate::echo::echo_client::EchoClient;
use crate::figures::Figures;
use crate::row::Http2;
use crate::server::WARM_UP;
use crate::service::{DEFAULT, SMALL, open, routes};

/// Serves, and says where.
pub(crate) fn serve() {
    descriptors::raise();
    Runtime::new().expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let incoming = TcpListenerStream::new(listener);
        alts::tonic::Server::new().serve(incoming, routes().prepare()).await;
    });
}

/// Connects, calls once on each connection, and counts what is left.
pub(crate) fn measure(http2: Http2, connections: usize) -> Figures {
    descriptors::raise();
    let mut server = Child::of_this_program(&["--echo"]);
    let target = format!("http://{}", server.line());
    let pool = BufferPool::new();
    match http2 {
        Http2::Hyper => count(connections, &BufferPool::new(), async || {
            let endpoint = Endpoint::from_shared(target.clone()).expect("a URI");
            endpoint.connect().await.expect("a connection")
        }),
        _ => {
            // As a program with clients of many servers makes them: clones of a builder share what it says.
            let builder = Client::builder(target.parse().expect("a URI")).pool(pool.clone());
            count(connections, &pool, async || {
                let builder = builder.clone().target(target.parse().expect("a URI"));
                alts::tonic::Channel::from(builder.connect().await.expect("a connection"))
            })
        }
    }
}

fn count<T>(connections: usize, pool: &BufferPool, dial: impl AsyncFn() -> T) -> Figures
where
    T: GrpcService<Body> + Clone,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
{
    let all = WARM_UP + connections;
    let runtime = Runtime::new().expect("a runtime");
    let mut held = Vec::with_capacity(all);
    let mut connect = |count| {
        runtime.block_on(async {
            for _ in 0..count {
                let channel = dial().await;
                let message = Message { payload: vec![0x5A; 1024].into() };
                let answer = EchoClient::new(channel.clone()).once(message.clone()).await;
                assert!(answer.expect("an answer").into_inner() == message, "the echo differs");
                held.push(channel);
            }
        });
        (at_rest(live_heap), resident(None))
    };
    let (heap, rss) = connect(WARM_UP);
    let (idle, idle_rss) = connect(connections);
    let buffers = pool.stats().in_use_buffers as f64;
    let mut streams = Vec::with_capacity(2 * all);
    let empty = at_rest(live_heap);
    runtime.block_on(async {
        for channel in &held {
            let stream = open(channel.clone(), SmallBufferCodec::default(), SMALL).await;
            streams.push(stream.expect("a stream"));
        }
    });
    let small = at_rest(live_heap);
    runtime.block_on(async {
        for channel in &held {
            let stream = open(channel.clone(), ProstCodec::default(), DEFAULT).await;
            streams.push(stream.expect("a stream"));
        }
    });
    let default = at_rest(live_heap);
    let each = |bytes: isize, count: usize| bytes as f64 / count as f64;
    Figures {
        heap: each(idle - heap, connections),
        resident: each(idle_rss - rss, connections),
        small: each(small - empty, all),
        default: each(default - small, all),
        buffers,
        seconds: f64::NAN,
    }
}
