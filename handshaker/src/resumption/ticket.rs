//! The bytes of a ticket: what a server knows, sealed for itself.
//!
//! ```text
//! ticket  format u8 = 1 | key_name[8] | salt[16] | AES-256-GCM(k, n, the 25 bytes before, state) | tag[16]
//! k | n   EL(EL(secret, "ticket scope", H(scope), 32), "ticket", salt, 44)
//! scope   server's SPIFFE ID<u16> | realm<u8>
//! state   psk[32] | auth_time u64 | not_after u64 | peer_not_after u64 | trust[32] | log_id[16] | client's SPIFFE ID<u16>
//!         | zeros to a multiple of 64
//! ```
//!
//! Key and nonce come from a random salt, so nothing is counted, by one server or by a fleet. The scope is part of the key: a ticket of
//! another server's identity or realm does not open, and no comparison has to be remembered for that.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::aead::{self, NONCE_LEN};
use zeroize::Zeroizing;

use super::key_set::{NAME_LEN, TicketKey};
use super::scope::{MAX_REALM, Scope};
use super::state::{Bounds, Psk, TicketState};
use crate::identity::{PeerIdentity, SpiffeId};
use crate::labels::Expander;

/// The longest ticket, in bytes. The protocol's limit, for any implementation's tickets.
pub(crate) const MAX_TICKET: usize = 1_024;

/// The form of tickets that is described above.
const FORMAT: u8 = 1;
pub(super) const SALT_LEN: usize = 16;
/// What stands before the sealed part, and is authenticated with it.
const CLEAR_LEN: usize = 1 + NAME_LEN + SALT_LEN;
const TAG_LEN: usize = 16;
const KEY_LEN: usize = 32;
/// States have sizes that are multiples of this, so that a ticket tells little about the length of the client's name.
const STATE_UNIT: usize = 64;
/// All of a state but the name itself.
const STATE_FIXED: usize = 32 + 3 * 8 + 32 + 16 + 2;
const LABEL_TICKET: &str = "ticket";

/// A new ticket.
#[derive(Debug)]
pub(crate) struct Issued {
    /// For how many seconds the client may use it: 60 to 86,400.
    pub(crate) lifetime: u32,
    /// 1 to [`MAX_TICKET`] bytes.
    pub(crate) ticket: Vec<u8>,
}

/// A ticket that opened. Nothing is known of who sent it: anybody can have read it from the wire. It has a secret by which to check the
/// binder, and becomes a session by [`accept`](Self::accept) alone.
pub(crate) struct Opened {
    pub(super) state: TicketState,
    pub(super) bounds: Bounds,
}

impl Opened {
    /// The secret that the client has to have, too.
    pub(crate) fn psk(&self) -> &Psk {
        &self.state.psk
    }
}

/// The name of the key that a ticket says it is sealed under. `None` if it is no ticket of this form.
pub(super) fn key_name(ticket: &[u8]) -> Option<&[u8]> {
    let (&format, rest) = ticket.split_first()?;
    let is_whole = (CLEAR_LEN + TAG_LEN..=MAX_TICKET).contains(&ticket.len());
    if format == FORMAT && is_whole { rest.get(..NAME_LEN) } else { None }
}

/// Seals a state under a key. `None` if the ticket would be too long. The salt must be random, and of this ticket alone.
pub(super) fn seal(
    key: &TicketKey,
    scope: &Scope<'_>,
    salt: &[u8; SALT_LEN],
    state: &TicketState,
) -> Option<Vec<u8>> {
    let length = (STATE_FIXED + state.id().as_str().len()).next_multiple_of(STATE_UNIT);
    (CLEAR_LEN + length + TAG_LEN <= MAX_TICKET)
        .then(|| seal_encoded(key, scope, salt, length, |out| encode(state, out)))
}

