//! The client's end of a connection on alts' HTTP/2, with the server in a process of its own.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use alts::http2::client::Client;
use alts::pool::BufferPool;
use alts::tonic::{Channel, Server};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::Routes;

use crate::echo::Message;
use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::EchoServer;
use crate::memory::{Figures, live_heap, resident};
use crate::server::Service;

/// Connections before counting begins.
const WARM_UP: usize = 64;

/// Serves, and says where.
pub(crate) fn serve() {
    crate::descriptors();
    Runtime::new().expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        let routes = Routes::new(EchoServer::new(Service)).prepare();
        Server::new().serve(TcpListenerStream::new(listener), routes).await;
    });
}

/// Connects, calls once on each connection, and counts what is left.
pub(crate) fn measure(connections: usize) -> Figures {
    crate::descriptors();
    let mut server = Command::new(std::env::current_exe().expect("this program"))
        .arg("--echo")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut address = String::new();
    let mut output = BufReader::new(server.stdout.take().expect("it is piped"));
    output.read_line(&mut address).expect("the server says where it is");
    let target = format!("http://{}", address.trim_end());

    let pool = BufferPool::new();
    let figures = Runtime::new().expect("a runtime").block_on(async {
        let mut clients = Vec::with_capacity(WARM_UP + connections);
        connect(&target, &pool, WARM_UP, &mut clients).await;
        let (heap, rss) = (live_heap(), resident());
        connect(&target, &pool, connections, &mut clients).await;
        let (idle, idle_rss) = (live_heap(), resident());
        let mut streams = Vec::with_capacity(clients.len());
        for client in &mut clients {
            let answers = client.chat(tokio_stream::pending()).await.expect("a stream");
            streams.push(answers.into_inner());
        }
        rest().await;
        let each = |bytes: isize, count: usize| bytes as f64 / count as f64;
        Figures {
            heap: each(idle - heap, connections),
            resident: each(idle_rss - rss, connections),
            stream: each(live_heap() - idle, clients.len()),
            buffers: Some(pool.stats().in_use_buffers),
        }
    });
    // One that has ended already has done so with a message.
    let _ = server.kill();
    let _ = server.wait();
    figures
}

async fn connect(
    target: &str,
    pool: &BufferPool,
    count: usize,
    clients: &mut Vec<EchoClient<Channel>>,
) {
    // Clients of many servers are made so: clones of a builder share what it says.
    let builder = Client::builder(target.parse().expect("a URI")).pool(pool.clone());
    for _ in 0..count {
        let builder = builder.clone().target(target.parse().expect("a URI"));
        let client = builder.connect().await.expect("a connection");
        let mut client = EchoClient::new(Channel::from(client));
        let message = Message { payload: vec![0x5A; 1024].into() };
        let answer = client.once(message.clone()).await.expect("an answer");
        assert!(answer.into_inner() == message, "the echo differs");
        clients.push(client);
    }
    rest().await;
}

/// Until nothing changes any more.
async fn rest() {
    let (mut quiet, mut last) = (0, live_heap());
    while quiet < 5 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let now = live_heap();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
}
