//! What callgrind is to count: of a connection over a Unix socket, `ping` sends 64 bytes back and forth, `bulk` sends 64 KiB one way; of
//! handshakes in memory, `full` is one with known chains, `ticket` the same with a ticket for the client, `resumed` one with that ticket.
//!
//! ```text
//! cargo bench -p alts-benches --bench instructions --no-run       # prints where the program is
//! for n in 1000 2000; do valgrind --tool=callgrind --callgrind-out-file=/dev/null PROGRAM ping $n; done
//! ```
//!
//! The difference of the two totals ("Collected") divided by 1,000 is what one round costs on both sides, without the
//! handshake and what else happens once. Counts repeat to about one in a thousand; time does not enter them.

#[expect(dead_code, reason = "another benchmark uses the rest of it")]
#[path = "handshake/alts.rs"]
mod altsh1;
#[expect(dead_code, reason = "another benchmark uses the rest of it")]
#[path = "handshake/certificates.rs"]
mod certificates;

use std::time::SystemTime;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::Policy;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{Acceptor, AltsStream, Connector};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use altsh1::Peers;
use certificates::{Certificates, p256_key};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(scenario), Some(rounds)) = (arguments.next(), arguments.next()) else {
        // `cargo bench` calls every benchmark.
        return eprintln!("usage: instructions ping|bulk|full|ticket|resumed ROUNDS");
    };
    let rounds = rounds.parse().expect("a number of rounds");
    let with_tickets = |tickets| Peers::new(&Certificates::new(p256_key), 1024, tickets);
    match &*scenario {
        "ping" | "bulk" => {
            let (near, far) = pair().await;
            match &*scenario {
                "ping" => ping(near, far, rounds).await,
                _ => bulk(near, far, rounds).await,
            }
        }
        "full" => {
            let peers = with_tickets(false);
            (0..rounds).for_each(|_| peers.handshake());
        }
        "ticket" => {
            let peers = with_tickets(true);
            for _ in 0..rounds {
                peers.forget();
                peers.handshake_with_ticket();
            }
        }
        "resumed" => {
            let peers = with_tickets(true);
            peers.handshake_with_ticket();
            for _ in 0..rounds {
                peers.resume();
            }
        }
        other => panic!("there is no scenario {other:?}"),
    }
}

async fn pair() -> (AltsStream<UnixStream>, AltsStream<UnixStream>) {
    let now = SystemTime::now();
    let ca = DevCa::new(now).expect("an authority");
    let issue = |name| ca.issue(name, now).expect("files").identity(now).expect("an identity");
    let server = issue("spiffe://dev.local/server");
    let client = issue("spiffe://dev.local/client");
    let acceptor = Acceptor::new(LocalHandshaker::builder(server).build());
    let policy = Policy::own_trust_domain();
    let connector = Connector::new(LocalHandshaker::builder(client).server_policy(policy).build());
    let (near, far) = UnixStream::pair().expect("sockets");
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    (near.expect("a client"), far.expect("a server"))
}

async fn ping(mut near: AltsStream<UnixStream>, mut far: AltsStream<UnixStream>, rounds: usize) {
    let pool = BufferPool::new();
    for _ in 0..rounds {
        near.write_all(&[7; 64]).await.expect("a ping");
        let ping = far.read_on_ready(&pool).await.expect("a ping").expect("no end");
        far.write_all(&ping).await.expect("a pong");
        drop(ping);
        let pong = near.read_on_ready(&pool).await.expect("a pong").expect("no end");
        assert_eq!(pong.len(), 64);
    }
}

async fn bulk(mut near: AltsStream<UnixStream>, mut far: AltsStream<UnixStream>, rounds: usize) {
    let chunk = vec![7; 64 << 10];
    let (total, pool) = (rounds * chunk.len(), BufferPool::new());
    let send = async {
        for _ in 0..rounds {
            near.write_all(&chunk).await.expect("a chunk");
        }
        near.flush().await.expect("the rest");
    };
    let receive = async {
        let mut received = 0;
        while received < total {
            received += far.read_on_ready(&pool).await.expect("a chunk").expect("no end").len();
        }
    };
    tokio::join!(send, receive);
}
