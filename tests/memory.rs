//! What an idle connection holds, in bytes of live heap on the server's side, with plain TCP measured in the same run.
//!
//! `cargo test --release --test memory -- --nocapture` prints the table. The clients live in a child process, this same program
//! with `--clients`, so that the counting allocator sees only the server. Byte counts decide, not times.

use std::alloc::System;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime};

use alts::connect::Settings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::Policy;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{Acceptor, AltsStream, Connector};
use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

#[path = "support/files.rs"]
mod files;
#[path = "support/rest.rs"]
mod rest;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Connections to measure, if descriptors allow. Debug builds do fewer: their handshakes are slow, their bytes the same.
const CONNECTIONS: usize = if cfg!(debug_assertions) { 1_000 } else { 8_000 };
/// Both ends prove the same identity; what is measured does not depend on it.
const ID: &str = "spiffe://dev.local/memory";
/// What its files are called.
const NAME: &str = "memory";

/// The most that an idle connection may hold, plain TCP's share included. Without optimization futures are larger.
const IDLE_LIMIT: f64 = if cfg!(debug_assertions) { 900.0 } else { 720.0 };
/// The most that a connection may hold beyond idle and beyond what has arrived.
const PARTIAL_LIMIT: f64 = 160.0;

fn main() {
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--clients") {
        let dir = args.next().expect("the directory of the identity");
        let address = args.next().expect("the address of the server");
        let connections = args.next().expect("how many connections");
        let secured = args.next().expect("alts or tcp") == "alts";
        let connections = connections.parse().expect("a number");
        clients(Path::new(&dir), address.parse().expect("an address"), connections, secured);
        return;
    }
    let arguments = Arguments::from_args();
    if arguments.list {
        libtest_mimic::run(&arguments, trials(&Figures::default())).exit();
    }
    let figures = measure();
    figures.print();
    libtest_mimic::run(&arguments, trials(&figures)).exit();
}

/// Live heap per connection in bytes, by state, and the pool's buffers that were out at that moment.
#[derive(Default)]
struct Figures {
    connections: usize,
    tcp: f64,
    rows: Vec<Row>,
}

struct Row {
    state: &'static str,
    heap: f64,
    buffers: usize,
    /// Bytes of a record that wait for the rest, and that the connection cannot but hold.
    arrived: f64,
}

impl Figures {
    fn print(&self) {
        println!("\nlive heap per connection, server side, {} connections", self.connections);
        println!("  {:<44} {:>8} {:>12}", "state", "bytes", "buffers out");
        println!("  {:<44} {:>8.0} {:>12}", "plain TCP, idle", self.tcp, "-");
        for row in &self.rows {
            println!("  {:<44} {:>8.0} {:>12}", row.state, row.heap, row.buffers);
        }
        println!();
    }

    fn idle(&self) -> f64 {
        self.rows.iter().find(|row| row.state == IDLE).map_or(0.0, |row| row.heap)
    }
}

const IDLE: &str = "idle after a 1 KiB ping-pong";
const PARTIALS: [(&str, usize); 5] = [
    ("1 byte of a record received", 1),
    ("7 bytes of a record received", 7),
    ("8 bytes of a record received", 8),
    ("100 bytes of a record received", 100),
    ("9 bytes of a record of 1 MiB received", 9),
];

fn trials(figures: &Figures) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut trial = |name: String, state: &'static str, limit: Box<dyn Fn(f64, f64) -> f64>| {
        let row = figures.rows.iter().find(|row| row.state == state);
        let found = row.map(|row| (row.heap, row.buffers, limit(figures.idle(), row.arrived)));
        trials.push(Trial::test(name, move || {
            let (heap, buffers, limit) = found.ok_or("not measured")?;
            if buffers != 0 {
                return Err(Failed::from(format!("{buffers} buffers are out of the pool")));
            }
            if heap > limit {
                return Err(Failed::from(format!("{heap:.0} bytes exceed {limit:.0}")));
            }
            Ok(())
        }));
    };
    for state in ["handshake done, nothing received", IDLE, "idle after a 32 KiB echo"] {
        trial(format!("at most {IDLE_LIMIT} bytes: {state}"), state, Box::new(|_, _| IDLE_LIMIT));
    }
    for (state, _) in PARTIALS {
        let limit = |idle: f64, arrived: f64| idle + arrived + PARTIAL_LIMIT;
        trial(format!("at most 160 bytes beyond idle: {state}"), state, Box::new(limit));
    }
    trials
}

