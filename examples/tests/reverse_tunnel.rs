//! The example `reverse_tunnel`, both sides and their users in this process.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../reverse_tunnel/agent.rs"]
mod agent;
#[path = "../reverse_tunnel/forward.rs"]
mod forward;
#[path = "../reverse_tunnel/relay.rs"]
mod relay;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::Policy;
use alts::{Acceptor, Connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const GRACE: Duration = Duration::from_secs(30);

/// A task and what makes it end in order.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        self.stop.send(()).unwrap();
        timeout(GRACE, self.task).await.expect("it ends in order").unwrap();
    }
}

struct Fixture {
    ca: DevCa,
    service: SocketAddr,
}

impl Fixture {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reader, mut writer) = socket.split();
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                });
            }
        });
        Self { ca: DevCa::new(SystemTime::now()).unwrap(), service }
    }

    fn handshaker(&self, name: &str) -> LocalHandshaker {
        let now = SystemTime::now();
        let identity = self.ca.issue(&format!("spiffe://dev.local/{name}"), now).unwrap();
        let policy = Policy::from_rules(["spiffe://dev.local/relay"]).unwrap();
        LocalHandshaker::builder(Arc::new(identity.identity(now).unwrap()))
            .server_policy(policy)
            .build()
    }

    fn relay(&self, agents: TcpListener, users: TcpListener) -> Running {
        self.relay_for(agents, users, GRACE)
    }

    fn relay_for(&self, agents: TcpListener, users: TcpListener, grace: Duration) -> Running {
        let acceptor = Acceptor::new(self.handshaker("relay"));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            relay::run(&acceptor, agents, users, grace, async { drop(stopped.await) }).await;
        });
        Running { stop, task }
    }

    fn agent(&self, relay: SocketAddr) -> Running {
        let agent = agent::Agent {
            connector: Connector::new(self.handshaker("agent")),
            relay: relay.to_string(),
            service: self.service.to_string(),
            grace: GRACE,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move { agent.run(async { drop(stopped.await) }).await });
        Running { stop, task }
    }
}

/// A user: what it sends comes back, as soon as an agent is there. One that comes too early is reset, perhaps before it knows that it is
/// connected.
async fn user(address: SocketAddr) -> TcpStream {
    let asks = || async {
        let mut socket = TcpStream::connect(address).await?;
        socket.write_all(b"hello").await?;
        let mut echo = [0; 5];
        socket.read_exact(&mut echo).await?;
        assert_eq!(&echo, b"hello");
        io::Result::Ok(socket)
    };
    timeout(GRACE, async {
        loop {
            if let Ok(socket) = asks().await {
                return socket;
            }
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("an agent is there in time")
}

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn users_reach_the_service_and_both_sides_end_in_order() {
    let fixture = Fixture::new().await;
    let ((agents, relay_address), (users, users_address)) = (listener().await, listener().await);
    let relay = fixture.relay(agents, users);
    let agent = fixture.agent(relay_address);
    let mut first = user(users_address).await;
    let mut second = user(users_address).await;
    // A user that is there when the relay is asked to stop finishes.
    let relay = tokio::spawn(relay.end());
    sleep(Duration::from_millis(50)).await;
    let bytes: Vec<u8> = (0..2_000_000_u32).map(|i| (i >> 3) as u8).collect();
    let (mut reader, mut writer) = first.split();
    let mut received = Vec::new();
    let (sent, read) = tokio::join!(
        async {
            writer.write_all(&bytes).await?;
            writer.shutdown().await
        },
        reader.read_to_end(&mut received)
    );
    sent.unwrap();
    read.unwrap();
    assert!(received == bytes);
    second.shutdown().await.unwrap();
    assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
    relay.await.unwrap();
    agent.end().await;
}

/// How a user's connection ends that is in the middle of something: what it has is not complete, and it learns that.
async fn expect_reset(user: io::Result<TcpStream>) {
    let read = async { user?.read(&mut [0]).await };
    let end = timeout(GRACE, read).await.expect("it ends");
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn users_are_reset_when_their_agent_is_lost_when_time_is_up_and_when_there_is_no_agent() {
    let fixture = Fixture::new().await;
    let ((agents, relay_address), (users, users_address)) = (listener().await, listener().await);
    let relay = fixture.relay_for(agents, users, Duration::from_millis(50));
    expect_reset(TcpStream::connect(users_address).await).await;
    let agent = fixture.agent(relay_address);
    let first = user(users_address).await;
    agent.task.abort();
    expect_reset(Ok(first)).await;
    let agent = fixture.agent(relay_address);
    let second = user(users_address).await;
    relay.end().await;
    expect_reset(Ok(second)).await;
    agent.end().await;
}

#[tokio::test]
async fn an_agent_comes_back_when_its_connection_is_lost() {
    let fixture = Fixture::new().await;
    // A relay that crashes: its runtime is gone, and all its tasks and sockets with it.
    let crashing =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (tell, told) = oneshot::channel();
    let acceptor = Acceptor::new(fixture.handshaker("relay"));
    crashing.spawn(async move {
        let ((agents, relay), (users, at)) = (listener().await, listener().await);
        tell.send((relay, at)).unwrap();
        relay::run(&acceptor, agents, users, GRACE, std::future::pending()).await;
    });
    let (relay_address, users_address) = told.await.unwrap();
    let agent = fixture.agent(relay_address);
    let mut before = user(users_address).await;
    crashing.shutdown_background();
    let mut lost = Vec::new();
    // The user is cut, one way or the other.
    let _ = timeout(GRACE, before.read_to_end(&mut lost)).await.expect("cut");
    assert!(lost.is_empty());
    let agents = loop {
        match TcpListener::bind(relay_address).await {
            Ok(listener) => break listener,
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    };
    let (users, users_address) = listener().await;
    let relay = fixture.relay(agents, users);
    let after = user(users_address).await;
    drop(after);
    agent.end().await;
    relay.end().await;
}
