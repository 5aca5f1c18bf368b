//! The relays that are compared, and how they are started.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use alts_benches::identity::{self, Pem};
use clap::ValueEnum;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::live_heap::{Count, Counter};
use crate::process::Relay;

/// Peers that this program plays itself.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Played {
    TokioCopy,
    Splice2,
}

/// Accepts and relays until it is killed.
pub(crate) fn play(role: Played, target: &str) {
    let target: SocketAddr = target.parse().expect("an address");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("ready listen={}", listener.local_addr().expect("an address"));
        loop {
            let (mut from, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let mut to = TcpStream::connect(target).await.expect("the target");
                from.set_nodelay(true).expect("a socket");
                to.set_nodelay(true).expect("a socket");
                // Clients of the benchmark may vanish.
                let _ = match role {
                    Played::TokioCopy => copy_bidirectional(&mut from, &mut to).await.map(drop),
                    Played::Splice2 => {
                        tokio_splice2::copy_bidirectional(&mut from, &mut to).await.map(drop)
                    }
                };
            });
        }
    });
}

/// Programs and files that the relays need.
pub(crate) struct Lab {
    alts: PathBuf,
    pub(crate) has_stunnel: bool,
    /// Counts live heap; `None` where that cannot be done.
    counter: Option<Counter>,
    files: TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let built = Command::new(env!("CARGO"))
            .args([
                "build",
                "--release",
                "--quiet",
                "-p",
                "alts",
                "--features",
                "cli",
                "--bin",
                "alts",
            ])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .status();
        assert!(built.expect("cargo").success(), "the command alts cannot be built");
        // This program is target/release/deps/relay-…
        let itself = std::env::current_exe().expect("this program");
        let release = itself.ancestors().nth(2).expect("two folders");
        let alts = release.join("alts");
        assert!(alts.exists(), "no {}: is CARGO_TARGET_DIR the same for both?", alts.display());
        let has_stunnel = Command::new("stunnel").arg("-version").output().is_ok();
        if !has_stunnel {
            eprintln!("stunnel is not installed: it is left out");
        }
        let files = tempfile::tempdir().expect("a directory");
        identity::write(files.path());
        let counter = Counter::build(files.path());
        if counter.is_none() {
            eprintln!(
                "live heap cannot be counted here, without a C compiler and glibc: it is left out"
            );
        }
        Self { alts, has_stunnel, counter, files }
    }

    pub(crate) fn pem(&self, side: &str) -> Pem {
        Pem::read(self.files.path(), side)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.files.path().join(file)
    }

    /// A relay between plain sockets. With `counts` its live heap is counted, which costs it time.
    pub(crate) fn plain(&self, peer: &str, target: SocketAddr, counts: bool) -> Relay {
        let target = target.to_string();
        let mut command = match peer {
            "alts" => {
                let mut command = Command::new(&self.alts);
                command.args(["relay", "--listen", "127.0.0.1:0", "--target", &target]);
                command
            }
            peer => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args(["--play", peer, "--target", &target]);
                command
            }
        };
        let count = self.count(&mut command, counts);
        Relay::start(&mut command).counted(count)
    }

    fn count(&self, command: &mut Command, counts: bool) -> Option<Count> {
        let counter = self.counter.as_ref().filter(|_| counts)?;
        Some(counter.watch(command, self.files.path()))
    }

    /// A tunnel's server, before a plain target. `counts` as for [`plain`](Self::plain).
    pub(crate) fn secured(&self, peer: &str, target: SocketAddr, counts: bool) -> Relay {
        let (chain, key) = (self.path("server/chain.pem"), self.path("server/key.pem"));
        let bundle = self.path("server/bundle.pem");
        let target = target.to_string();
        if peer == "alts" {
            let mut command = Command::new(&self.alts);
            command.args(["tunnel", "server", "--listen", "127.0.0.1:0", "--target", &target]);
            command.args(["--dev", "--allow", "spiffe://dev.local/client", "--log", "warn"]);
            command.arg("--cert").arg(chain).arg("--key").arg(key);
            command.arg("--bundle").arg(format!("dev.local={}", bundle.display()));
            let count = self.count(&mut command, counts);
            return Relay::start(&mut command).counted(count);
        }
        let port =
            TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
        let configuration = format!(
            "foreground = yes\npid =\ndebug = 3\nsslVersion = TLSv1.3\ncurves = X25519\nsocket = l:TCP_NODELAY=1\n\
             socket = r:TCP_NODELAY=1\n[tunnel]\naccept = {port}\nconnect = {target}\ncert = {}\nkey = {}\n\
             CAfile = {}\nverifyChain = yes\nrequireCert = yes\n",
            chain.display(),
            key.display(),
            bundle.display(),
        );
        let path = self.path("stunnel.conf");
        std::fs::write(&path, configuration).expect("a file");
        let mut command = Command::new("stunnel");
        command.arg(path);
        let count = self.count(&mut command, counts);
        Relay::start_silent(&mut command, port).counted(count)
    }
}