fn measure() -> Figures {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let now = SystemTime::now();
    let issued = DevCa::new(now).and_then(|ca| ca.issue(ID, now)).expect("an identity");
    files::save(dir.path(), NAME, &issued);
    let connections = CONNECTIONS.min(descriptors().saturating_sub(100).max(1));
    if connections < CONNECTIONS {
        println!("descriptors allow {connections} connections only");
    }
    let runtime = Runtime::new().expect("a runtime");

    let tcp = {
        let mut bench = Bench::start(&runtime, dir.path(), connections, None);
        bench.tell("echo 1024");
        bench.heap()
    };

    let mut settings = Settings::default();
    // The handshakes all come from one source here.
    let mut limits = alts::handshaker::LimitOptions::default();
    limits.half_open_per_source = limits.half_open;
    settings.limits = alts::handshaker::HandshakeLimits::new(limits);
    let pool = settings.pool.clone();
    let handshaker = LocalHandshaker::builder(files::load(dir.path(), NAME)).build();
    let acceptor = Acceptor::with_settings(handshaker, settings);
    let mut bench = Bench::start(&runtime, dir.path(), connections, Some(&acceptor));
    let mut rows = Vec::new();
    let mut row = |bench: &Bench, state, arrived: usize| {
        let heap = bench.heap();
        let buffers = pool.stats().in_use_buffers;
        rows.push(Row { state, heap, buffers, arrived: arrived as f64 });
    };
    row(&bench, "handshake done, nothing received", 0);
    bench.tell("echo 1024");
    row(&bench, IDLE, 0);
    bench.tell("echo 32768");
    row(&bench, "idle after a 32 KiB echo", 0);
    // Each adds to what is there of one record with a length field of 1,000.
    let mut arrived = 0;
    for (state, bytes) in &PARTIALS[..4] {
        bench.tell(&format!("part 1000 {arrived} {bytes}"));
        arrived = *bytes;
        row(&bench, state, arrived);
    }
    drop(bench);
    let bench = &mut Bench::start(&runtime, dir.path(), connections, Some(&acceptor));
    bench.tell("echo 1024");
    bench.tell("part 1048576 0 9");
    row(bench, PARTIALS[4].0, 9);
    Figures { connections, tcp, rows }
}

/// The descriptors that this process may open, after asking for as many as it can get.
fn descriptors() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .expect("the limit can be raised to the hard one");
    usize::try_from(hard).unwrap_or(usize::MAX)
}

/// A server with its connections, and the child that keeps the other ends.
struct Bench {
    tasks: tokio::runtime::RuntimeMetrics,
    connections: usize,
    base: isize,
    accepting: tokio::task::JoinHandle<()>,
    child: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

impl Bench {
    fn start(
        runtime: &Runtime,
        dir: &Path,
        connections: usize,
        acceptor: Option<&Acceptor>,
    ) -> Self {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("--clients")
            .arg(dir)
            .args([address.to_string(), connections.to_string()])
            .arg(if acceptor.is_some() { "alts" } else { "tcp" })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the clients start");
        let orders = child.stdin.take().expect("it is piped");
        let reports = BufReader::new(child.stdout.take().expect("it is piped"));
        let tasks = runtime.metrics();
        let base = live_heap();
        let accepting = runtime.spawn(accept(listener, acceptor.cloned()));
        let mut bench = Self { tasks, connections, base, accepting, child, orders, reports };
        bench.await_report();
        bench
    }

    /// Has the clients do something, and waits until they have.
    fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the clients are there");
        self.await_report();
    }

