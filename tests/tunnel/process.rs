//! Processes under test, and identities for them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, SystemTime};

use alts::handshaker::dev_ca::DevCa;
use tempfile::TempDir;

/// Long enough for any machine; only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// An authority, and files of identities that it issued.
pub(crate) struct Files {
    pub(crate) directory: TempDir,
    pub(crate) ca: DevCa,
}

impl Files {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = Self { directory, ca: DevCa::new(SystemTime::now()).unwrap() };
        files.issue("server");
        files.issue("client");
        files
    }

    /// Writes a new certificate for `spiffe://dev.local/NAME`.
    pub(crate) fn issue(&self, name: &str) {
        let issued = self.ca.issue(&format!("spiffe://dev.local/{name}"), SystemTime::now());
        issued.unwrap().save(&self.path(name)).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `unix:` and a path.
    pub(crate) fn socket(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }

    /// The flags of an identity.
    pub(crate) fn identity(&self, name: &str) -> Vec<String> {
        let path = |file: &str| self.path(name).join(file).display().to_string();
        [
            "--dev".to_owned(),
            "--cert".to_owned(),
            path("chain.pem"),
            "--key".to_owned(),
            path("key.pem"),
            "--bundle".to_owned(),
            format!("dev.local={}", path("bundle.pem")),
        ]
        .into()
    }

    pub(crate) fn server(&self, target: &str, more: &[&str]) -> Running {
        let mut arguments = vec!["tunnel", "server", "--listen", "127.0.0.1:0", "--target", target];
        arguments.extend(["--allow", "spiffe://dev.local/client"]);
        arguments.extend(more);
        Running::start(&arguments, &self.identity("server"), self)
    }

    pub(crate) fn client(&self, target: &str, more: &[&str]) -> Running {
        let mut arguments = vec!["tunnel", "client", "--listen", "127.0.0.1:0", "--target", target];
        arguments.extend(["--server", "spiffe://dev.local/server"]);
        arguments.extend(more);
        Running::start(&arguments, &self.identity("client"), self)
    }
}

/// The program with these arguments.
pub(crate) fn alts(arguments: &[&str], identity: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alts"));
    command.args(arguments).args(identity).stdin(Stdio::null());
    command
}

/// Runs the program to its end.
pub(crate) fn run(arguments: &[&str], identity: &[String]) -> Output {
    alts(arguments, identity).output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A program that serves. It is killed at the end of the test.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    /// Where it listens.
    pub(crate) listen: Vec<String>,
    pub(crate) status: Option<String>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str], identity: &[String], files: &Files) -> Self {
        Self::start_command(alts(arguments, identity), files)
    }

    pub(crate) fn start_command(mut command: Command, files: &Files) -> Self {
        let (log, path) =
            tempfile::NamedTempFile::new_in(files.directory.path()).unwrap().keep().unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::from(log)).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let of = |key: &str| {
            let words = ready.split_whitespace().filter_map(|word| word.strip_prefix(key));
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let running = Self { listen: of("listen="), status: of("status=").pop(), child, log: path };
        assert!(ready.starts_with("ready"), "{ready:?}: {}", running.log());
        running
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log has `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        wait_until(|| self.log().contains(text), || format!("no {text:?} in:\n{}", self.log()));
    }

    pub(crate) fn address(&self) -> &str {
        &self.listen[0]
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// What the status address answers.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.status.as_ref().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The value of a metric, with its labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics");
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    pub(crate) fn wait_for_metric(&self, name: &str, value: f64) {
        let reached = || (self.metric(name) - value).abs() < 0.1;
        wait_until(reached, || format!("{name} is {} and not {value}", self.metric(name)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for something that is bound to happen.
pub(crate) fn wait_until(reached: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let start = std::time::Instant::now();
    while !reached() {
        assert!(start.elapsed() < PATIENCE, "{}", otherwise());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A server without any security, one thread a connection.
pub(crate) struct Plain {
    pub(crate) address: String,
    /// How many connections it got.
    accepted: std::sync::Arc<std::sync::atomic::AtomicUsize>,
}

impl Plain {
    pub(crate) fn serve(each: impl Fn(TcpStream) + Clone + Send + 'static) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let accepted = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
        let counter = std::sync::Arc::clone(&accepted);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let (each, stream) = (each.clone(), stream.unwrap());
                std::thread::spawn(move || each(stream));
            }
        });
        Self { address, accepted }
    }

    /// Sends back what it gets, and ends when the client does.
    pub(crate) fn echo() -> Self {
        Self::serve(|stream| {
            let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
            // Clients of tests may vanish.
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    }

    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Makes a file.
pub(crate) fn write(path: &Path, text: &str) {
    File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}
