//! Very many clients in one process, on alts' HTTP/2 whatever the server's is, so that the memory of the machine goes to the server.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use alts::connect::{Connector, Settings};
use alts::http2::client::{BoxError, Client, ClientBuilder};
use alts::tonic::{AltsConnector, Channel};
use alts_benches::descriptors;
use alts_benches::identity::Pem;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::echo::Message;
use crate::echo::echo_client::EchoClient;
use crate::row::{Row, Transport};

/// Connections that are made at a time.
const AT_A_TIME: usize = 32;
/// Calls through quiet connections that are timed, in each process.
const PINGS: usize = 100;

/// Obeys until standard input ends: a number has it connect as many, `ping` has it call once on some of the connections, one after the
/// other, and say how long the calls took, in microseconds.
pub(crate) fn run(row: Row, directory: &Path, address: SocketAddr) {
    descriptors::raise();
    let runtime = Runtime::new().expect("a runtime");
    let pem = Pem::read(directory, "client");
    let dialer = Dialer {
        // Clones of a builder share what it says.
        builder: Client::builder(format!("http://{address}").parse().expect("a URI")),
        alts: (row.transport == Transport::Alts).then(|| pem.connector(Settings::default())),
    };
    let mut held = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("an order");
        if line == "ping" {
            let took = runtime.block_on(ping(&held));
            println!("{}", took.map(|took| took.to_string()).join(" "));
        } else {
            runtime.block_on(connect(&dialer, line.parse().expect("a number"), &mut held));
            println!();
        }
    }
}

async fn connect(dialer: &Dialer, count: usize, held: &mut Vec<Channel>) {
    held.reserve_exact(count);
    let mut under_way = JoinSet::new();
    for _ in 0..count {
        if under_way.len() == AT_A_TIME {
            held.extend(under_way.join_next().await.map(|channel| channel.expect("a connection")));
        }
        let dialer = dialer.clone();
        under_way.spawn(async move {
            let channel = dialer.dial().await.expect("a connection");
            call(&channel, 1_024).await;
            channel
        });
    }
    held.extend(under_way.join_all().await);
}

/// The time of a call of 64 bytes through a connection that has been quiet, median and 99th percentile.
async fn ping(held: &[Channel]) -> [f64; 2] {
    let mut took = Vec::with_capacity(PINGS);
    for channel in held.iter().step_by(held.len().div_ceil(PINGS).max(1)) {
        let begun = Instant::now();
        call(channel, 64).await;
        took.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    [took[took.len() / 2], took[took.len() * 99 / 100]]
}

async fn call(channel: &Channel, bytes: usize) {
    let message = Message { payload: vec![0x5A; bytes].into() };
    let answer = EchoClient::new(channel.clone()).once(message.clone()).await;
    assert!(answer.expect("an answer").into_inner() == message, "the echo differs");
}

#[derive(Clone)]
struct Dialer {
    builder: ClientBuilder,
    alts: Option<Connector>,
}

impl Dialer {
    async fn dial(self) -> Result<Channel, BoxError> {
        let client = match self.alts {
            Some(alts) => self.builder.connect_with(AltsConnector::new(alts).on_ready()).await,
            None => self.builder.connect().await,
        };
        Ok(Channel::from(client?))
    }
}
