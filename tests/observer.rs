//! What an observer is told, what is counted, and what Prometheus is shown.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::sync::{Arc, Mutex};

use alts::connect::{Progress, Settings};
use alts::handshaker::identity::Policy;
use alts::handshaker::{LocalHandshaker, Role};
use alts::observer::{Counters, Finished, Observer, Outcome, Stats};
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{Acceptor, AltsStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use support::{CLIENT, Parties};

/// Settings, and what counts what happens under them.
fn observed() -> (Settings, Arc<Counters>) {
    let counters = Arc::new(Counters::new());
    let mut settings = Settings::default();
    settings.observer = Some(counters.clone());
    (settings, counters)
}

async fn pair() -> (AltsStream<UnixStream>, Arc<Counters>, AltsStream<UnixStream>, Arc<Counters>) {
    let ((near_settings, near_counters), (far_settings, far_counters)) = (observed(), observed());
    let (near, far) = Parties::new().unix_pair(near_settings, far_settings).await;
    (near, near_counters, far, far_counters)
}

#[tokio::test]
async fn a_connection_is_counted_from_its_handshake_to_its_end() {
    let (mut near, near_counters, mut far, far_counters) = pair().await;
    let [of_near, of_far] = [&near_counters, &far_counters].map(|counters| counters.stats());
    let (client, server) = (&of_near.handshakes.client, &of_far.handshakes.server);
    for role in [client, server] {
        assert_eq!((role.succeeded, role.durations.count()), (1, 1));
        assert!(role.failed.is_empty() && !role.durations.sum().is_zero());
    }
    assert_eq!(of_near.handshakes.server.succeeded + of_far.handshakes.client.succeeded, 0);
    assert_eq!((of_near.handshakes.in_flight, of_far.handshakes.in_flight), (0, 0));
    assert_eq!((of_near.open, of_far.open), (1, 1));

    // Five records, of 16 KiB at most; read in two ways.
    near.write_all(&vec![7; 70_000]).await.unwrap();
    let pool = BufferPool::new();
    let mut left = 70_000 - 10;
    far.read_exact(&mut [0; 10]).await.unwrap();
    while left > 0 {
        left -= far.read_on_ready(&pool).await.unwrap().unwrap().len();
    }
    let [sent, received] = [near_counters.stats().sent, far_counters.stats().received];
    assert_eq!((sent.records, sent.bytes, sent.rekeys), (5, 70_000, 0));
    assert_eq!(received, sent);
    assert_eq!(far_counters.stats().sent.records, 0);

    // The records that end it count, too, on either way of taking them.
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0; 10]).await.unwrap(), 0);
    far.shutdown().await.unwrap();
    near.shutdown().await.unwrap();
    let [of_near, of_far] = [&near_counters, &far_counters].map(|counters| counters.stats());
    assert_eq!((of_near.sent.records, of_far.received.records), (6, 6));
    assert_eq!((of_far.sent.records, of_far.sent.bytes), (1, 0));
    assert_eq!(near.read(&mut [0; 10]).await.unwrap(), 0);
    assert_eq!(near_counters.stats().received.records, 1);
    assert_eq!(far_counters.stats().open, 1);
    drop(far);
    assert_eq!(far_counters.stats().open, 0);
    drop(near.into_inner());
    assert_eq!(near_counters.stats().open, 0);
}

#[tokio::test]
async fn a_connection_in_halves_is_open_until_the_second_is_gone() {
    let open = |counters: &Counters| counters.stats().open;
    for read_first in [true, false] {
        let (near, counters, _far, _) = pair().await;
        let (read, write) = near.into_split();
        let (one, other): (Box<dyn Send>, Box<dyn Send>) = match read_first {
            true => (Box::new(read), Box::new(write)),
            false => (Box::new(write), Box::new(read)),
        };
        drop(one);
        assert_eq!(open(&counters), 1);
        drop(other);
        assert_eq!(open(&counters), 0);
    }
    // Put together, taken apart, and put together again; what it carries is counted all along.
    let (near, counters, mut far, _) = pair().await;
    let (read, write) = near.into_split();
    let (read, mut write) = read.reunite(write).unwrap().into_split();
    write.write_all(b"half").await.unwrap();
    far.read_exact(&mut [0; 4]).await.unwrap();
    let near = read.reunite(write).unwrap();
    assert_eq!((counters.stats().sent.bytes, open(&counters)), (4, 1));
    drop(near);
    assert_eq!(open(&counters), 0);
}

/// Remembers what it is told.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<String>>);

impl Observer for Told {
    fn started(&self, role: Role) {
        self.0.lock().unwrap().push(format!("{role:?} starts"));
    }

    fn finished(&self, handshake: &Finished<'_>) {
        let said = match handshake.outcome {
            Outcome::Secured { peer } => format!("with {}", peer.name()),
            Outcome::Failed { error } => format!("{}: {error}", error.reason()),
            _ => handshake.reason().unwrap().to_owned(),
        };
        self.0.lock().unwrap().push(said);
    }
}

