//! A daemon with its files, and handshakes through it.

use std::future::poll_fn;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::{
    Error, HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, RemoteHandshaker, Role,
    Step,
};
use tempfile::{NamedTempFile, TempDir};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_alts-handshaker");
pub(crate) const CART: &str = "spiffe://dev.local/cart";

/// A directory with an authority, and identities that it issued.
#[derive(Debug)]
pub(crate) struct Files {
    directory: TempDir,
    pub(crate) authority: DevCa,
    socket: String,
}

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = DevCa::new(SystemTime::now()).unwrap();
        authority.save(&directory.path().join("ca")).unwrap();
        let socket = format!("unix:{}", directory.path().join("run/handshaker.sock").display());
        let files = Self { directory, authority, socket };
        files.issue("cart", CART);
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes an identity into the directory `name`, in place of an older one.
    pub(crate) fn issue(&self, name: &str, id: &str) {
        let issued = self.authority.issue(id, SystemTime::now()).unwrap();
        issued.save(&self.path(name)).unwrap();
    }

    /// What every daemon needs to know that serves these identities.
    pub(crate) fn trust(&self) -> Vec<String> {
        let bundle = format!("dev.local={}", self.text("ca/ca.pem"));
        ["--dev", "--allow-server", "own-trust-domain", "--bundle", &bundle]
            .map(str::to_owned)
            .to_vec()
    }

    /// As [`trust`](Self::trust), with the cart as everybody's identity.
    pub(crate) fn usual(&self) -> Vec<String> {
        let [cert, key] = [self.text("cart/chain.pem"), self.text("cart/key.pem")];
        [self.trust(), ["--cert", &cert, "--key", &key].map(str::to_owned).to_vec()].concat()
    }

    /// A Unix socket's address.
    pub(crate) fn socket(&self) -> &str {
        &self.socket
    }
}

/// Patience with callers that a busy machine keeps from their next message.
pub(crate) const PATIENT: [&str; 4] = ["--idle-timeout", "10m", "--handshake-timeout", "10m"];

/// A running daemon. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// A file, since a pipe that nobody empties would stop the daemon.
    log: NamedTempFile,
    /// Where it listens, in the order of the arguments.
    pub(crate) addresses: Vec<String>,
    pub(crate) admin: Option<String>,
}

impl Daemon {
    /// Starts a daemon and waits until it is ready.
    pub(crate) fn start(arguments: &[String], more: &[&str]) -> Self {
        Self::start_with(arguments, more, &[])
    }

    /// As [`start`](Self::start), with environment variables.
    pub(crate) fn start_with(
        arguments: &[String],
        more: &[&str],
        environment: &[(&str, String)],
    ) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut child = Command::new(PROGRAM)
            .arg("serve")
            .args(arguments)
            .args(more)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::piped())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = || std::fs::read_to_string(log.path()).unwrap();
        assert!(line.starts_with("ready"), "not ready: {}", said());
        let named = |name: &'static str| {
            line.split_whitespace().filter_map(move |word| word.strip_prefix(name))
        };
        let addresses = named("listen=").map(str::to_owned).collect();
        let admin = named("admin=").next().map(str::to_owned);
        Self { child, log, addresses, admin }
    }

    /// The usual daemon on a Unix socket.
    pub(crate) fn usual(files: &Files) -> Self {
        let addresses = ["--listen", files.socket(), "--admin", "127.0.0.1:0"];
        Self::start(&files.usual(), &[addresses, PATIENT].concat())
    }

    pub(crate) fn remote(&self) -> RemoteHandshaker {
        remote(&self.addresses[0])
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Ends it by force, and gives what it logged.
    pub(crate) fn log(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Everything at its admin address.
    pub(crate) fn metrics(&self) -> String {
        let (head, body) = get(self.admin.as_ref().unwrap(), "GET", "/metrics");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        body
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a daemon says that does not start.
pub(crate) fn refusal(arguments: &[String], more: &[&str]) -> String {
    let output = Command::new(PROGRAM).arg("serve").args(arguments).args(more).output().unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// What `alts-handshaker health` says.
pub(crate) fn health(address: &str) -> (bool, String) {
    let output = Command::new(PROGRAM).args(["health", address]).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// A request by HTTP/1.1: head and body of the answer.
pub(crate) fn get(address: &str, method: &str, path: &str) -> (String, String) {
    use std::io::Write;
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    write!(socket, "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A handshaker for an address as the daemon writes it.
pub(crate) fn remote(address: &str) -> RemoteHandshaker {
    let uri = match address.starts_with("unix:") {
        true => address.to_owned(),
        false => format!("http://{address}"),
    };
    RemoteHandshaker::builder(uri).build().unwrap()
}

pub(crate) type Session = Box<dyn HandshakeSession>;

pub(crate) fn start(handshaker: &impl Handshaker, role: Role) -> Session {
    handshaker.start(role, &HandshakeOptions::default()).unwrap()
}

pub(crate) async fn step(session: &mut Session, received: &[u8]) -> Result<(Step, Vec<u8>), Error> {
    let mut out = Vec::new();
    let step = poll_fn(|cx| session.poll_step(cx, received, SystemTime::now(), &mut out)).await?;
    Ok((step, out))
}

/// A handshake that has come half way: both sides have been asked once.
pub(crate) struct HalfWay {
    client: Session,
    server: Session,
    answer: Vec<u8>,
}

impl HalfWay {
    pub(crate) async fn reach(
        clients: &impl Handshaker,
        servers: &impl Handshaker,
    ) -> Result<Self, Error> {
        let (mut client, mut server) = (start(clients, Role::Client), start(servers, Role::Server));
        let (_, offer) = step(&mut client, &[]).await?;
        let (_, answer) = step(&mut server, &offer).await?;
        Ok(Self { client, server, answer })
    }

    /// The client's result and the server's, which agree.
    pub(crate) async fn finish(mut self) -> Result<(HandshakeResult, HandshakeResult), Error> {
        let (client, finish) = step(&mut self.client, &self.answer).await?;
        let (server, _) = step(&mut self.server, &finish).await?;
        let (client, server) = (client.result.unwrap(), server.result.unwrap());
        assert_eq!(client.key_data, server.key_data);
        Ok((client, server))
    }
}

/// A whole handshake of two sessions.
pub(crate) async fn handshake(
    clients: &impl Handshaker,
    servers: &impl Handshaker,
) -> Result<(HandshakeResult, HandshakeResult), Error> {
    HalfWay::reach(clients, servers).await?.finish().await
}

/// The user who runs these tests.
pub(crate) fn own_uid() -> u32 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid()
}

pub(crate) fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Waits until something is so. What never comes to pass ends with the test's patience, not with a guess about time.
pub(crate) async fn eventually(mut so: impl FnMut() -> bool) {
    while !so() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
