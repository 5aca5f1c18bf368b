//! Handshakes that resume earlier ones, and those that must not.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod flow;
mod refusals;
mod wire;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts_handshaker::identity::Identity;
use alts_handshaker::resumption::{Refused, TicketCache, TicketKeys};
use alts_handshaker::{HandshakeOptions, LocalHandshakerBuilder};

use crate::peers::{Outcome, Pair, assert_agreed, builder, identity, now};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// What outlives handshakes: the server's keys, the client's tickets.
struct Resumption {
    keys: Arc<TicketKeys>,
    cache: Arc<TicketCache>,
}

impl Resumption {
    fn new() -> Self {
        Self { keys: TicketKeys::generate(HOUR).unwrap(), cache: TicketCache::new() }
    }

    fn client(&self, identity: &Arc<Identity>) -> LocalHandshakerBuilder {
        builder(identity).ticket_cache(Arc::clone(&self.cache))
    }

    fn server(&self, identity: &Arc<Identity>) -> LocalHandshakerBuilder {
        builder(identity).ticket_keys(Arc::clone(&self.keys))
    }

    /// Both with their usual identities.
    fn pair(&self) -> Pair {
        let client = self.client(&identity("client")).build();
        named(Pair::of(client, self.server(&identity("server")).build()))
    }

    fn refused(&self) -> Vec<(Refused, u64)> {
        let stats = self.keys.stats();
        let counted = Refused::ALL.map(|reason| (reason, stats.refused(reason)));
        counted.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

/// The client knows whom it calls.
fn named(mut pair: Pair) -> Pair {
    pair.client_options.target_name = Some("server.test:443".to_owned());
    pair
}

/// As [`Pair::run`], at another time, the ticket delivered that may follow.
fn run_at(pair: &Pair, time: SystemTime) -> Outcome {
    let (mut client, mut server) = (pair.client(), pair.server());
    (client.time, server.time) = (time, time);
    let mut outcome = Outcome::of(client, server);
    if outcome.client.succeeded() {
        take_ticket(&mut outcome);
    }
    outcome
}

fn run(pair: &Pair) -> Outcome {
    run_at(pair, now())
}

/// Delivers the ticket that the client awaits.
#[track_caller]
fn take_ticket(outcome: &mut Outcome) {
    let records = std::mem::take(&mut outcome.client.records);
    let Some(Ok(result)) = &mut outcome.client.end else { panic!("the client has no result") };
    if result.late_alert.as_ref().unwrap().awaits_ticket() {
        let late = result.late_alert.take().unwrap();
        assert_eq!(late.ticket_len(*records.first_chunk().unwrap()), Some(records.len()));
        assert_eq!(late.take_ticket(&records), Ok(()));
    } else {
        assert!(records.is_empty(), "nothing was announced");
    }
}

/// Both ends have the same, and have it by a ticket of a full handshake at that time.
#[track_caller]
fn assert_resumed(outcome: &Outcome, since: SystemTime) {
    assert_agreed(outcome);
    assert_eq!(outcome.client.result().resumed, Some(since));
    assert_eq!(outcome.server.result().resumed, Some(since));
}

/// Both ends have the same, by certificates. The client has taken its late alert's keys along to the ticket.
#[track_caller]
fn assert_full(outcome: &Outcome) {
    let (client, server) = (outcome.client.result(), outcome.server.result());
    assert_eq!(client.key_data, server.key_data);
    assert_eq!(client.peer.name(), server.local);
    assert_eq!(server.peer.name(), client.local);
    assert_eq!((client.resumed, server.resumed), (None, None));
}

fn with_name(name: &str) -> HandshakeOptions {
    let mut options = HandshakeOptions::default();
    options.target_name = Some(name.to_owned());
    options
}

/// The extensions of `ClientInit`, with their length.
fn extension_types(client_init: &[u8], at: usize) -> Vec<u16> {
    let mut types = Vec::new();
    let mut rest = &client_init[at + 2..];
    while let Some((header, data)) = rest.split_first_chunk::<4>() {
        let [t0, t1, l0, l1] = *header;
        types.push(u16::from_be_bytes([t0, t1]));
        rest = &data[u16::from_be_bytes([l0, l1]).into()..];
    }
    types
}
