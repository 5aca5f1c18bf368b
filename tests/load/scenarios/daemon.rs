//! The handshaker daemon beside connections that say nothing, of the same caller: its handshakes and its health go on, and what it holds for
//! them is limited.

use std::future::poll_fn;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

use alts::handshaker::{
    Error, HandshakeOptions, HandshakeSession, Handshaker, RemoteHandshaker, Role, Step,
};

use crate::gauges::{allow_many_descriptors, descriptors_of, wait_until};
use crate::identities::Identities;
use crate::row::Row;
use crate::scale::Scale;

/// The daemon's default for one caller, and what it may not have closed yet.
const MOST: u64 = 512 + 64;

/// Where cargo puts programs, seen from a test.
fn program() -> Option<PathBuf> {
    let tests = std::env::current_exe().ok()?;
    let program = tests.parent()?.parent()?.join("alts-handshaker");
    let help = Command::new(&program).args(["serve", "--help"]).output().ok()?;
    // Without its feature it has no `serve`.
    help.status.success().then_some(program)
}

pub(crate) fn is_built() -> bool {
    program().is_some()
}

struct Daemon {
    child: Child,
    address: String,
    /// The daemon looks at its files again and again.
    _identities: Identities,
}

impl Daemon {
    fn start() -> Self {
        let identities = Identities::new();
        let file = |what: &str| identities.path().join(format!("server.{what}"));
        let mut child = Command::new(program().expect("it is built"))
            .args(["serve", "--listen", "127.0.0.1:0", "--dev", "--log", "off"])
            .args(["--allow-server", "own-trust-domain"])
            // Only what is tested closes connections.
            .args(["--first-call-timeout", "1h"])
            .arg("--bundle")
            .arg(format!("dev.local={}", file("bundle").display()))
            .arg("--cert")
            .arg(file("chain"))
            .arg("--key")
            .arg(file("key"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        output.read_line(&mut line).expect("it says where it listens");
        let address = line.trim().rsplit('=').next().expect("an address").to_owned();
        Self { child, address, _identities: identities }
    }

    fn descriptors(&self) -> u64 {
        descriptors_of(&self.child.id().to_string()) as u64
    }

    fn is_healthy(&self) -> bool {
        let program = program().expect("it is built");
        let status = Command::new(program).args(["health", &self.address]).status();
        status.expect("it runs").success()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn silent_connections(row: &mut Row, scale: Scale) {
    let count = scale.of(1_500, 6_000);
    allow_many_descriptors();
    let daemon = Daemon::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let base = daemon.descriptors();
    let (mut silent, mut most) = (Vec::new(), 0);
    let (mut asked, mut answered, mut lost) = (0, 0, 0);
    for at in 0..count {
        silent.push(TcpStream::connect(&daemon.address).expect("a connection"));
        most = most.max(daemon.descriptors());
        if at % 50 == 0 {
            asked += 1;
            // Each with a connection of its own, which the silent ones that follow displace.
            match runtime.block_on(handshake(&format!("http://{}", daemon.address))) {
                Ok(()) => answered += 1,
                Err(error) => {
                    println!("a caller: {error}");
                    lost += 1;
                }
            }
        }
    }
    row.thrown(count, 0, 0);
    row.honest(asked, answered, lost);
    row.require(daemon.is_healthy(), || "the daemon does not say that it is well".into());
    row.require_at_most("descriptors of the daemon for them, most", most - base, MOST);
    drop(silent);
    wait_until(|| daemon.descriptors() <= base);
    row.note("descriptors left", daemon.descriptors().cast_signed() - base.cast_signed());
    row.require(daemon.is_healthy(), || "the daemon does not say that it is well".into());
}

/// Both sides of a handshake, by the service at this address.
pub(super) async fn handshake(address: &str) -> Result<(), Error> {
    let handshaker = RemoteHandshaker::builder(address).build()?;
    let start = |role| handshaker.start(role, &HandshakeOptions::default());
    let (mut client, mut server) = (start(Role::Client)?, start(Role::Server)?);
    let (offer, _) = step(&mut *client, &[]).await?;
    let (answer, _) = step(&mut *server, &offer).await?;
    let (finish, at_client) = step(&mut *client, &answer).await?;
    let (_, at_server) = step(&mut *server, &finish).await?;
    let keys = [at_client, at_server].map(|step| step.result.map(|result| result.key_data));
    assert!(keys[0].is_some() && keys[0] == keys[1]);
    Ok(())
}

async fn step(
    session: &mut dyn HandshakeSession,
    received: &[u8],
) -> Result<(Vec<u8>, Step), Error> {
    let mut out = Vec::new();
    let step = poll_fn(|cx| session.poll_step(cx, received, SystemTime::now(), &mut out)).await?;
    Ok((out, step))
}
