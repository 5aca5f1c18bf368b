//! One session of yamux for each peer, over plain TCP, and peers that want more of it than its limits allow; each scenario is about one
//! of them. Honest peers have sessions of their own beside it.

use std::sync::Arc;

use alts::pool::BufferPool;
use alts::yamux::{Config, Error, Session, Stream, Violation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
/// The first byte of a stream that is to be held and not read. All others are echoed.
pub(crate) const HOLD: u8 = b'H';

fn target() -> Target {
    let identities = Identities::new();
    let handshaker = identities::server(identities.path());
    Target::launch(
        identities,
        handshaker,
        |_, _| (),
        |listener, acceptor, tally| async move {
            while let Ok((socket, _)) = listener.accept().await {
                Tally::add(&tally.accepted);
                let pool = acceptor.settings().pool.clone();
                tokio::spawn(serve(socket, pool, Arc::clone(&tally)));
            }
        },
    )
}

async fn serve(socket: TcpStream, pool: BufferPool, tally: Arc<Tally>) {
    let config = Config::builder().window(256 << 10).max_window(1 << 20).max_held(MAX_HELD);
    let (session, driver) = Session::server(socket, config.build().expect("valid"), pool);
    let accepting = async {
        let mut held = Vec::new();
        while let Ok(Some(mut stream)) = session.accept().await {
            // Of a hostile peer it may never come; then nothing else is accepted.
            let held_one = stream.read_u8().await.is_ok_and(|first| first == HOLD);
            if held_one {
                held.push(stream);
            } else {
                tokio::spawn(echo(stream));
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

/// Runs one kind of peer beside honest ones. `judge` has the report of the helper.
fn run(row: &mut Row, kind: &str, peers: u64, judge: impl FnOnce(&mut Row, &Target, u64)) {
    let target = target();
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
    judge(row, &target, report.get("most"));
    drop(helper);
    let left = gauges.left();
    row.require_at_most("heap for each peer, most", left.peak.unsigned_abs() / peers, MOST_HEAP);
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
            (peers + 4) * (MAX_HELD as u64 + (512 << 10)),
        );
    });
}

/// Unread frames of one byte: they cost a byte each.
pub(crate) fn tiny(row: &mut Row, scale: Scale) {
    let peers = scale.of(3, 20);
    run(row, "tiny", peers, |row, target, _| {
        let most = target.pool().stats().high_water_bytes as u64;
        row.require_at_most("bytes out of the pool", most, (peers + 4) * (1 << 20));
    });
}

/// Streams that are reset as soon as they are open.
pub(crate) fn churn(row: &mut Row, scale: Scale) {
    run(row, "churn", scale.of(4, 50), |_, _, _| ());
}
