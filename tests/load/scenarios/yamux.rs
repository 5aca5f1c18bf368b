//! One session of yamux for each peer, over plain TCP, and peers that want more of it than its limits allow; each scenario is about one
//! of them. Honest peers have sessions of their own beside it.

use std::sync::Arc;
use std::time::Duration;

use alts::pool::BufferPool;
use alts::yamux::{Config, Error, Session, Stream, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::helper::Report;
use crate::identities::{self, Identities};
use crate::row::Row;
use crate::scale::Scale;
use crate::tally::{CLOSED, Tally};
use crate::target::Target;

/// What a session may hold of received bytes.
const MAX_HELD: usize = 4 << 20;
/// What a flood may get rid of at a server that it does not read from, in bytes. It is the kernel that takes it: 6 MiB at the receiver and 4 MiB at
/// the sender, unless Linux is told otherwise.
const MOST_TAKEN: u64 = 16 << 20;
/// What the heap of the server may have meanwhile for each peer, in bytes.
const MOST_HEAP: u64 = 128 << 10;
/// The first byte of a stream that is to be held and not read.
pub(crate) const HOLD: u8 = b'H';
/// The first byte of a stream that asks the server to open [`WANTED`] streams, and to hold them.
pub(crate) const OPEN: u8 = b'O';
/// The first byte of a stream that asks the server to open [`WANTED`] streams one after the other, and to close and drop each after a byte.
/// Then that stream itself is closed.
pub(crate) const ORPHAN: u8 = b'D';
/// The first byte of a stream that asks the server for [`WANTED`] pings at once. Streams that begin otherwise are echoed.
pub(crate) const PING: u8 = b'P';
/// How much is asked of a server that may do a part of it only: more than each of its limits.
pub(crate) const WANTED: usize = 1_600;

/// How long the server listens after its last frame, unless a scenario is about the limit in bytes.
const LINGER: Duration = Duration::from_secs(1);

fn target(linger: Duration) -> Target {
    let identities = Identities::new();
    let handshaker = identities::server(identities.path());
    Target::launch(
        identities,
        handshaker,
        |_, _| (),
        move |listener, acceptor, tally| async move {
            while let Ok((socket, _)) = listener.accept().await {
                Tally::add(&tally.accepted);
                let pool = acceptor.settings().pool.clone();
                tokio::spawn(serve(socket, linger, pool, Arc::clone(&tally)));
            }
        },
    )
}

async fn serve(socket: TcpStream, linger: Duration, pool: BufferPool, tally: Arc<Tally>) {
    let config = Config::builder().window(256 << 10).max_window(1 << 20).max_held(MAX_HELD);
    let config = config.linger(linger).build().expect("valid");
    let (session, driver) = Session::server(socket, config, pool);
    let accepting = async {
        let mut held = Vec::new();
        while let Ok(Some(mut stream)) = session.accept().await {
            // Of a hostile peer it may never come; then nothing else is accepted.
            match stream.read_u8().await {
                Ok(HOLD) => held.push(stream),
                Ok(OPEN) => drop(tokio::spawn(open(session.clone(), stream))),
                Ok(ORPHAN) => drop(tokio::spawn(orphan(session.clone(), stream))),
                Ok(PING) => drop(tokio::spawn(ping(session.clone(), stream))),
                _ => drop(tokio::spawn(echo(stream))),
            }
        }
    };
    let (ended, ()) = tokio::join!(driver, accepting);
    tally.end(match ended {
        Ok(()) => CLOSED,
        Err(Error::Protocol(Violation::Flood)) => "flood",
        Err(Error::Protocol(_)) => "protocol",
        Err(_) => "lost",
    });
}

async fn echo(mut stream: Stream) {
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
    stream.close_write();
}

/// Opens streams, as far as the peer lets it, and holds them and the one with the order to the end of the session.
async fn open(session: Session, _order: Stream) {
    let mut streams = Vec::new();
    while streams.len() < WANTED {
        let Ok(stream) = session.open().await else { return };
        streams.push(stream);
    }
    session.closed().await;
}

/// Opens streams, and has no further use for each when a byte has come.
async fn orphan(session: Session, order: Stream) {
    for _ in 0..WANTED {
        let Ok(mut stream) = session.open().await else { return };
        if stream.read_u8().await.is_err() {
            return;
        }
        stream.close_write();
    }
    order.close_write();
    session.closed().await;
}

/// Pings from as many tasks.
async fn ping(session: Session, _order: Stream) {
    let mut pings = JoinSet::new();
    for _ in 0..WANTED {
        let session = session.clone();
        pings.spawn(async move { session.ping().await });
    }
    while pings.join_next().await.is_some() {}
    session.closed().await;
}

/// Runs one kind of peer beside honest ones. `judge` has the report of the helper.
fn run(row: &mut Row, kind: &str, peers: u64, judge: impl FnOnce(&mut Row, &Target, u64)) {
    let judge = |row: &mut Row, target: &Target, report: &Report| {
        judge(row, target, report.get("most"));
    };
    run_within(row, kind, peers, (MOST_HEAP, LINGER), judge);
}

/// As `run`, where the heap may have so many bytes for each peer and the server lingers for so long.
fn run_within(
    row: &mut Row,
    kind: &str,
    peers: u64,
    (heap, linger): (u64, Duration),
    judge: impl FnOnce(&mut Row, &Target, &Report),
) {
    let target = target(linger);
    let mut warm = target.helper("yamux", &["churn"]);
    warm.ask("run 2");
    drop(warm);
    target.wait_until_ended(Tally::get(&target.tally.accepted));
    target.tally.clear();
    let gauges = target.gauges();
    let mut helper = target.helper("yamux", &[kind]);
    let report = helper.ask(&format!("run {peers}"));
    row.thrown(peers, report.get("bytes"), report.get("messages"));
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    judge(row, &target, &report);
    drop(helper);
    let left = gauges.left();
    row.require_at_most("heap for each peer, most", left.peak.unsigned_abs() / peers, heap);
    row.note("server", target.tally.ends());
    row.left(&left);
}

/// Pings without end from peers that read nothing: the server stops reading, too.
pub(crate) fn pings(row: &mut Row, scale: Scale) {
    run(row, "pings", scale.of(4, 50), |row, _, most| {
        row.require_at_most("bytes taken of one peer", most, MOST_TAKEN);
    });
}

/// Streams without end: 256 wait to be accepted, the others are reset, and their peer does not read that.
pub(crate) fn streams(row: &mut Row, scale: Scale) {
    run(row, "streams", scale.of(4, 50), |row, _, most| {
        row.require_at_most("bytes taken of one peer", most, MOST_TAKEN);
    });
}

/// Frames that carry nothing and need no answer, without end: the session ends.
pub(crate) fn empty(row: &mut Row, scale: Scale) {
    let peers = scale.of(2, 10);
    run(row, "empty", peers, |row, target, _| {
        target.wait_until_ended(peers);
        row.require_count("server: ended for the flood", target.tally.ended("flood"), peers);
    });
}

/// More streams full of unread bytes than a session may hold: those beyond are reset.
pub(crate) fn unread(row: &mut Row, scale: Scale) {
    let peers = scale.of(3, 20);
    run(row, "unread", peers, |row, target, _| {
        let most = target.pool().stats().high_water_bytes as u64;
        // Beside what is held there is a read, and a batch with resets and grants.
        row.require_at_most(
            "bytes out of the pool",
            most,
            (peers + 1) * (MAX_HELD as u64 + (512 << 10)),
        );
    });
}

/// Unread frames of one byte: they cost a byte each.
pub(crate) fn tiny(row: &mut Row, scale: Scale) {
    let peers = scale.of(3, 20);
    run(row, "tiny", peers, |row, target, _| {
        let most = target.pool().stats().high_water_bytes as u64;
        row.require_at_most("bytes out of the pool", most, (peers + 1) * (512 << 10));
    });
}

/// Streams that are reset as soon as they are open.
pub(crate) fn churn(row: &mut Row, scale: Scale) {
    run(row, "churn", scale.of(4, 50), |_, _, _| ());
}

/// Runs peers that count what a limit lets through and what it does not, each so much, and are served in the same session in the end.
fn run_counted(row: &mut Row, kind: &str, peers: u64, heap: u64, within: u64, beyond: u64) {
    run_within(row, kind, peers, (heap, LINGER), |row, _, report| {
        row.require_count("within the limit", report.get("within"), peers * within);
        row.require_count("beyond the limit", report.get("beyond"), peers * beyond);
        row.require_count("sessions that answer in the end", report.get("served"), peers);
        if kind == "orphans" {
            row.require_count("reset for their data", report.get("reset"), peers * within);
        }
    });
}

/// Streams that the server accepts and holds: a peer may have 1,024; 100 more after it has reset 100.
pub(crate) fn incoming(row: &mut Row, scale: Scale) {
    let (wanted, more) = (WANTED as u64, 3 * 64);
    let within = 1_024 + 100;
    // Handles of the application are part of it.
    let heap = 512 << 10;
    run_counted(row, "incoming", scale.of(2, 20), heap, within, wanted + more - within);
}

/// Streams that nobody accepts for now: 256 wait, the others are reset; those that wait are accepted later.
pub(crate) fn backlog(row: &mut Row, scale: Scale) {
    run_counted(row, "backlog", scale.of(2, 20), MOST_HEAP, 1 + 256, 100);
}

/// Streams of the server that are never acknowledged: 256, and as many more as are acknowledged then. To open another waits.
pub(crate) fn unacked(row: &mut Row, scale: Scale) {
    run_counted(row, "unacked", scale.of(2, 20), MOST_HEAP, 256 + 100, 0);
}

/// Streams that the server has closed and dropped, and that the peer never ends: 256, and each is reset when the peer sends on it.
pub(crate) fn orphans(row: &mut Row, scale: Scale) {
    run_counted(row, "orphans", scale.of(2, 20), MOST_HEAP, 256, WANTED as u64 - 256);
}

/// Pings of the server that are never answered: 256, and as many more as are answered then. Another one waits.
pub(crate) fn unanswered(row: &mut Row, scale: Scale) {
    // The application's tasks are part of it.
    run_counted(row, "unanswered", scale.of(2, 20), 1 << 20, 256 + 100, 0);
}

/// Bytes without end behind a fault that has ended the session: 4 MiB are read, and then the connection is closed, however much time is left.
pub(crate) fn after(row: &mut Row, scale: Scale) {
    let peers = scale.of(2, 10);
    let linger = Duration::from_secs(10 * 60);
    run_within(row, "after", peers, (MOST_HEAP, linger), |row, target, report| {
        row.require_at_most("bytes taken of one peer", report.get("most"), MOST_TAKEN);
        target.wait_until_ended(peers);
        row.require_count("server: ended for the fault", target.tally.ended("protocol"), peers);
    });
}
