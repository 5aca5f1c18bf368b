//! What clients have sent once is sent to this server, which has to answer what was answered then: where the protocol leaves no
//! choice, and where the server is nbdkit, whose choices are the same.

use std::sync::Arc;

use alts_nbd::backend::{Backend, MemoryBackend};
use alts_nbd::export::{Export, Exports};
use alts_nbd::negotiation::{Admission, Negotiation, Next, TlsMode};
use alts_nbd::server::{Server, Settings};
use alts_nbd::wire::option::{OptionHeader, number};
use alts_nbd::wire::option_reply::{Info, ReplyType, decode_context, decode_server};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::captured::{Session, Side, sessions};
use super::transcript::Transcript;

/// What this server does not do, or what is about more than this server has.
const LEFT_OUT: [(&str, &str); 4] = [
    ("qemunbdL", "extended headers were agreed on, which are experimental"),
    ("qemu-errors", "two contexts, one of them qemu's own"),
    ("tls-missing", "needs TLS: see the other test"),
    ("tls-missing-qemu", "needs TLS: see the other test"),
];

#[tokio::test]
async fn the_answers_are_those_of_the_others() {
    let mut replayed = 0;
    for session in sessions() {
        if LEFT_OUT.iter().any(|(name, _)| *name == session.name) {
            continue;
        }
        let client = session.sent_by(Side::Client);
        let expected = Transcript::new(&client, &session.sent_by(Side::Server));
        let ours = Transcript::new(&client, &exchange(&session, &expected).await);
        compare(&session, &ours, &expected);
        replayed += 1;
    }
    assert_eq!(replayed, 28 - LEFT_OUT.len());
}

/// Sends all that the client had sent, and returns all that this server sends.
async fn exchange(session: &Session, expected: &Transcript) -> Vec<u8> {
    let backend = MemoryBackend::new(size_of_export(expected));
    if backend.size() == 131_072 {
        // So it was in all of these, whether they read it or not.
        backend.write(0, b"hello").expect("it lies in the export");
    }
    // What was read then was there; what was read first counts.
    for (request, answer) in expected.requests.iter().rev() {
        for (at, data) in (request.offset..).step_by(512).zip(answer.data.chunks(512)) {
            if data.iter().any(|&byte| byte != 0) {
                backend.write(at, data).expect("it lies in the export");
            }
        }
    }
    let qemu = session.name.contains("qemu") && !session.name.starts_with("qemu")
        || ["nbdinfo-bad", "nbdclient-l", "nbdclient"].contains(&session.name);
    let export = Export::new(if qemu { "disk" } else { "" }, Arc::new(backend)).expect("valid");
    let export = export.description(if qemu { "a test" } else { "" }).expect("valid");
    let mut exports = Exports::new();
    exports.add(export).expect("the first");

    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    let serving =
        tokio::spawn(async move { Server::new(Settings::default()).serve(far, exports).await });
    let (mut reader, mut writer) = near.into_split();
    let sent = session.sent_by(Side::Client);
    let sending = tokio::spawn(async move {
        writer.write_all(&sent).await.expect("the server reads");
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.expect("the server ends it");
    sending.await.expect("all is sent");
    serving.await.expect("no panic").expect("a good end");
    received
}

fn size_of_export(expected: &Transcript) -> u64 {
    for (number, replies) in &expected.options {
        for (reply, data) in replies {
            if *number == number::EXPORT_NAME {
                return u64::from_be_bytes(data[..8].try_into().expect("8 of 8"));
            }
            if *reply == ReplyType::Info
                && let Ok(Info::Export(export)) = Info::decode(data)
            {
                return export.size;
            }
        }
    }
    131_072
}

fn compare(session: &Session, ours: &Transcript, expected: &Transcript) {
    let name = session.name;
    for ((number, ours), (_, theirs)) in ours.options.iter().zip(&expected.options) {
        assert_eq!(ours.last().map(|last| last.0), theirs.last().map(|last| last.0), "{name}");
        for (reply, data) in theirs {
            let counterpart = ours.iter().any(|(_, our)| our == data);
            match reply {
                ReplyType::Server => {
                    let theirs = decode_server(data).expect("an export").0;
                    let same = |our: &&(ReplyType, Vec<u8>)| {
                        decode_server(&our.1).is_ok_and(|(name, _)| name == theirs)
                    };
                    assert!(ours.iter().find(same).is_some(), "{name}: {theirs:?}");
                }
                // What is said of the export is the same, byte for byte, but for an empty name.
                // What a client has not asked for may be left out, except for size and flags.
                ReplyType::Info if data.len() > 2 => {
                    let kind = &data[..2];
                    let said = ours.iter().any(|(_, our)| our.starts_with(kind));
                    assert!(counterpart || !said && kind != [0, 0], "{name}: {data:?}");
                }
                // Ids are anybody's choice.
                ReplyType::MetaContext => {
                    let theirs = decode_context(data).expect("a context").1;
                    let same = |our: &&(ReplyType, Vec<u8>)| {
                        decode_context(&our.1).is_ok_and(|(_, name)| name == theirs)
                    };
                    assert!(ours.iter().find(same).is_some(), "{name}: {number} {theirs:?}");
                }
                _ => {}
            }
        }
    }
    assert_eq!(ours.options.len(), expected.options.len());
    for ((request, ours), (_, theirs)) in ours.requests.iter().zip(&expected.requests) {
        // Nothing is specified for these.
        if request.len == 0 && request.command.code() != 3 {
            continue;
        }
        assert_eq!(ours.error, theirs.error, "{name}: {request:?}");
        assert!(ours.data == theirs.data, "{name}: {request:?}");
        assert_eq!(ours.extents, theirs.extents, "{name}: {request:?}");
    }
}

#[test]
fn a_server_that_insists_on_tls_answers_as_the_others() {
    let mut exports = Exports::new();
    exports
        .add(Export::new("", Arc::new(MemoryBackend::new(1 << 20))).expect("valid"))
        .expect("one");
    for session in sessions().iter().filter(|session| session.name.starts_with("tls-missing")) {
        let client = session.sent_by(Side::Client);
        let expected = Transcript::new(&client, &session.sent_by(Side::Server));
        let mut negotiation = Negotiation::new(&exports, TlsMode::Required);
        let mut received = Negotiation::hello().to_vec();
        negotiation.client_flags(client[..4].try_into().expect("4 of 4")).expect("known flags");
        let mut rest = &client[4..];
        while let Some((header, behind)) = rest.split_first_chunk() {
            let header = OptionHeader::decode(header).expect("an option");
            let (data, behind) = behind.split_at(header.len as usize);
            rest = behind;
            let admitted = negotiation.admit(header, &mut received);
            assert_eq!(admitted, Ok(Admission::Read));
            let next = negotiation.option(header.number, data, false, &mut received);
            let ends = matches!(next, Ok(Next::Close));
            assert_eq!(ends, header.number == number::ABORT, "{}", session.name);
        }
        let ours = Transcript::new(&client, &received);
        compare(session, &ours, &expected);
    }
}