impl Told {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[tokio::test]
async fn an_observer_of_ones_own_hears_how_each_handshake_ended() {
    let parties = Parties::new();
    let told = Arc::new(Told::default());
    let mut settings = Settings::default();
    settings.observer = Some(told.clone());
    let acceptor = parties.acceptor(settings.clone());
    let connector = parties.connector(Settings::default());

    let (near, far) = UnixStream::pair().unwrap();
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    drop((near.unwrap(), far.unwrap()));
    assert_eq!(told.take(), ["Server starts".to_owned(), format!("with {CLIENT}")]);

    let (near, far) = UnixStream::pair().unwrap();
    drop(near);
    acceptor.accept(far).await.unwrap_err();
    assert!(told.take()[1].starts_with("probe: "));

    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    acceptor.accept(far).await.unwrap_err();
    assert!(told.take()[1].starts_with("foreign_protocol: "));

    let strict = Policy::from_rules(["spiffe://dev.local/other"]).unwrap();
    let server = LocalHandshaker::builder(Arc::new(parties.server.clone()));
    let strict = Acceptor::with_settings(server.client_policy(strict).build(), settings);
    let (near, far) = UnixStream::pair().unwrap();
    let (near, far) = tokio::join!(connector.connect(near), strict.accept(far));
    far.unwrap_err();
    near.unwrap();
    let said = told.take().pop().unwrap();
    assert!(said.starts_with("access_denied: ") && said.contains(CLIENT), "{said}");

    // A handshake that is never polled has not begun; one that is given up has ended.
    let (_near, far) = UnixStream::pair().unwrap();
    let mut handshake = acceptor.accept(far);
    assert!(told.take().is_empty());
    let polled = std::future::poll_fn(|cx| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut handshake).poll(cx))
    });
    assert!(polled.await.is_pending());
    assert_eq!(told.take(), ["Server starts"]);
    drop(handshake);
    assert_eq!(told.take(), ["cancelled"]);
}

/// Handshakes and streams without tokio.
#[test]
fn an_event_loop_is_observed_as_well() {
    let parties = Parties::new();
    let ((near_settings, near_counters), (far_settings, far_counters)) = (observed(), observed());
    let (connector, acceptor) = (parties.connector(near_settings), parties.acceptor(far_settings));
    let sockets = || {
        let (near, far) = StdStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        (near, far)
    };
    let in_flight = |counters: &Counters| counters.stats().handshakes.in_flight;

    let (near, far) = sockets();
    let (mut near, mut far) = (
        Progress::Pending(connector.start(near).unwrap()),
        Progress::Pending(acceptor.start(far).unwrap()),
    );
    assert_eq!((in_flight(&near_counters), in_flight(&far_counters)), (1, 1));
    let (mut near, mut far) = loop {
        (near, far) = match (near, far) {
            (Progress::Done(near), Progress::Done(far)) => break (near, far),
            (near, far) => (advance(near), advance(far)),
        };
    };
    assert_eq!((in_flight(&near_counters), in_flight(&far_counters)), (0, 0));
    near.write_all(b"ping").unwrap();
    far.read_exact(&mut [0; 4]).unwrap();
    let Stats { received, open, .. } = far_counters.stats();
    assert_eq!((received.records, received.bytes, open), (1, 4, 1));
    drop(far);
    assert_eq!(far_counters.stats().open, 0);

    let (near, far) = sockets();
    let far = acceptor.start(far).unwrap();
    drop(near);
    far.advance().unwrap_err();
    drop(acceptor.start(sockets().1).unwrap());
    let failed = far_counters.stats().handshakes.server.failed;
    assert_eq!(failed, [("cancelled", 1), ("probe", 1)].into());
}

fn advance(progress: Progress<StdStream>) -> Progress<StdStream> {
    match progress {
        Progress::Pending(handshake) => handshake.advance().unwrap(),
        done @ Progress::Done(_) => done,
    }
}

#[cfg(feature = "prometheus")]
#[tokio::test]
async fn one_call_shows_it_all_to_prometheus() {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    let parties = Parties::new();
    let mut registry = Registry::with_prefix("alts");
    let mut settings = Settings::default();
    let identity = Arc::new(parties.server.clone());
    let counters = alts::prometheus::register(&mut registry, &mut settings, Some(&identity));
    let (mut near, mut far) = parties.unix_pair(Settings::default(), settings).await;
    near.write_all(&[7; 1_000]).await.unwrap();
    far.read_exact(&mut [0; 1_000]).await.unwrap();

    let mut page = String::new();
    text::encode(&mut page, &registry).unwrap();
    let expiry = parties.server.not_after().duration_since(std::time::UNIX_EPOCH).unwrap();
    let serial = parties.server.serial();
    for line in [
        "alts_handshakes_total{role=\"server\"} 1".to_owned(),
        "alts_handshake_seconds_count{role=\"server\"} 1".to_owned(),
        "alts_handshakes_unfinished{state=\"started\"} 0".to_owned(),
        "alts_handshakes_unfinished{state=\"queued\"} 0".to_owned(),
        "alts_handshakes_unfinished{state=\"silent\"} 0".to_owned(),
        "alts_handshakes_in_flight 0".to_owned(),
        "alts_secured_connections 1".to_owned(),
        "alts_secured_bytes_total{direction=\"received\"} 1000".to_owned(),
        "alts_secured_records_total{direction=\"received\"} 1".to_owned(),
        "alts_secured_rekeys_total{direction=\"sent\"} 0".to_owned(),
        "alts_pool_bytes{state=\"in_use\"} 0".to_owned(),
        "alts_pool_waits_total 0".to_owned(),
        "alts_pool_pressed_seconds_total 0.0".to_owned(),
        format!("alts_identity_info{{serial=\"{serial}\"}} 1"),
        format!("alts_identity_expiry_timestamp_seconds {}", expiry.as_secs()),
        "alts_trust_domain_usable{trust_domain=\"dev.local\"} 1".to_owned(),
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in {page}");
    }
    assert_eq!(counters.stats().open, 1);
    // Each has a type, a help text and a value, and none comes twice.
    let types: Vec<_> = page.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let names: std::collections::BTreeSet<_> = types.iter().collect();
    assert_eq!(names.len(), types.len());
    drop(far);
    assert_eq!(counters.stats().open, 0);
}
