//! `visitors [default]`: honest clients that come, ask once, and leave, perhaps with the limits that connectors have by default. Orders: `visit N CONCURRENCY`; `hold N`, which has `N` come at once and stay until
//! `leave`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alts::handshaker::{self, AlertCode, HandshakeLimits};
use alts::{Connector, Error};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::{Work, report};

#[derive(Default)]
struct Counts {
    attempts: AtomicU64,
    overloaded: AtomicU64,
    /// Told that time had run out.
    late: AtomicU64,
    answered: AtomicU64,
    lost: AtomicU64,
}

pub(crate) async fn run(mut work: Work) {
    let connector = work.connector_with("client", |settings| {
        if work.has_word("default") {
            settings.limits = HandshakeLimits::default();
        }
    });
    report(&json!({}));
    while let Some(order) = work.order().await {
        let number = |at: usize| order[at].parse::<usize>().expect("a number");
        let counts = Arc::new(Counts::default());
        let asked = number(1);
        let begun = Instant::now();
        match order[0].as_str() {
            "visit" => {
                let places = Arc::new(Semaphore::new(number(2)));
                let mut visits = JoinSet::new();
                for _ in 0..asked {
                    let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
                    let (connector, counts) = (connector.clone(), Arc::clone(&counts));
                    let server = work.server;
                    visits.spawn(async move {
                        visit(&connector, server, &counts, None).await;
                        drop(place);
                    });
                }
                visits.join_all().await;
            }
            "hold" => {
                let (leave, stay) = watch::channel(false);
                let mut visits = JoinSet::new();
                for _ in 0..asked {
                    let (connector, counts) = (connector.clone(), Arc::clone(&counts));
                    let (server, stay) = (work.server, stay.clone());
                    visits.spawn(async move {
                        visit(&connector, server, &counts, Some(stay)).await;
                    });
                }
                work.order().await;
                leave.send_replace(true);
                visits.join_all().await;
            }
            order => panic!("{order} is no order"),
        }
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        report(&json!({
            "asked": asked,
            "answered": get(&counts.answered),
            "lost": get(&counts.lost),
            "attempts": get(&counts.attempts),
            "overloaded": get(&counts.overloaded),
            "late": get(&counts.late),
            "ms": begun.elapsed().as_millis() as u64,
        }));
    }
}

/// Tries again as long as it is told that the server has no room, or that there was none until the server's deadline.
async fn visit(
    connector: &Connector,
    server: std::net::SocketAddr,
    counts: &Counts,
    stay: Option<watch::Receiver<bool>>,
) {
    loop {
        counts.attempts.fetch_add(1, Ordering::Relaxed);
        match ask(connector, server, stay.clone()).await {
            Ok(()) => {
                counts.answered.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Err(Error::Handshake(handshaker::Error::Alert { code, .. }))
                if matches!(code, AlertCode::Overloaded | AlertCode::Timeout) =>
            {
                let counter =
                    if code == AlertCode::Timeout { &counts.late } else { &counts.overloaded };
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                eprintln!("an honest client: {error}");
                counts.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
    }
}

async fn ask(
    connector: &Connector,
    server: std::net::SocketAddr,
    stay: Option<watch::Receiver<bool>>,
) -> Result<(), Error> {
    let socket = TcpStream::connect(server).await?;
    let mut stream = connector.connect(socket).await?;
    let (sent, mut back) = ([0x5A; 100], [0; 100]);
    stream.write_all(&sent).await?;
    stream.read_exact(&mut back).await?;
    assert_eq!(back, sent);
    if let Some(mut stay) = stay {
        // An error means that nobody holds it any more.
        let _ = stay.wait_for(|leave| *leave).await;
    }
    stream.shutdown().await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    assert!(rest.is_empty(), "an echo of what nobody said");
    Ok(())
}