    fn await_report(&mut self) {
        let mut line = String::new();
        self.reports.read_line(&mut line).expect("the clients report");
        assert_eq!(line, "done\n", "the clients failed");
        rest::settle(live_heap);
    }

    /// Live heap per connection in bytes.
    fn heap(&self) -> f64 {
        // One task accepts.
        let served = self.tasks.num_alive_tasks() - 1;
        assert_eq!(served, self.connections, "a connection was lost");
        (live_heap() - self.base) as f64 / self.connections as f64
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.accepting.abort();
        // A child that has ended already has done so with a message.
        let _ = self.child.kill();
        let _ = self.child.wait();
        while self.tasks.num_alive_tasks() > 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn live_heap() -> isize {
    let stats = HEAP.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

async fn accept(listener: TcpListener, acceptor: Option<Acceptor>) {
    let plain = BufferPool::new();
    loop {
        let (tcp, _) = listener.accept().await.expect("a connection");
        // The tasks are what a user would write. Neither takes its state by argument: that would store it twice.
        match &acceptor {
            Some(acceptor) => {
                let handshake = acceptor.accept(tcp);
                let pool = acceptor.settings().pool.clone();
                tokio::spawn(async move {
                    let mut stream = handshake.await.expect("a handshake");
                    while let Ok(Some(received)) = stream.read_on_ready(&pool).await {
                        if stream.write_all(&received).await.is_err() {
                            break;
                        }
                    }
                });
            }
            None => {
                let pool = plain.clone();
                let mut tcp = tcp;
                tokio::spawn(async move {
                    while let Ok(Some(received)) = tcp.read_on_ready(&pool).await {
                        if tcp.write_all(&received).await.is_err() {
                            break;
                        }
                    }
                });
            }
        }
    }
}

/// The other ends: connects, then obeys orders from standard input.
fn clients(dir: &Path, address: SocketAddr, connections: usize, secured: bool) {
    descriptors();
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let policy = Policy::from_rules([ID]).expect("a rule");
        let handshaker =
            LocalHandshaker::builder(files::load(dir, NAME)).server_policy(policy).build();
        let connector = Connector::new(handshaker);
        let mut ends = Vec::with_capacity(connections);
        for _ in 0..connections {
            let tcp = TcpStream::connect(address).await.expect("a connection");
            ends.push(match secured {
                true => End::Alts(connector.connect(tcp).await.expect("a handshake")),
                false => End::Tcp(tcp),
            });
        }
        println!("done");
        for line in std::io::stdin().lock().lines() {
            let line = line.expect("an order");
            let words: Vec<&str> = line.split(' ').collect();
            let number = |index: usize| words[index].parse::<usize>().expect("a number");
            for end in &mut ends {
                match words[0] {
                    "echo" => end.echo(number(1)).await,
                    "part" => end.send_part(number(1), number(2)..number(3)).await,
                    order => panic!("{order} is no order"),
                }
            }
            println!("done");
        }
    });
}

enum End {
    Tcp(TcpStream),
    Alts(AltsStream<TcpStream>),
}

impl End {
    async fn echo(&mut self, len: usize) {
        let sent = vec![0x5A; len];
        let mut back = vec![0; len];
        match self {
            Self::Tcp(stream) => {
                stream.write_all(&sent).await.expect("sent");
                stream.read_exact(&mut back).await.expect("received");
            }
            Self::Alts(stream) => {
                stream.write_all(&sent).await.expect("sent");
                stream.read_exact(&mut back).await.expect("received");
            }
        }
        assert!(sent == back, "the echo differs");
    }

    /// Sends a part of a record with this length field, straight to the socket.
    async fn send_part(&mut self, length: usize, part: std::ops::Range<usize>) {
        let mut record = vec![0xA5; part.end.max(8)];
        record[..4].copy_from_slice(&(length as u32).to_le_bytes());
        record[4..8].copy_from_slice(&6_u32.to_le_bytes());
        match self {
            Self::Tcp(stream) => stream.write_all(&record[part]).await.expect("sent"),
            Self::Alts(stream) => stream.get_mut().write_all(&record[part]).await.expect("sent"),
        }
    }
}