/// Seals what `write` appends, `length` bytes.
pub(super) fn seal_encoded(
    key: &TicketKey,
    scope: &Scope<'_>,
    salt: &[u8; SALT_LEN],
    length: usize,
    write: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    // A vector that grows would leave copies of the secret behind.
    let mut ticket = Vec::with_capacity(CLEAR_LEN + length + TAG_LEN);
    ticket.push(FORMAT);
    ticket.extend_from_slice(&key.name);
    ticket.extend_from_slice(salt);
    write(&mut ticket);
    let (clear, sealed) = ticket.split_at_mut(CLEAR_LEN);
    let (aead, nonce) = cipher(key, scope, salt);
    let tag = aead
        .seal_in_place_separate_tag(nonce, aead::Aad::from(clear), sealed)
        .expect("a ticket is far below the longest plaintext of GCM");
    ticket.extend_from_slice(tag.as_ref());
    ticket
}

/// Appends a state, padding included.
pub(super) fn encode(state: &TicketState, out: &mut Vec<u8>) {
    let start = out.len();
    let name = state.id().as_str().as_bytes();
    out.extend_from_slice(state.psk.as_bytes());
    for time in [state.auth_time, state.not_after, state.peer_not_after()] {
        out.extend_from_slice(&time.to_be_bytes());
    }
    out.extend_from_slice(&state.trust);
    out.extend_from_slice(&state.log_id);
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name);
    out.resize(start + (out.len() - start).next_multiple_of(STATE_UNIT), 0);
}

/// Opens a ticket whose [`key_name`] is that of `key`. `None` if it was not sealed under it for this scope.
pub(super) fn open(key: &TicketKey, scope: &Scope<'_>, ticket: &[u8]) -> Option<TicketState> {
    if scope.realm.len() > MAX_REALM {
        return None;
    }
    let (clear, sealed) = ticket.split_at_checked(CLEAR_LEN)?;
    let salt = clear.last_chunk()?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let (aead, nonce) = cipher(key, scope, salt);
    let state = aead.open_in_place(nonce, aead::Aad::from(clear), &mut sealed).ok()?;
    decode(state)
}

/// The key and the nonce of one ticket.
pub(super) fn derive(
    key: &TicketKey,
    scope: &Scope<'_>,
    salt: &[u8; SALT_LEN],
) -> Zeroizing<[u8; KEY_LEN + NONCE_LEN]> {
    let mut derived = Zeroizing::new([0; KEY_LEN + NONCE_LEN]);
    Expander::of(key.in_scope(scope).secret()).expand(LABEL_TICKET, salt, &mut *derived);
    derived
}

fn cipher(
    key: &TicketKey,
    scope: &Scope<'_>,
    salt: &[u8; SALT_LEN],
) -> (aead::LessSafeKey, aead::Nonce) {
    let derived = derive(key, scope, salt);
    let (key, nonce) = derived.split_at(KEY_LEN);
    let key =
        aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("32 bytes are a key of AES-256");
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).expect("12 bytes are a nonce");
    (aead::LessSafeKey::new(key), nonce)
}

/// Reads what [`encode`] wrote. Only a server's own key gets here, so a fault is a server's of another version.
fn decode(state: &[u8]) -> Option<TicketState> {
    let (psk, rest) = state.split_first_chunk::<32>()?;
    let (&auth_time, rest) = rest.split_first_chunk()?;
    let (&not_after, rest) = rest.split_first_chunk()?;
    let (&peer_not_after, rest) = rest.split_first_chunk()?;
    let (&trust, rest) = rest.split_first_chunk::<32>()?;
    let (&log_id, rest) = rest.split_first_chunk::<16>()?;
    let (&length, rest) = rest.split_first_chunk()?;
    let (name, padding) = rest.split_at_checked(u16::from_be_bytes(length).into())?;
    let is_padded = state.len().is_multiple_of(STATE_UNIT) && padding.len() < STATE_UNIT;
    if !is_padded || padding.iter().any(|&byte| byte != 0) {
        return None;
    }
    let id: SpiffeId = std::str::from_utf8(name).ok()?.parse().ok()?;
    let peer_not_after = Duration::from_secs(u64::from_be_bytes(peer_not_after));
    let peer_not_after: SystemTime = UNIX_EPOCH.checked_add(peer_not_after)?;
    Some(TicketState {
        psk: Psk::written(|bytes| bytes.copy_from_slice(psk)),
        auth_time: u64::from_be_bytes(auth_time),
        not_after: u64::from_be_bytes(not_after),
        trust,
        log_id,
        peer: Arc::new(PeerIdentity::from_certificates(id, peer_not_after)),
    })
}
