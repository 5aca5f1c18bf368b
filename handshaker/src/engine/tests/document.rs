//! `PROTOCOL.md` says what the code does, and knows the answers.

use ring::digest;

use crate::alert::AlertCode;
use crate::engine::alert::Alerts;
use crate::engine::frame::{Frame, Header};
use crate::engine::protocol::{self, FrameKind, Stage, Transcript};
use crate::error::Error;
use crate::role::Role;
use crate::session::RecordProtocol;

const DOCUMENT: &str = include_str!("../../../PROTOCOL.md");

/// The cells of all table rows between the heading `from` and the next heading of the same level or above.
pub(super) fn rows(from: &str) -> impl Iterator<Item = Vec<String>> {
    let at = DOCUMENT.find(&format!("\n{from}")).unwrap_or_else(|| panic!("no heading {from}"));
    let text = &DOCUMENT[at + 1..];
    let level = from.split(' ').next().unwrap_or_default();
    let end = text[1..].match_indices("\n#").map(|(at, _)| at + 1).find(|&at| {
        let found = text[at + 1..].split(' ').next().unwrap_or_default();
        found.len() <= level.len()
    });
    text[..end.unwrap_or(text.len())]
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("| ---"))
        .map(|line| {
            let cells = line.trim_matches('|').split(" | ");
            cells.map(|cell| cell.trim().replace('`', "")).collect()
        })
}

/// A value of the appendix.
pub(in crate::engine) fn known(name: &str) -> Vec<u8> {
    let row = rows("## Appendix").find(|row| row[0] == name);
    unhex(&row.unwrap_or_else(|| panic!("no known answer {name}"))[1])
}

pub(in crate::engine) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

pub(in crate::engine) fn hash(text: &str) -> protocol::Hash {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().unwrap()
}

#[test]
fn frames() {
    let kinds = FrameKind::ALL;
    let rows: Vec<_> = rows("## 4. ").filter(|row| row[0].starts_with("0x")).collect();
    assert_eq!(rows.len(), kinds.len());
    for (row, kind) in rows.iter().zip(kinds) {
        assert_eq!(row[0], format!("{:#010X}", kind as u32).replace("0X", "0x"));
        assert_eq!(row[1], format!("{kind:?}"));
        assert_eq!(row[3].replace(',', ""), kind.max_len().to_string());
    }
}

#[test]
fn transcript() {
    let items = [
        ("client_init", "ClientInit frame"),
        ("server_init", "ServerInit frame"),
        (
            "server_statement",
            "ServerFinished.params ‖ ServerFinished.chain ‖ ServerFinished.sig_alg",
        ),
        ("server_signature", "ServerFinished.signature"),
        ("server_mac", "ServerFinished.mac"),
        (
            "client_statement",
            "ClientFinished.params ‖ ClientFinished.chain ‖ ClientFinished.sig_alg",
        ),
        ("client_signature", "ClientFinished.signature"),
        ("client_mac", "ClientFinished.mac"),
    ];
    let rows: Vec<_> = rows("## 7. ").skip(1).collect();
    assert_eq!(rows.len(), items.len());
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row[0], n.to_string());
        assert_eq!((protocol::TRANSCRIPT[n].0, &*row[1]), items[n]);
        assert_eq!(protocol::TRANSCRIPT[n].1, format!("Th{n}"));
        assert!(n == 0 || row[2] == format!("TH{n}"));
    }
}

#[test]
fn labels() {
    let label = |value: &str| rows("## 8. ").find(|row| row[0] == value).unwrap()[2].clone();
    assert_eq!(label("derived_early"), protocol::LABEL_DERIVED);
    assert_eq!(label("derived_hs"), protocol::LABEL_DERIVED);
    assert_eq!(label("s_hs"), protocol::label_handshake(Role::Server));
    assert_eq!(label("c_hs"), protocol::label_handshake(Role::Client));
    assert_eq!(label("message_key"), protocol::LABEL_KEY);
    assert_eq!(label("message_nonce"), protocol::LABEL_IV);
    assert_eq!(label("alert_key"), protocol::LABEL_ALERT_KEY);
    assert_eq!(label("alert_nonce"), protocol::LABEL_ALERT_IV);
    assert_eq!(label("finished_key"), protocol::LABEL_FINISHED);
    assert_eq!(label("log_id"), protocol::LABEL_LOG_ID);
    assert_eq!(label("binder_secret"), protocol::LABEL_BINDER);
    assert_eq!(label("binder_key"), protocol::LABEL_FINISHED);
    assert_eq!(label("ticket_key"), protocol::LABEL_TICKET_KEY);
    assert_eq!(label("ticket_iv"), protocol::LABEL_TICKET_IV);
    assert_eq!(label("psk of a Ticket frame"), protocol::LABEL_RESUMPTION);
    assert_eq!(label("psk of a ServerFinished"), protocol::LABEL_NEXT_RESUMPTION);
    let record = protocol::label_record;
    assert_eq!(label("key_data (REKEY)"), record(RecordProtocol::Aes128GcmRekey));
    assert_eq!(label("key_data (plain)"), record(RecordProtocol::Aes128Gcm));
    for protocol in [RecordProtocol::Aes128GcmRekey, RecordProtocol::Aes128Gcm] {
        assert_eq!(record(protocol), format!("rec {}", protocol.name()));
    }

    let context = |role: &str| rows("## 10. ").find(|row| row[0] == role).unwrap()[1].clone();
    assert_eq!(context("server"), protocol::signature_context(Role::Server));
    assert_eq!(context("client"), protocol::signature_context(Role::Client));
}

#[test]
fn alert_codes() {
    let rows: Vec<_> = rows("### 13.4 ").skip(1).collect();
    assert_eq!(rows.len(), 21);
    for row in rows {
        assert_eq!(AlertCode::from_number(row[0].parse().unwrap()).name(), row[1]);
    }
}

#[test]
fn th1_is_over_whole_frames() {
    let transcript = Transcript::new()
        .client_init(&known("ClientInit frame"))
        .server_init(&known("ServerInit frame"));
    assert_eq!(transcript.hash(), *known("TH1"));
}

#[test]
fn alerts_in_plaintext() {
    let mut out = Vec::new();
    Alerts::clear().send(AlertCode::NoCommonSuite, &mut out);
    assert_eq!(out, known("Alert frame, code 4"));
    out.clear();
    Alerts::clear().send(AlertCode::NoIdentity, &mut out);
    assert_eq!(out, known("Alert frame, code 20"));
}

#[test]
fn sealed_alerts() {
    let secrets = crate::engine::schedule::known_secrets();
    let sealed = known("SealedAlert frame from the server, code 11");
    let mut out = Vec::new();
    Alerts::sealed(Role::Server, &secrets).send(AlertCode::AccessDenied, &mut out);
    assert_eq!(out, sealed);
    let header = Header::load(*sealed.first_chunk().unwrap()).unwrap();
    assert_eq!(
        Alerts::sealed(Role::Client, &secrets).receive(&mut Frame::new(header.kind, sealed)),
        Error::Alert { code: AlertCode::AccessDenied, reason: String::new(), sealed: true }
    );
}
