//! `returning N`: so many honest clients, each with a cache for its own tickets, and with a stopped clock: how long a ticket may be put back
//! is not what is tested. Orders: `first`, in which each gets its ticket; `storm`, in which all come at once, and those that are refused
//! come again after `go`, a few at a time; `return CONCURRENCY`. The clients try again as long as they are told that there is no room.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use alts::handshaker::identity::Policy;
use alts::handshaker::resumption::TicketCache;
use alts::handshaker::{
    self, AlertCode, HandshakeOptions, HandshakeSession, Handshaker, LocalHandshaker, Role, Step,
};
use alts::{Connector, Error};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{Work, connector_of, report};
use crate::files::load;
use crate::identities::SERVER;

/// How many of those that were refused come again at a time.
const AGAIN_AT_A_TIME: usize = 16;

struct Client {
    connector: Connector,
    cache: Arc<TicketCache>,
}

#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    resumed: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
}

pub(crate) async fn run(mut work: Work) {
    let clients: Vec<_> = (0..work.number(0)).map(|_| Arc::new(client(&work))).collect();
    report(&json!({}));
    while let Some(order) = work.order().await {
        let at_a_time = match order[0].as_str() {
            "first" => 8,
            "storm" => clients.len(),
            "return" => order[1].parse().expect("a number"),
            order => panic!("{order} is no order"),
        };
        let (again, may_go) = watch::channel(order[0] != "storm");
        let (counts, places) = (Arc::<Counts>::default(), Arc::new(Semaphore::new(at_a_time)));
        let again_at_a_time = Arc::new(Semaphore::new(AGAIN_AT_A_TIME));
        let mut visits = JoinSet::new();
        for client in &clients {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            let (client, counts) = (Arc::clone(client), Arc::clone(&counts));
            let (server, may_go) = (work.server, may_go.clone());
            let again_at_a_time = Arc::clone(&again_at_a_time);
            visits.spawn(async move {
                visit(&client, server, &counts, may_go, &again_at_a_time).await;
                drop(place);
            });
        }
        if order[0] == "storm" {
            assert_eq!(work.order().await, Some(vec!["go".to_owned()]));
            again.send_replace(true);
        }
        visits.join_all().await;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = |figure: fn(&TicketCache) -> u64| -> u64 {
            clients.iter().map(|client| figure(&client.cache)).sum()
        };
        report(&json!({
            "asked": clients.len(),
            "answered": get(&counts.answered),
            "resumed": get(&counts.resumed),
            "refused": get(&counts.refused),
            "lost": get(&counts.lost),
            "offered": all(|cache| cache.stats().offered),
            "accepted": all(|cache| cache.stats().accepted),
            "returned": all(|cache| cache.stats().returned),
            "tickets": all(|cache| cache.len() as u64),
        }));
    }
}

fn client(work: &Work) -> Client {
    let cache = TicketCache::new();
    let handshaker = LocalHandshaker::builder(load(&work.dir, "client"))
        .server_policy(Policy::from_rules([SERVER]).unwrap())
        .ticket_cache(Arc::clone(&cache))
        .build();
    let connector = connector_of(Stopped { handshaker, now: SystemTime::now() }, |settings| {
        settings.handshake.target_identities = vec![SERVER.to_owned()];
    });
    Client { connector, cache }
}

async fn visit(
    client: &Client,
    server: SocketAddr,
    counts: &Counts,
    mut may_go: watch::Receiver<bool>,
    again_at_a_time: &Semaphore,
) {
    let add = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
    let mut place = None;
    loop {
        match ask(&client.connector, server).await {
            Ok(resumed) => {
                add(&counts.answered);
                if resumed {
                    add(&counts.resumed);
                }
                return;
            }
            Err(Error::Handshake(handshaker::Error::Alert {
                code: AlertCode::Overloaded, ..
            })) => {
                add(&counts.refused);
                may_go.wait_for(|go| *go).await.expect("it is not dropped before");
                if place.is_none() {
                    place = again_at_a_time.acquire().await.ok();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                eprintln!("a client that returns: {error}");
                add(&counts.lost);
                return;
            }
        }
    }
}

/// Whether the handshake was a resumed one.
async fn ask(connector: &Connector, server: SocketAddr) -> Result<bool, Error> {
    let mut stream = connector.connect(TcpStream::connect(server).await?).await?;
    let (sent, mut back) = ([0x5A; 100], [0; 100]);
    stream.write_all(&sent).await?;
    stream.read_exact(&mut back).await?;
    assert_eq!(back, sent);
    stream.shutdown().await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(stream.negotiated().resumed.is_some())
}

/// A handshaker for which it is always the same time.
#[derive(Debug)]
struct Stopped {
    handshaker: LocalHandshaker,
    now: SystemTime,
}

#[derive(Debug)]
struct StoppedSession(Box<dyn HandshakeSession>, SystemTime);

impl Handshaker for Stopped {
    fn start(
        &self,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, handshaker::Error> {
        Ok(Box::new(StoppedSession(self.handshaker.start(role, options)?, self.now)))
    }
}

impl HandshakeSession for StoppedSession {
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        received: &[u8],
        _: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, handshaker::Error>> {
        self.0.poll_step(cx, received, self.1, out)
    }

    fn fail(&mut self, code: AlertCode, out: &mut Vec<u8>) {
        self.0.fail(code, out);
    }
}
