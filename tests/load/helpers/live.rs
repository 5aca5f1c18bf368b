//! `live CONNECTIONS`: pings over connections that stay, each with one of 256 bytes every 4 ms, and their times by phase. Orders:
//! `phase NAME`, `pause`, and `end`, which is answered with the figures.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alts::handshaker::{self, AlertCode};
use alts::{AltsStream, Connector, Error};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::{Work, report};

const LEN: usize = 256;
const PERIOD: Duration = Duration::from_millis(4);

#[derive(Clone, PartialEq)]
enum Mode {
    Phase(Arc<str>),
    Paused,
    Over,
}

#[derive(Default)]
struct Figures {
    asked: u64,
    answered: u64,
    times: BTreeMap<Arc<str>, Vec<u32>>,
}

pub(crate) async fn run(mut work: Work) {
    let connector = work.connector("client");
    let (mode, _) = watch::channel(Mode::Paused);
    let running = Arc::new(());
    let mut tasks = Vec::new();
    for _ in 0..work.number(0) {
        let stream = connect(&connector, work.server).await;
        tasks.push(tokio::spawn(ping(stream, mode.subscribe(), Arc::downgrade(&running))));
    }
    report(&json!({}));
    while let Some(order) = work.order().await {
        match order[0].as_str() {
            "phase" => {
                mode.send_replace(Mode::Phase(order[1].as_str().into()));
            }
            "pause" => {
                mode.send_replace(Mode::Paused);
                // A ping under way holds a reference.
                while Arc::strong_count(&running) > 1 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                report(&json!({}));
            }
            "end" => break,
            order => panic!("{order} is no order"),
        }
    }
    mode.send_replace(Mode::Over);
    let connections = tasks.len();
    let (mut total, mut lost) = (Figures::default(), 0);
    for task in tasks {
        let (figures, closed) = task.await.expect("a task");
        total.asked += figures.asked;
        total.answered += figures.answered;
        lost += u64::from(!closed);
        for (phase, times) in figures.times {
            total.times.entry(phase).or_default().extend(times);
        }
    }
    let phases: BTreeMap<_, _> = total
        .times
        .iter_mut()
        .map(|(phase, times)| (phase.to_string(), quantiles(times)))
        .collect();
    report(&json!({
        "connections": connections,
        "asked": total.asked,
        "answered": total.answered,
        "lost": lost,
        "phases": phases,
    }));
}

/// A connection, tried again if the server finds that it takes too long: a scenario's deadlines are short, and the machine may be busy.
async fn connect(connector: &Connector, server: SocketAddr) -> AltsStream<TcpStream> {
    loop {
        let socket = TcpStream::connect(server).await.expect("a connection");
        match connector.connect(socket).await {
            Ok(stream) => return stream,
            Err(Error::Handshake(handshaker::Error::Alert {
                code: AlertCode::Timeout, ..
            })) => {}
            Err(error) => panic!("a live connection: {error}"),
        }
    }
}

/// In microseconds.
fn quantiles(times: &mut [u32]) -> serde_json::Value {
    times.sort_unstable();
    let at = |per_mille: usize| times[(times.len() * per_mille / 1_000).min(times.len() - 1)];
    json!({
        "count": times.len(),
        "p50": at(500),
        "p99": at(990),
        "p999": at(999),
        "max": times.last(),
    })
}

/// Pings until it is over. Also says whether the connection lived to its orderly end.
async fn ping(
    mut stream: AltsStream<TcpStream>,
    mut mode: watch::Receiver<Mode>,
    running: std::sync::Weak<()>,
) -> (Figures, bool) {
    let mut figures = Figures::default();
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut back = [0; LEN];
    loop {
        let now = mode.borrow_and_update().clone();
        match now {
            Mode::Phase(phase) => {
                let _running = running.upgrade();
                ticks.tick().await;
                let sent = [figures.asked as u8 | 0x80; LEN];
                figures.asked += 1;
                let start = Instant::now();
                let asked = stream.write_all(&sent).await;
                if asked.is_err() || stream.read_exact(&mut back).await.is_err() || back != sent {
                    return (figures, false);
                }
                figures.answered += 1;
                let micros = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
                figures.times.entry(phase).or_default().push(micros);
            }
            Mode::Paused => {
                if mode.changed().await.is_err() {
                    return (figures, false);
                }
            }
            Mode::Over => {
                let shut = stream.shutdown().await;
                let ended = stream.read(&mut back).await;
                let closed = shut.is_ok() && matches!(ended, Ok(0));
                return (figures, closed && stream.peer_closed_authenticated());
            }
        }
    }
}
