//! Tests of resumption below the protocol.

#[path = "../../tests/identity/authority.rs"]
#[expect(dead_code, reason = "the tests of identities use all of it")]
mod authority;
mod cache;
#[cfg(unix)]
mod key_files;
mod keys;
mod known;
#[path = "../../tests/identity/log.rs"]
mod log;
#[cfg(target_os = "linux")]
mod memory;
mod reports;
#[cfg(unix)]
mod rotation;
mod rule;
mod tickets;

use std::sync::Arc;

use self::authority::{Authority, HOUR, NOW, at, domain, trust};
use super::decision::Side;
use super::keys::TicketKeys;
use super::refused::Refused;
use super::scope::Scope;
use super::state::{Psk, TicketState};
use super::ticket::Opened;
use crate::Role;
use crate::identity::{ChainVerifier, Identity, PeerIdentity, SpiffeId, TrustBundles};

const SERVER: &str = "spiffe://example.org/server";
const CLIENT: &str = "spiffe://example.org/client";

/// A policy.
const ANYBODY: &dyn Fn(&SpiffeId) -> bool = &|_| true;

fn psk(byte: u8) -> Psk {
    Psk::written(|bytes| bytes.fill(byte))
}

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

/// An identity with this name and these bundles.
fn identity(home: &Authority, name: &str, trust: TrustBundles) -> Arc<Identity> {
    let leaf = home.leaf(name);
    Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, at(NOW)).unwrap()
}

/// What a side that judges a ticket at this time knows. It allows everybody.
fn side(identity: &Identity, now: u64) -> Side<'_> {
    Side { identity, permits: ANYBODY, require_fresh: None, now: at(now) }
}

/// What `us` knows after a full handshake at `now` in which `peer` proved itself.
fn proved(us: &Identity, home: &Authority, peer: &str, now: u64) -> TicketState {
    let leaf = home.leaf(peer);
    let verifier = ChainVerifier::new();
    let peer = leaf.prove(&verifier.verify(us, &[&leaf.der], Role::Client, at(now)).unwrap());
    let max_age = super::DEFAULT_MAX_AGE;
    TicketState::proved(psk(1), &peer, us, [2; 16], max_age, at(now)).unwrap()
}

/// A state that no handshake made.
fn made_up(peer: &str, auth_time: u64, not_after: u64) -> TicketState {
    TicketState {
        psk: psk(3),
        auth_time,
        not_after,
        trust: [4; 32],
        log_id: [5; 16],
        peer: Arc::new(PeerIdentity::from_certificates(id(peer), at(not_after))),
    }
}

/// Opens with the keys of a server of this name, in the realm that has none.
fn open(keys: &TicketKeys, server: &str, ticket: &[u8], now: u64) -> Result<Opened, Refused> {
    keys.open(&Scope { server: &id(server), realm: b"" }, ticket, at(now))
}

/// As `open`, for what is wrong alone.
fn opens(keys: &TicketKeys, server: &str, ticket: &[u8], now: u64) -> Result<(), Refused> {
    open(keys, server, ticket, now).map(drop)
}

/// Seals what was made up.
fn seal(keys: &TicketKeys, server: &str, now: u64) -> Option<Vec<u8>> {
    let state = made_up(CLIENT, now, now + HOUR);
    let issued = keys.seal(&Scope { server: &id(server), realm: b"" }, &state, at(now))?;
    Some(issued.ticket)
}
