//! The command over ALTS: a client's identity decides what it sees.

#![cfg(all(target_os = "linux", feature = "cli"))]

use std::path::Path;
use std::time::{Duration, SystemTime};

use alts::Connector;
use alts::handshaker::resumption::rotate_key_file;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::option::{encode_info_request, number};
use alts_nbd::wire::option_reply::{OptionError, ReplyType, decode_server};
use tokio::net::UnixStream;

use super::identities::Identities;
use super::raw::{Client, MIB, pattern};

/// A plain connection to the other end of a secured one.
async fn bridge(socket: &Path, connector: &Connector) -> UnixStream {
    let stream = UnixStream::connect(socket).await.unwrap();
    let mut secured = connector.connect(stream).await.unwrap();
    let (near, mut far) = UnixStream::pair().unwrap();
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut secured).await });
    near
}

fn listed(replies: &[(ReplyType, Vec<u8>)]) -> Vec<&str> {
    let servers = replies.iter().filter(|(reply, _)| *reply == ReplyType::Server);
    servers.map(|(_, data)| decode_server(data).unwrap().0).collect()
}

#[tokio::test]
async fn an_identity_decides_which_exports_a_client_sees() {
    let identities = Identities::new();
    let (plain, secured) = (identities.path("plain"), identities.path("secured"));
    let _server = identities.serve(&[
        &format!("--listen=unix:{}", plain.display()),
        &format!("--listen-alts=unix:{}", secured.display()),
        "--export=disk=memory:8M",
        "--export=secret=memory:8M,allow=spiffe://dev.local/friend",
        "--deny=spiffe://dev.local/enemy",
    ]);
    let ask = async |stream| {
        let mut client = Client::greeted_over(stream).await;
        let names = client.option(number::LIST, b"").await;
        let hidden = client.option(number::INFO, &encode_info_request("secret", &[])).await;
        (listed(&names).join(" "), hidden.last().unwrap().0)
    };
    let unknown = ReplyType::Error(OptionError::UnknownExport);
    let one = |text: &str| text.to_owned();
    let anybody = UnixStream::connect(&plain).await.unwrap();
    assert_eq!(ask(anybody).await, (one("disk"), unknown));
    let stranger = bridge(&secured, &identities.connector("stranger")).await;
    assert_eq!(ask(stranger).await, (one("disk"), unknown));
    let friend = bridge(&secured, &identities.connector("friend")).await;
    assert_eq!(ask(friend).await, (one("disk secret"), ReplyType::Ack));

    // An enemy may finish its side of the handshake, but nothing ever comes.
    let stream = UnixStream::connect(&secured).await.unwrap();
    if let Ok(mut stream) = identities.connector("enemy").connect(stream).await {
        let mut byte = [0];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut byte).await;
        assert!(!matches!(read, Ok(1..)), "{read:?}");
    }

    // And it works in bulk.
    let mut client = Client::over(bridge(&secured, &identities.connector("friend")).await).await;
    let data = pattern(5, 5 * MIB + 7);
    assert_eq!(client.write(CommandFlags::FUA, 77, &data).await.code(), None);
    assert!(client.read(77, data.len()).await == data);
    let mut other = Client::over(UnixStream::connect(&plain).await.unwrap()).await;
    assert!(other.read(77, data.len()).await == data, "the same export, in plaintext");
    other.disconnect().await;
    client.disconnect().await;
}

/// Who resumes is who it was, and sees what it may see.
#[tokio::test]
async fn clients_that_come_again_resume() {
    let identities = Identities::new();
    let (secured, keys) = (identities.path("secured"), identities.path("ticket-keys"));
    rotate_key_file(&keys, Duration::from_secs(3_600), SystemTime::now()).unwrap();
    let server = identities.serve(&[
        &format!("--listen-alts=unix:{}", secured.display()),
        "--export=secret=memory:8M,allow=spiffe://dev.local/friend",
        "--status=127.0.0.1:0",
        &format!("--ticket-keys={}", keys.display()),
    ]);
    let accepted = "alts_nbd_alts_tickets_accepted_total{role=\"server\"}";
    for (name, sees) in [("friend", "secret"), ("stranger", "")] {
        let connector = identities.resuming(name);
        let before = server.metric(accepted).await;
        for resumed in 0..3 {
            let mut client = Client::greeted_over(bridge(&secured, &connector).await).await;
            assert_eq!(listed(&client.option(number::LIST, b"").await).join(" "), sees);
            assert_eq!(server.metric(accepted).await - before, resumed);
        }
    }
}
