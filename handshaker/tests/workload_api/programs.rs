//! `alts-handshaker serve --workload-api`.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use alts_handshaker::{HandshakeOptions, Handshaker, RemoteHandshaker, Role};

use crate::agent::{Agent, now};
use crate::authority::{Authority, CART, answer};

const PROGRAM: &str = env!("CARGO_BIN_EXE_alts-handshaker");

struct Daemon(Child, String);

impl Daemon {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ready listen=").expect("it is ready").to_owned();
        Self(child, address)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve() -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", "127.0.0.1:0", "--allow-server", "own-trust-domain"]);
    command.env_remove("SPIFFE_ENDPOINT_SOCKET");
    command
}

/// The name under which a daemon makes handshakes.
async fn own_name(daemon: &Daemon) -> String {
    let remote = RemoteHandshaker::builder(format!("http://{}", daemon.1)).build().unwrap();
    let start = |role| remote.start(role, &HandshakeOptions::default()).unwrap();
    let (mut client, mut server) = (start(Role::Client), start(Role::Server));
    let (mut received, mut to_server) = (Vec::new(), true);
    loop {
        let session = if to_server { &mut client } else { &mut server };
        let mut out = Vec::new();
        let step = std::future::poll_fn(|cx| session.poll_step(cx, &received, now(), &mut out));
        let step = step.await.unwrap();
        if let (Some(result), false) = (step.result, to_server) {
            return result.local;
        }
        (received, to_server) = (out, !to_server);
    }
}

#[tokio::test]
async fn the_daemon_has_its_identity_from_the_agent() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    let mut svid = home.svid(CART);
    svid.hint = "us".to_owned();
    agent.say(answer([home.svid("spiffe://example.org/first"), svid]));
    let given = Daemon::start(serve().args(["--workload-api", &agent.address(), "--svid", "us"]));
    assert_eq!(own_name(&given).await, CART);
    let environment = ("SPIFFE_ENDPOINT_SOCKET", agent.address());
    let found = Daemon::start(serve().arg("--workload-api").env(environment.0, environment.1));
    assert_eq!(own_name(&found).await, "spiffe://example.org/first");
}

fn refusal(more: &[&str]) -> String {
    let Output { status, stderr, .. } = serve().args(more).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[test]
fn what_does_not_go_together_is_said() {
    let said = refusal(&["--workload-api"]);
    assert!(said.contains("SPIFFE_ENDPOINT_SOCKET"), "{said}");
    let said = refusal(&["--workload-api", "tcp://localhost:1"]);
    assert!(said.contains("not an IP address"), "{said}");
    for more in [
        &["--cert", "a", "--key", "b"][..],
        &["--bundle", "example.org=a"],
        &["--crl", "example.org=a"],
        &["--identity-for-uid", "1=a"],
    ] {
        let said = refusal(&[&["--workload-api", "unix:///a"], more].concat());
        assert!(said.contains("cannot be used with"), "{more:?}: {said}");
    }
    let said = refusal(&["--svid", "us", "--identity-for-uid", "1=a", "--bundle", "a=a"]);
    assert!(said.contains("cannot be used with"), "{said}");
}
