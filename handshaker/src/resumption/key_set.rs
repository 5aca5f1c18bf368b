//! Which key seals, and which keys open. Times are in seconds since 1970.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroize;

use super::error::TicketKeysError;
use super::scope::{Scope, ScopeSecret};

/// As many as a rotation at half of the tickets' age needs, and one that is not in use yet.
pub(super) const MAX_KEYS: usize = 4;

/// The length of a key's name.
pub(super) const NAME_LEN: usize = 8;

/// A key that tickets are sealed under. Its secret is written in its place and wiped there.
pub(super) struct TicketKey {
    /// In plaintext in each ticket.
    pub(super) name: [u8; NAME_LEN],
    secret: Box<[u8; 32]>,
    /// Of the scope that was used last: most servers have one.
    scoped: Mutex<Option<Arc<ScopeSecret>>>,
}

impl Drop for TicketKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl TicketKey {
    /// A key whose secret `write` writes in its place.
    pub(super) fn written(name: [u8; NAME_LEN], write: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut key = Self { name, secret: Box::new([0; 32]), scoped: Mutex::default() };
        write(&mut key.secret);
        key
    }

    /// A new key from the operating system's generator.
    pub(super) fn generate() -> Result<Self, TicketKeysError> {
        let random = SystemRandom::new();
        let fill = |bytes: &mut [u8]| random.fill(bytes).map_err(|_| TicketKeysError::Random);
        let mut name = [0; NAME_LEN];
        fill(&mut name)?;
        let mut filled = Ok(());
        let key = Self::written(name, |secret| filled = fill(secret));
        filled?;
        if key.is_zero() { Err(TicketKeysError::Random) } else { Ok(key) }
    }

    /// Whether this is no key but memory that nobody wrote a key to.
    pub(super) fn is_zero(&self) -> bool {
        *self.secret == [0; 32]
    }

    pub(super) fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// What tickets of this scope are sealed under.
    pub(super) fn in_scope(&self, scope: &Scope<'_>) -> Arc<ScopeSecret> {
        let mut scoped = self.scoped.lock().unwrap_or_else(PoisonError::into_inner);
        match &*scoped {
            Some(known) if known.is_of(scope) => Arc::clone(known),
            _ => Arc::clone(scoped.insert(Arc::new(ScopeSecret::new(&self.secret, scope)))),
        }
    }
}

/// A key and the times at which it is used.
#[derive(Clone)]
pub(super) struct Turn {
    pub(super) key: Arc<TicketKey>,
    /// When it begins to seal.
    pub(super) from: u64,
    /// When it stops sealing.
    pub(super) stops: u64,
    /// When it stops opening.
    pub(super) until: u64,
}

/// Shows no secret.
impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn")
            .field("key", &format_args!("{:016x}", u64::from_be_bytes(self.key.name)))
            .field("from", &self.from)
            .field("stops", &self.stops)
            .field("until", &self.until)
            .finish()
    }
}

/// The keys of a server or a fleet, the newest first.
#[derive(Debug, Default)]
pub(super) struct KeySet(Vec<Turn>);

impl KeySet {
    /// A rotation: keys, the newest first, each with the time from which it seals tickets. Each seals until the next one begins, for
    /// `period` at most, and opens tickets for `max_age` after that.
    pub(super) fn in_turn(
        keys: impl IntoIterator<Item = (TicketKey, u64)>,
        period: u64,
        max_age: u64,
    ) -> Self {
        let mut takes_over = u64::MAX;
        let turns = keys.into_iter().map(|(key, from)| {
            let stops = from.saturating_add(period).min(takes_over);
            takes_over = from;
            Turn { key: Arc::new(key), from, stops, until: stops.saturating_add(max_age) }
        });
        Self(turns.collect())
    }

    /// The key that seals: the newest that is in use, unless its time is over.
    pub(super) fn sealing(&self, now: u64) -> Option<&Turn> {
        self.0.iter().find(|turn| turn.from <= now).filter(|turn| now < turn.stops)
    }

    /// The key of this name, if it still opens. It may not seal here yet: the clocks of other servers may be ahead.
    pub(super) fn opening(&self, name: &[u8], now: u64) -> Option<&Turn> {
        self.0.iter().find(|turn| turn.key.name == name && now < turn.until)
    }

    /// Whether a key is held that is of no use any more.
    pub(super) fn has_ended(&self, now: u64) -> bool {
        self.0.iter().any(|turn| turn.until <= now)
    }

    /// Drops keys that are of no use any more.
    pub(super) fn drop_ended(&mut self, now: u64) {
        self.0.retain(|turn| now < turn.until);
    }

    /// Puts a new key in front, which seals from `now` on. The others stop sealing.
    pub(super) fn rotate(&mut self, key: TicketKey, now: u64, period: u64, max_age: u64) {
        for turn in &mut self.0 {
            turn.stops = turn.stops.min(now);
            turn.until = turn.until.min(now.saturating_add(max_age));
        }
        self.drop_ended(now);
        self.0.truncate(MAX_KEYS - 1);
        let new = Self::in_turn([(key, now)], period, max_age);
        self.0.splice(..0, new.0);
    }

    /// When the newest key stops sealing.
    pub(super) fn last_stop(&self) -> Option<u64> {
        self.0.first().map(|turn| turn.stops)
    }

    /// The keys, the newest first.
    pub(super) fn turns(&self) -> &[Turn] {
        &self.0
    }
}
