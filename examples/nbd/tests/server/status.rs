//! What an operator sees of the command, and tells it.

#![cfg(all(target_os = "linux", feature = "cli"))]

use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::request::Command;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use super::crash::{Killed, serve};
use super::identities::Identities;
use super::raw::Client;

impl Killed {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The answer to a request for that path, head and all.
    async fn get(&self, path: &str) -> String {
        let address = self.ready.split_once(" status=").unwrap().1;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let answer = self.get("/metrics").await;
        let line = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in {answer}")).parse().unwrap()
    }
}

#[tokio::test]
async fn status_shows_what_was_done_and_that_it_drains() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listen = format!("--listen=unix:{}", socket.display());
    let mut server = serve(&[&listen, "--export=disk=memory:8M", "--status=127.0.0.1:0"]);
    let mut client = Client::over(UnixStream::connect(&socket).await.unwrap()).await;
    client.write(CommandFlags::NONE, 0, &vec![1; 100_000]).await;
    client.read(0, 70_000).await;
    client.read(0, 10).await;
    // What was read is counted when it has been sent, and before the next answer.
    client.call(Command::Flush, CommandFlags::NONE, 0, 0).await;
    assert_eq!(server.metric("alts_nbd_written_bytes_total").await, 100_000);
    assert_eq!(server.metric("alts_nbd_read_bytes_total").await, 70_010);
    assert_eq!(server.metric("alts_nbd_requests_total{command=\"read\"}").await, 2);
    assert_eq!(server.metric("alts_nbd_connections_open").await, 1);
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200"));
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200"));
    assert!(server.get("/").await.starts_with("HTTP/1.1 404"));

    server.signal(Signal::TERM);
    while !server.get("/readyz").await.starts_with("HTTP/1.1 503") {}
    let refused = client.call(Command::Flush, CommandFlags::NONE, 0, 0).await;
    assert!(refused.code().is_some());
    assert_eq!(server.metric("alts_nbd_errors_total").await, 1);
    client.disconnect().await;
    let status = tokio::task::spawn_blocking(move || server.child.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn sighup_has_the_identity_read_again() {
    let identities = Identities::new();
    let server = identities.serve(&[
        &format!("--listen-alts=unix:{}", identities.path("socket").display()),
        "--export=disk=memory:8M",
        "--status=127.0.0.1:0",
        "--reload-interval=24h",
    ]);
    assert_eq!(server.metric("alts_nbd_identity_reloads_total").await, 0);
    identities.replace("other");
    server.signal(Signal::HUP);
    while server.metric("alts_nbd_identity_reloads_total").await == 0 {}
    assert!(server.metric("alts_nbd_identity_expiry_timestamp_seconds").await > 0);
    assert_eq!(server.metric("alts_nbd_identity_reload_failures_total").await, 0);
}
