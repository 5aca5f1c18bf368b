//! A server that refuses its client says so with an alert where its first record would be. Once a record has opened nothing else
//! is one, even if the server itself has sealed it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use alts::handshaker::identity::Policy;
use alts::handshaker::{AlertCode, HandshakeOptions, Handshaker, LocalHandshaker, Role};
use alts::pool::BufferPool;
use alts::record::RecordError;
use alts::{AltsStream, Connector, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::read_until_error;
use crate::support::by_hand::{self, Tap};
use crate::support::wire::{Control, Wire, wires};
use crate::support::{Parties, assert_nothing_out, settings};

/// A client whose server refuses it, before it knows.
struct Refused {
    stream: AltsStream<Wire>,
    control: Control,
    tap: Tap,
    /// What the server sealed for it.
    alert: Vec<u8>,
    /// The other end, or the stream would have an end.
    _far: Wire,
}

async fn refused(parties: &Parties, pool: &BufferPool) -> Refused {
    let policy = Policy::from_rules(["spiffe://dev.local/somebody"]).unwrap();
    let server =
        LocalHandshaker::builder(Arc::new(parties.server.clone())).client_policy(policy).build();
    let mut session = server.start(Role::Server, &HandshakeOptions::default()).unwrap();

    // The client's keys are those that the server would have had.
    let (client, tap) = by_hand::tapped(parties.client_handshaker());
    let ((wire, control), (far, _)) = wires(usize::MAX);
    let connector = Connector::with_settings(client, settings(pool, |_| ()));
    let ours = tokio::spawn(async move { connector.connect(wire).await });
    let pause = || tokio::time::sleep(Duration::from_millis(1));

    let (mut answer, mut alert) = (Vec::new(), Vec::new());
    pause().await;
    by_hand::step(&mut *session, &control.intercept(), &mut answer).unwrap();
    control.inject(&answer);
    pause().await;
    by_hand::step(&mut *session, &control.intercept(), &mut alert).unwrap_err();
    Refused { stream: ours.await.unwrap().unwrap(), control, tap, alert, _far: far }
}

#[tokio::test(start_paused = true)]
async fn an_alert_after_the_first_record_is_none() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let not_a_record = Error::Record(RecordError::WrongType { found: 0x4E });
    for together in [true, false] {
        let Refused { mut stream, control, tap, alert, _far } = refused(&parties, &pool).await;
        let record = by_hand::seal(&mut tap.sealer(Role::Server), b"welcome");
        if together {
            control.inject(&[record, alert].concat());
        } else {
            control.inject(&record);
            let mut first = [0; 7];
            stream.read_exact(&mut first).await.unwrap();
            assert_eq!(&first, b"welcome");
            control.inject(&alert);
        }
        let (received, error) = read_until_error(&mut stream).await;
        assert_eq!(received, if together { &b"welcome"[..] } else { b"" });
        assert_eq!(error, Some(not_a_record.clone()), "together: {together}");
    }

    // In the first record's place the same alert is accepted.
    let Refused { mut stream, control, alert, _far, .. } = refused(&parties, &pool).await;
    control.inject(&alert);
    let (received, error) = read_until_error(&mut stream).await;
    let told = alts::handshaker::Error::Alert {
        code: AlertCode::AccessDenied,
        reason: String::new(),
        sealed: true,
    };
    assert_eq!((received, error), (vec![], Some(Error::Handshake(told))));
    drop(stream);
    assert_nothing_out(&pool);
}

/// A client that writes first would otherwise learn only that the connection is broken.
#[tokio::test(start_paused = true)]
async fn a_write_that_fails_tells_the_servers_reason() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    for told in [true, false] {
        let Refused { mut stream, control, alert, _far, .. } = refused(&parties, &pool).await;
        stream.write_all(b"a request").await.unwrap();
        if told {
            control.inject(&alert);
        }
        control.fail_writes(io::ErrorKind::BrokenPipe);
        let failed = stream.write_all(b"another").await.unwrap_err();
        if told {
            let told = alts::handshaker::Error::Alert {
                code: AlertCode::AccessDenied,
                reason: String::new(),
                sealed: true,
            };
            assert_eq!(Error::of(&failed), Some(&Error::Handshake(told)));
        } else {
            assert_eq!(failed.kind(), io::ErrorKind::BrokenPipe);
        }
    }
}

/// Only then does a writer look at what has arrived: it belongs to the reader.
#[tokio::test(start_paused = true)]
async fn other_writes_leave_what_has_arrived_to_the_reader() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let Refused { mut stream, control, tap, _far, .. } = refused(&parties, &pool).await;
    let mut sealer = tap.sealer(Role::Server);
    let reads = || control.script().counts.reads;

    control.inject(&by_hand::seal(&mut sealer, b"welcome"));
    let before = reads();
    stream.write_all(b"a request").await.unwrap();
    assert_eq!(reads(), before, "the write succeeded");
    stream.read_exact(&mut [0; 7]).await.unwrap();

    control.inject(&by_hand::seal(&mut sealer, b"an answer"));
    control.fail_writes(io::ErrorKind::BrokenPipe);
    let before = reads();
    stream.write_all(b"another").await.unwrap_err();
    assert_eq!(reads(), before, "the server has accepted this client");
    stream.read_exact(&mut [0; 9]).await.unwrap();
}
