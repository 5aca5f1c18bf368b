//! Both sides' files replaced, certificates and keys broken and restored, and the authority itself exchanged, while handshakes go on.
//! None may fail: a side that finds a bad certificate or key keeps what it has. (A bad bundle closes its trust domain, so that
//! handshakes have to fail; the handshaker's own tests show that.)

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::{IdentityFiles, Policy};
use alts::{Connector, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::files::{save, write};
use crate::gauges::wait_until;
use crate::helpers::raw::{connect, source};
use crate::identities::Identities;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::{CLOSED, Tally};
use crate::target::{self, Target};

const WATCH: Duration = Duration::from_millis(10);
/// Clients at a time.
const WORKERS: usize = 8;

/// One side's files.
struct Side {
    name: &'static str,
    dir: PathBuf,
    files: IdentityFiles,
}

impl Side {
    fn new(dir: &Path, name: &'static str, ca: &DevCa) -> Self {
        let now = SystemTime::now();
        save(dir, name, &ca.issue(&id(name, 0), now).unwrap());
        let file = |what: &str| dir.join(format!("{name}.{what}"));
        let files = IdentityFiles::builder(file("chain"), file("key"))
            .bundle("dev.local".parse().unwrap(), file("bundle"))
            .allow_development_domain()
            .load(now)
            .unwrap();
        files.watch_every(WATCH).unwrap();
        Self { name, dir: dir.to_owned(), files }
    }

    fn file(&self, what: &str) -> PathBuf {
        self.dir.join(format!("{}.{what}", self.name))
    }

    /// Changes the files, and waits until the watcher has taken them over, as often as they were good in between.
    fn replaced(&self, change: impl FnOnce(&Self)) {
        let reloads = self.files.reloads();
        change(self);
        wait_until(|| self.files.reloads() > reloads && self.files.last_error().is_none());
    }

    /// Breaks a file, waits until the watcher has seen that, and restores it.
    fn broken(&self, what: &str, fault: &Fault) {
        let (path, failures) = (self.file(what), self.files.failures());
        let good = fs::read_to_string(&path).unwrap();
        match fault {
            Fault::Text(text) => write(&path, text),
            Fault::Cut => fs::write(&path, &good[..good.len() / 2]).unwrap(),
            Fault::Gone => fs::remove_file(&path).unwrap(),
            Fault::Shared => {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
        wait_until(|| self.files.failures() > failures);
        write(&path, &good);
        wait_until(|| self.files.last_error().is_none());
    }
}

enum Fault {
    Text(String),
    /// As it is found while somebody writes it in place.
    Cut,
    Gone,
    /// Everybody may read it, which no key should be.
    Shared,
}

/// The n-th name of a side.
fn id(side: &str, n: u64) -> String {
    format!("spiffe://dev.local/{side}/{n}")
}

/// What the clients did.
#[derive(Default)]
struct Clients {
    asked: AtomicU64,
    answered: AtomicU64,
    lost: AtomicU64,
    /// The latest name of the server that a client saw.
    latest: AtomicU64,
    /// Handshakes finished by each worker.
    finished: [AtomicU64; WORKERS],
    stop: AtomicBool,
}

impl Clients {
    /// Waits until all handshakes that are under way now are over.
    fn pass(&self) {
        let before = self.finished.each_ref().map(|count| count.load(Ordering::Relaxed));
        wait_until(|| {
            let passed =
                |(count, before): (&AtomicU64, u64)| count.load(Ordering::Relaxed) > before + 1;
            self.finished.iter().zip(before).all(passed)
        });
    }
}

pub(crate) fn run(row: &mut Row, scale: Scale) {
    let least = scale.of(500, 10_000);
    let identities = Identities::new();
    let dir = identities.path().to_owned();
    let mut ca = DevCa::new(SystemTime::now()).unwrap();
    let [server, client] = ["server", "client"].map(|name| Side::new(&dir, name, &ca));
    let policy = Policy::from_rules(["spiffe://dev.local/client/*"]).unwrap();
    let files = server.files.clone();
    let handshaker = LocalHandshaker::builder(files).client_policy(policy).build();
    let target = Target::launch(
        identities,
        handshaker,
        |_, _| (),
        |listener, acceptor, tally| target::accept(listener, acceptor, tally, service::echo),
    );
    let policy = Policy::from_rules(["spiffe://dev.local/server/*"]).unwrap();
    let files = client.files.clone();
    let connector = Connector::new(LocalHandshaker::builder(files).server_policy(policy).build());

    // Once round, for what is filled once.
    let address = target.address;
    for _ in 0..100 {
        target.runtime.block_on(ask(&connector, address, 0)).unwrap();
    }
    wait_until(|| Tally::get(&target.tally.ended) == 100);
    target.tally.clear();
    let gauges = target.gauges();
    let clients = Arc::new(Clients::default());
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            target.runtime.spawn(work(worker, Arc::clone(&clients), connector.clone(), address))
        })
        .collect();

    let (mut rounds, mut broken, mut authorities) = (0, 0, 0);
    let mut n = 0;
    while clients.answered.load(Ordering::Relaxed) < least || rounds < 3 {
        rounds += 1;
        // Renewed.
        n += 1;
        for side in [&server, &client] {
            let issued = ca.issue(&id(side.name, n), SystemTime::now()).unwrap();
            side.replaced(|side| save(&side.dir, side.name, &issued));
        }
        // Broken in every way, one file at a time.
        let other = ca.issue(&id("other", n), SystemTime::now()).unwrap();
        let expired = SystemTime::now() - Duration::from_secs(48 * 60 * 60);
        let expired = ca.issue(&id("server", n), expired).unwrap();
        for side in [&server, &client] {
            for (what, fault) in [
                ("chain", Fault::Text("no certificate".into())),
                ("chain", Fault::Cut),
                ("chain", Fault::Gone),
                ("chain", Fault::Text(expired.chain_pem().into())),
                ("key", Fault::Text(String::new())),
                ("key", Fault::Text(other.key_pem().into())),
                ("key", Fault::Shared),
            ] {
                side.broken(what, &fault);
                broken += 1;
            }
        }
        // A new authority: trusted by both, then used by both, then the only one.
        let next = DevCa::new(SystemTime::now()).unwrap();
        let both = [ca.bundle_pem(), next.bundle_pem()].concat();
        for side in [&server, &client] {
            side.replaced(|side| write(&side.file("bundle"), &both));
        }
        clients.pass();
        n += 1;
        for side in [&server, &client] {
            let issued = next.issue(&id(side.name, n), SystemTime::now()).unwrap();
            side.replaced(|side| {
                write(&side.file("chain"), issued.chain_pem());
                write(&side.file("key"), issued.key_pem());
            });
        }
        clients.pass();
        for side in [&server, &client] {
            side.replaced(|side| write(&side.file("bundle"), next.bundle_pem()));
        }
        ca = next;
        authorities += 1;
        clients.pass();
    }
    clients.stop.store(true, Ordering::Relaxed);
    for worker in workers {
        target.runtime.block_on(worker).unwrap();
    }
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let asked = get(&clients.asked);
    row.thrown(asked, 0, asked);
    row.honest(asked, get(&clients.answered), get(&clients.lost));
    row.note("identities renewed, both sides", n);
    row.note("authorities exchanged", authorities);
    row.note("files broken and restored", broken);
    let loads = server.files.reloads() + client.files.reloads();
    row.require_at_least("files reloaded", loads, 4 * rounds);
    let failures = server.files.failures() + client.files.failures();
    row.require_at_least("looks at bad files", failures, broken);
    row.require_count("the server's name that clients saw last", get(&clients.latest), n);
    target.wait_until_ended(asked);
    row.require_count("server: closed", target.tally.ended(CLOSED), asked);
    // Outcomes of the last 64 kinds of handshake are kept on each side, and each renewal makes a kind.
    row.left_within(&gauges.left(), 256 << 10);
}

async fn work(
    worker: usize,
    clients: Arc<Clients>,
    connector: Connector,
    address: std::net::SocketAddr,
) {
    while !clients.stop.load(Ordering::Relaxed) {
        clients.asked.fetch_add(1, Ordering::Relaxed);
        match ask(&connector, address, worker).await {
            Ok(name) => {
                clients.answered.fetch_add(1, Ordering::Relaxed);
                let n = name.rsplit('/').next().unwrap().parse().unwrap();
                clients.latest.fetch_max(n, Ordering::Relaxed);
            }
            Err(error) => {
                println!("a client: {error}");
                clients.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
        clients.finished[worker].fetch_add(1, Ordering::Relaxed);
    }
}

/// One connection with one answer, and the server's name.
async fn ask(
    connector: &Connector,
    address: std::net::SocketAddr,
    worker: usize,
) -> Result<String, Error> {
    let socket = connect(address, source(worker)).await?;
    let mut stream = connector.connect(socket).await?;
    stream.write_all(b"text").await?;
    stream.shutdown().await?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await?;
    assert_eq!(text, b"text");
    Ok(stream.peer().name().to_owned())
}
