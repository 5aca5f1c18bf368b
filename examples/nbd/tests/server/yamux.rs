//! The command and its clients over yamux: several NBD connections in one.

#![cfg(all(target_os = "linux", feature = "cli"))]

use std::path::Path;
use std::process::Command as Process;

use alts_nbd::client::Dialer;
use alts_nbd::wire::flags::CommandFlags;

use super::crash::serve;
use super::identities::Identities;
use super::raw::{MIB, pattern};

fn uri(scheme: &str, socket: &Path, export: &str) -> String {
    format!("{scheme}:///{export}?socket={}&yamux=1", socket.display())
}

/// Three clients at a time write and read, where the server has room for a single connection.
async fn assert_shared(dialer: &Dialer) {
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(dialer.connect().await.unwrap());
    }
    for (at, client) in clients.iter().enumerate() {
        let data = pattern(at, MIB);
        client.write_from((at * MIB) as u64, &data, CommandFlags::NONE).await.unwrap();
    }
    for (at, client) in clients.iter().enumerate() {
        let mut back = vec![0; MIB];
        // Which another one has written.
        let other = (at + 1) % clients.len();
        client.read_into((other * MIB) as u64, &mut back).await.unwrap();
        assert!(back == pattern(other, MIB));
    }
    for client in clients {
        client.disconnect().await.unwrap();
    }
}

#[tokio::test]
async fn clients_share_a_connection() {
    let identities = Identities::new();
    let (plain, secured) = (identities.path("plain"), identities.path("secured"));
    let _server = identities.serve(&[
        &format!("--listen-yamux=unix:{}", plain.display()),
        &format!("--listen-alts-yamux=unix:{}", secured.display()),
        "--export=disk=memory:8M",
        "--export=secret=memory:8M,allow=spiffe://dev.local/friend",
        "--max-connections=1",
    ]);
    let dialer = Dialer::new(uri("nbd+unix", &plain, "disk").parse().unwrap());
    assert_shared(&dialer).await;
    // The connection is kept for the next client, until the dialer is gone.
    assert_shared(&dialer).await;
    drop(dialer);

    for (who, sees) in [("friend", true), ("stranger", false)] {
        let dialer = Dialer::new(uri("nbd+alts+unix", &secured, "secret").parse().unwrap());
        let dialer = dialer.alts(identities.connector(who));
        match sees {
            true => assert_shared(&dialer).await,
            false => assert!(dialer.connect().await.is_err()),
        }
    }
}

#[tokio::test]
async fn a_connection_that_broke_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("socket");
    let listen = format!("--listen-yamux=unix:{}", socket.display());
    let server = serve(&[&listen, "--export=disk=memory:8M"]);
    let dialer = Dialer::new(uri("nbd+unix", &socket, "disk").parse().unwrap());
    assert_shared(&dialer).await;
    drop(server);
    let _server = serve(&[&listen, "--export=disk=memory:8M"]);
    assert_shared(&dialer).await;
}

#[tokio::test]
async fn connections_of_a_copy_share_one() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, image) = (directory.path().join("socket"), directory.path().join("image"));
    std::fs::write(&image, pattern(5, 4 * MIB)).unwrap();
    let listen = format!("--listen-yamux=unix:{}", socket.display());
    let _server = serve(&[&listen, "--export=disk=memory:4M", "--max-connections=1"]);
    let back = directory.path().join("back");
    let disk = uri("nbd+unix", &socket, "disk");
    for (source, destination) in
        [(image.to_str().unwrap(), &*disk), (&*disk, back.to_str().unwrap())]
    {
        let mut copy = Process::new(env!("CARGO_BIN_EXE_alts-nbd"));
        copy.args(["copy", source, destination, "--progress=false"]);
        let copied = tokio::task::spawn_blocking(move || copy.status()).await.unwrap().unwrap();
        assert!(copied.success(), "{copied}");
    }
    assert!(std::fs::read(back).unwrap() == pattern(5, 4 * MIB));
}
