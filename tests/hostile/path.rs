//! Somebody between the two sides: after the handshake everything is collected, changed, and only then passed on.

use alts::handshaker::Role;
use alts::pool::BufferPool;
use alts::record::RecordError;
use alts::{AltsStream, Error, Fault, Truncation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::by_hand::take_records;
use crate::support::{Parties, assert_nothing_out, settings, tcp_sockets};
use crate::{read_until_error, two_pools};

/// What the victim's peer has sent: three records with these texts.
const TEXTS: [&[u8]; 3] = [b"one", b"two", b"three"];

/// The sides, with somebody in between.
struct Tapped {
    /// Reads what was changed.
    victim: AltsStream<TcpStream>,
    /// Sent the texts.
    peer: AltsStream<TcpStream>,
    /// The somebody's socket towards the victim.
    towards: TcpStream,
    /// The records of the texts, as they were.
    records: Vec<Vec<u8>>,
    /// A record that the victim itself has sent.
    reflected: Vec<u8>,
    pools: [BufferPool; 2],
}

/// Copies a handshake through, which is over when both sides say so.
async fn tapped(parties: &Parties, victim: Role, close_notify: bool) -> Tapped {
    let pools = two_pools();
    let (near, mut near_tap) = tcp_sockets().await;
    let (mut far_tap, far) = tcp_sockets().await;
    let settings = pools
        .each_ref()
        .map(|pool| settings(pool, |settings| settings.handshake.close_notify = close_notify));
    let [client_settings, server_settings] = settings;
    let connector = parties.connector(client_settings);
    let acceptor = parties.acceptor(server_settings);
    let both = async { tokio::join!(connector.connect(near), acceptor.accept(far)) };
    let (client, server) = tokio::select! {
        both = both => both,
        copied = tokio::io::copy_bidirectional(&mut near_tap, &mut far_tap) => {
            panic!("a side closed: {copied:?}")
        }
    };
    let (client, server) = (client.unwrap(), server.unwrap());
    let (mut victim, mut peer, towards, mut from_peer) = match victim {
        Role::Server => (server, client, far_tap, near_tap),
        Role::Client => (client, server, near_tap, far_tap),
    };
    let mut towards = towards;
    let records = collect(&mut peer, &TEXTS, &mut from_peer).await;
    let reflected = collect(&mut victim, &[b"one"], &mut towards).await.remove(0);
    // What the victim sends from here on goes nowhere.
    Tapped { victim, peer, towards, records, reflected, pools }
}

async fn collect(
    sender: &mut AltsStream<TcpStream>,
    texts: &[&[u8]],
    tap: &mut TcpStream,
) -> Vec<Vec<u8>> {
    let (mut bytes, mut records) = (Vec::new(), Vec::new());
    for text in texts {
        sender.write_all(text).await.unwrap();
        sender.flush().await.unwrap();
        while records.len() < texts.len() {
            let found = take_records(&mut bytes);
            if !found.is_empty() {
                records.extend(found);
                break;
            }
            assert_ne!(tap.read_buf(&mut bytes).await.unwrap(), 0);
        }
    }
    assert_eq!((records.len(), bytes), (texts.len(), Vec::new()));
    records
}

/// Passes on what `change` makes of the records, then the end, to either side. The victim must read `good` of the texts, and then
/// see `error`, or a clean end.
async fn check(
    parties: &Parties,
    what: &str,
    close_notify: bool,
    change: impl Fn(&Tapped) -> Vec<u8>,
    good: usize,
    error: impl Into<Option<Error>>,
) {
    let error = error.into();
    for role in [Role::Client, Role::Server] {
        let mut tapped = tapped(parties, role, close_notify).await;
        let changed = change(&tapped);
        tapped.towards.write_all(&changed).await.unwrap();
        tapped.towards.shutdown().await.unwrap();
        let (received, found) = read_until_error(&mut tapped.victim).await;
        assert_eq!(received, TEXTS[..good].concat(), "{what}, {role:?}");
        assert_eq!(found, error, "{what}, {role:?}");
        assert!(!tapped.victim.peer_closed_authenticated());
        if let Some(error) = found {
            assert_eq!(error.fault(), Fault::Peer);
        }
        drop((tapped.victim, tapped.peer));
        tapped.pools.iter().for_each(assert_nothing_out);
    }
}

fn truncated(at: Truncation) -> Error {
    Error::Truncated { at }
}

fn refused(error: RecordError) -> Error {
    Error::Record(error)
}

#[tokio::test]
async fn an_end_that_the_peer_did_not_announce() {
    let parties = Parties::new();
    for good in 0..=3 {
        let all = |tapped: &Tapped| tapped.records[..good].concat();
        let missing = truncated(Truncation::MissingClose);
        check(&parties, "announcing was agreed on", true, all, good, missing).await;
        check(&parties, "nothing was agreed on", false, all, good, None).await;
    }
}

#[tokio::test]
async fn an_end_within_a_record() {
    let parties = Parties::new();
    for close_notify in [true, false] {
        for len in [1, 3, 4, 5, 7, 8, 9, 20, 26] {
            let cut =
                |tapped: &Tapped| [&tapped.records[0][..], &tapped.records[1][..len]].concat();
            let error = truncated(Truncation::Record);
            check(&parties, &format!("{len} bytes"), close_notify, cut, 1, error).await;
        }
    }
}

#[tokio::test]
async fn lengths_and_types_that_cannot_be() {
    let parties = Parties::new();
    let header = |length: u32, kind: u32| {
        move |tapped: &Tapped| {
            let header = [length.to_le_bytes(), kind.to_le_bytes()].concat();
            [&tapped.records[0][..], &header, &tapped.records[1][8..]].concat()
        }
    };
    for length in 0..20 {
        let error = refused(RecordError::TooShort { length });
        check(&parties, &format!("length {length}"), true, header(length, 6), 1, error).await;
    }
    for length in [(1 << 20) + 1, 16 << 20, u32::MAX] {
        let error = refused(RecordError::TooLong { length });
        check(&parties, &format!("length {length}"), true, header(length, 6), 1, error).await;
    }
    // A longer length than the record's own awaits what does not come; a shorter one covers other bytes.
    check(&parties, "longer", true, header(24, 6), 1, truncated(Truncation::Record)).await;
    let error = || refused(RecordError::Authentication);
    check(&parties, "shorter", true, header(22, 6), 1, error()).await;
    // The kinds of handshake frames and alerts are among them.
    for kind in [0, 5, 7, 0x106, 0x0600_0000, 0x41, 0x44, 0x4E, 0x4F, u32::MAX] {
        let error = refused(RecordError::WrongType { found: kind });
        check(&parties, &format!("type {kind:#x}"), true, header(23, kind), 1, error).await;
    }
}

#[tokio::test]
async fn reordered_replayed_dropped_and_reflected_records() {
    let parties = Parties::new();
    let sequences: [(&str, &[usize], usize); 7] = [
        ("reordered from the start", &[1, 0, 2], 0),
        ("reordered", &[0, 2, 1], 1),
        ("replayed", &[0, 0, 1], 1),
        ("replayed later", &[0, 1, 0, 2], 2),
        ("the first is missing", &[1, 2], 0),
        ("one is missing", &[0, 2], 1),
        ("the last again", &[0, 1, 2, 2], 3),
    ];
    for (what, sequence, good) in sequences {
        for close_notify in [true, false] {
            let pick = |tapped: &Tapped| {
                sequence.iter().flat_map(|&at| tapped.records[at].clone()).collect()
            };
            let error = refused(RecordError::Authentication);
            check(&parties, what, close_notify, pick, good, error).await;
        }
    }
    let reflect = |tapped: &Tapped| [&tapped.reflected[..], &tapped.records[0]].concat();
    check(&parties, "reflected", true, reflect, 0, refused(RecordError::Authentication)).await;
    let reflect = |tapped: &Tapped| [&tapped.records[0][..], &tapped.reflected].concat();
    check(&parties, "reflected later", true, reflect, 1, refused(RecordError::Authentication))
        .await;
}

/// Every bit is tried in `records.rs`; here some, through sockets and streams.
#[tokio::test]
async fn flipped_bits() {
    let parties = Parties::new();
    for at in [8, 9, 10, 11, 18, 26] {
        for bit in [0, 7] {
            let flip = |tapped: &Tapped| {
                let mut records = tapped.records.clone();
                records[1][at] ^= 1 << bit;
                records.concat()
            };
            let error = refused(RecordError::Authentication);
            check(&parties, &format!("bit {bit} of byte {at}"), true, flip, 1, error).await;
        }
    }
}

/// An alert that nobody with keys has sealed, where a client awaits the first record.
#[tokio::test]
async fn a_forged_alert_is_not_accepted() {
    let parties = Parties::new();
    let forged = |len: usize| {
        move |_: &Tapped| {
            let mut frame = [(4 + 3 + 16_u32).to_le_bytes(), 0x4E_u32.to_le_bytes()].concat();
            frame.extend([0, 11, 0]);
            frame.extend([0x55; 16]);
            frame.truncate(len);
            frame
        }
    };
    let error = refused(RecordError::WrongType { found: 0x4E });
    check(&parties, "a sealed alert", true, forged(27), 0, error).await;
    // In plaintext it is not even a valid alert.
    let clear = |_: &Tapped| vec![7, 0, 0, 0, 0x4F, 0, 0, 0, 0, 11, 0];
    check(
        &parties,
        "an alert in plaintext",
        true,
        clear,
        0,
        refused(RecordError::TooShort { length: 7 }),
    )
    .await;
}

/// Part of an alert, and then the end. A server knows at once that it awaits no alert.
#[tokio::test]
async fn part_of_an_alert_is_a_part() {
    let parties = Parties::new();
    let mut tapped = tapped(&parties, Role::Client, true).await;
    tapped.towards.write_all(&[23, 0, 0, 0, 0x4E, 0, 0, 0, 1, 2, 3]).await.unwrap();
    tapped.towards.shutdown().await.unwrap();
    let (received, found) = read_until_error(&mut tapped.victim).await;
    assert_eq!((received, found), (vec![], Some(truncated(Truncation::Record))));
}

/// A connection that is reset is not one that ended, even if it is asked twice.
#[tokio::test]
async fn a_reset_is_no_clean_end() {
    let parties = Parties::new();
    let mut tapped = tapped(&parties, Role::Server, false).await;
    tapped.towards.write_all(&tapped.records[0]).await.unwrap();
    let mut one = [0; 3];
    tapped.victim.read_exact(&mut one).await.unwrap();
    // Bytes that are not read make the kernel reset the connection.
    tapped.victim.write_all(b"unread").await.unwrap();
    tapped.towards.readable().await.unwrap();
    drop(tapped.towards);
    for _ in 0..3 {
        let error = tapped.victim.read(&mut one).await.unwrap_err();
        let error = Error::from(error);
        let Error::Io { kind, .. } = error else { panic!("{error:?}") };
        assert_eq!(kind, std::io::ErrorKind::ConnectionReset);
        assert_eq!(error.fault(), Fault::Network);
    }
}
