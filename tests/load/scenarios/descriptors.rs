//! A server that has no descriptors left for the connections that come. It waits instead of asking again and again, and everybody is served
//! in the end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::gauges::{
    allow_descriptors, allow_many_descriptors, descriptors, descriptors_of, signed, wait_until,
};
use crate::helper::Helper;
use crate::identities::Identities;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::Tally;
use crate::target::{PAUSE, Target};

/// Connections that there are descriptors for.
const ROOM: u64 = 50;

/// A loop that pauses, as every server should have one.
pub(crate) fn accept_loop(row: &mut Row, scale: Scale) {
    exhaust(row, scale, &Target::start(|_, _| (), service::echo), PAUSE);
}

/// What an acceptor makes of a listener.
pub(crate) fn incoming(row: &mut Row, scale: Scale) {
    use std::io;
    use std::sync::Arc;
    use std::task::{Context, Poll, ready};

    use alts::connect::Listener;
    use tokio::net::{TcpListener, TcpStream};

    use crate::tally::Tally;

    struct Counted(TcpListener, Arc<Tally>);

    impl Listener for Counted {
        type Socket = TcpStream;

        fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<TcpStream>>> {
            let accepted = ready!(Listener::poll_accept(&mut self.0, cx));
            // Each answer is followed by another call.
            Tally::add(&self.1.accept_calls);
            match &accepted {
                Some(Ok(_)) => Tally::add(&self.1.accepted),
                Some(Err(_)) => Tally::add(&self.1.accept_errors),
                None => {}
            }
            Poll::Ready(accepted)
        }
    }

    let identities = Identities::new();
    let handshaker = crate::identities::server(identities.path());
    let target = Target::launch(
        identities,
        handshaker,
        |_, _| (),
        |listener, acceptor, tally| async move {
            Tally::add(&tally.accept_calls);
            let pool = acceptor.settings().pool.clone();
            let mut incoming = acceptor.incoming(Counted(listener, Arc::clone(&tally)));
            while let Some(mut stream) = incoming.next().await {
                let (pool, tally) = (pool.clone(), Arc::clone(&tally));
                tokio::spawn(async move {
                    service::echo_stream(&mut stream, &pool, &tally).await;
                });
            }
        },
    );
    // It begins with 5 ms and doubles up to a second: a pause of 200 ms on average is exceeded soon.
    exhaust(row, scale, &target, PAUSE);
}

fn exhaust(row: &mut Row, scale: Scale, target: &Target, pause: Duration) {
    let count = scale.of(200, 1_000);
    target.warm_up();
    let gauges = target.gauges();
    let mut visitors = target.helper("visitors", &[]);
    // No more descriptors than are open now, and ROOM.
    allow_descriptors(descriptors() as u64 + ROOM);
    visitors.tell(&format!("hold {count}"));
    let refused = || Tally::get(&target.tally.accept_errors);
    wait_until(|| refused() > 0 && Tally::get(&target.tally.secured) >= ROOM / 2);
    // While nothing changes: how often does it ask?
    let (start, calls) = (Instant::now(), Tally::get(&target.tally.accept_calls));
    std::thread::sleep(scale.of(Duration::from_secs(2), Duration::from_secs(10)));
    let calls = Tally::get(&target.tally.accept_calls) - calls;
    let passed = start.elapsed();
    row.note("served when descriptors had run out", Tally::get(&target.tally.secured));
    // As often as the pause allows; a few more where it begins shorter.
    let most = 12 + (passed.as_millis() / pause.as_millis()) as u64;
    row.require_at_most("accept calls while there was no room", calls, most);
    row.note("in so many ms", passed.as_millis());
    visitors.tell("leave");
    let report = visitors.report();
    row.thrown(count, 0, count);
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    row.require_at_least("accept calls that failed", refused(), 1);
    // More where a connection that said nothing made room for others, and its visitor came again.
    row.require_at_least("accepted in the end", Tally::get(&target.tally.accepted), count);
    allow_many_descriptors();
    drop(visitors);
    row.left(&gauges.left());
}

/// How often a server may be looked at until it is quiet.
const LOOKS: u32 = 30;

/// Where cargo puts examples, seen from a test.
fn echo_server_program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let program = tests.parent()?.parent()?.join("examples/echo_server");
    program.is_file().then_some(program)
}

pub(crate) fn echo_server_is_built() -> bool {
    echo_server_program().is_some()
}

/// The example, as a process with few descriptors.
pub(crate) fn echo_server(row: &mut Row, scale: Scale) {
    // No more than its listener's backlog of 128 holds while they wait.
    let count = 150;
    let identities = Identities::new();
    let file = |what: &str| identities.path().join(format!("server.{what}"));
    let bundle = format!("dev.local={}", file("bundle").display());
    // What it has open already, and ROOM.
    allow_descriptors(20 + ROOM);
    let mut server = Command::new(echo_server_program().expect("it is built"))
        .args(["--dev", "--half-open-per-source", "1000", "--bundle", &bundle])
        .arg("--cert")
        .arg(file("chain"))
        .arg("--key")
        .arg(file("key"))
        .env("RUST_LOG", "off")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    allow_many_descriptors();
    let mut line = String::new();
    let mut output = BufReader::new(server.stdout.take().expect("it is piped"));
    output.read_line(&mut line).expect("it says where it listens");
    let address: SocketAddr = line.trim().rsplit(' ').next().unwrap().parse().expect("an address");
    let process = server.id().to_string();

    let mut visitors = Helper::start("visitors", identities.path(), address, &[]);
    visitors.ask("visit 64 8");
    wait_until(|| ticks(&process).is_some());
    let base = descriptors_of(&process);
    visitors.tell(&format!("hold {count}"));
    wait_until(|| descriptors_of(&process) as u64 >= 20 + ROOM);
    // Handshakes still keep it busy at first. A loop that spins does so forever, with all of a core.
    let (mut busy, mut passed) = (u64::MAX, 0);
    for _ in 0..LOOKS {
        let (start, before) = (Instant::now(), ticks(&process).unwrap_or(0));
        std::thread::sleep(scale.of(Duration::from_secs(1), Duration::from_secs(10)));
        busy = ticks(&process).unwrap_or(0) - before;
        passed = start.elapsed().as_millis() as u64 / 10;
        if busy <= passed / 20 {
            break;
        }
    }
    row.note("descriptors", 20 + ROOM);
    row.require_at_most("ticks of 10 ms at work while there was no room", busy, passed / 20);
    visitors.tell("leave");
    let report = visitors.report();
    row.thrown(count, 0, count);
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    drop(visitors);
    wait_until(|| descriptors_of(&process) <= base);
    row.note("descriptors left", signed(descriptors_of(&process)) - signed(base));
    server.kill().expect("it runs");
    server.wait().expect("it ends");
}

/// Processor time of a process, in the kernel's ticks of 10 ms.
fn ticks(process: &str) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}
