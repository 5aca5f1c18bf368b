//! The keys of tickets, and what can be done with them.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use ring::rand::{SecureRandom, SystemRandom};

use super::error::TicketKeysError;
use super::key_file::KeyFile;
use super::key_set::{KeySet, TicketKey, Turn};
use super::peers::Peers;
use super::refused::Refused;
use super::scope::{MAX_REALM, Scope};
use super::state::{Bounds, TicketState};
use super::stats::{Counters, TicketStats};
use super::ticket::{self, Issued, Opened, SALT_LEN};
use super::{DEFAULT_MAX_AGE, MAX_MAX_AGE, MIN_LIFETIME, max_age_seconds};
use crate::identity::{DEFAULT_WATCH_INTERVAL, seconds};

/// Keys that servers seal tickets under.
///
/// Share one value among the acceptors of a program whose clients may resume with any of them. There is no default value, a copy of a
/// configuration shares the same keys only because it says so, and a ticket opens for the server identity (and realm) that issued it alone,
/// whoever else has the keys.
///
/// Whoever has the keys can be any client that the server's policy allows, and can be the server to clients that resume. Recorded
/// connections stay closed to them. `PROTOCOL.md` says more, in section 19.
pub struct TicketKeys {
    /// In seconds.
    max_age: u64,
    set: RwLock<KeySet>,
    source: Source,
    peers: Peers,
    counters: Counters,
}

enum Source {
    /// Of this process alone. A new key comes on use.
    Memory,
    File(KeyFile),
}

impl TicketKeys {
    /// New keys from the operating system's generator, which this process alone has: tickets are void when it ends.
    ///
    /// A full handshake can be resumed for `max_age`, from 60 seconds to 24 hours. After half of that the next
    /// handshake makes a new key for sealing. A key is wiped at the first use after its tickets have ended.
    pub fn generate(max_age: Duration) -> Result<Arc<Self>, TicketKeysError> {
        Self::generate_at(max_age, SystemTime::now())
    }

    pub(crate) fn generate_at(
        max_age: Duration,
        now: SystemTime,
    ) -> Result<Arc<Self>, TicketKeysError> {
        let max_age = max_age_seconds(max_age)?;
        let set = KeySet::in_turn([(TicketKey::generate()?, seconds(now))], max_age / 2, max_age);
        Ok(Arc::new(Self::of(max_age, set, Source::Memory)))
    }

    /// Keys in a file, which outlive the process and serve a fleet: `alts ticket-keys rotate FILE` writes it. A thread checks
    /// the file every 5 s and loads it again when it has changed. A full handshake can be resumed for one hour.
    ///
    /// Only the file's owner may have access to it. While what the file says cannot be used, the keys from before stay in use as long
    /// as they last. A key seals for 24 hours at most: without a rotation no tickets are issued after that.
    pub fn watch(path: impl Into<PathBuf>) -> Result<Arc<Self>, TicketKeysError> {
        Self::watch_every(path, DEFAULT_WATCH_INTERVAL, DEFAULT_MAX_AGE)
    }

    /// As [`watch`](Self::watch), with another interval, and resumption for another time, from 60 seconds to 24 hours.
    pub fn watch_every(
        path: impl Into<PathBuf>,
        interval: Duration,
        max_age: Duration,
    ) -> Result<Arc<Self>, TicketKeysError> {
        let keys = Self::load(path, max_age, SystemTime::now())?;
        if let Source::File(file) = &keys.source {
            // Faults are logged where they arise.
            file.watch(&keys, interval, |keys, now| drop(keys.reload_if_changed(now)))?;
        }
        Ok(keys)
    }

    /// As [`watch_every`](Self::watch_every), without the thread: [`reload_if_changed`](Self::reload_if_changed) looks again.
    pub fn load(
        path: impl Into<PathBuf>,
        max_age: Duration,
        now: SystemTime,
    ) -> Result<Arc<Self>, TicketKeysError> {
        let max_age = max_age_seconds(max_age)?;
        let (file, set) = KeyFile::load(path.into(), max_age, seconds(now))?;
        Ok(Arc::new(Self::of(max_age, set, Source::File(file))))
    }

    fn of(max_age: u64, set: KeySet, source: Source) -> Self {
        let (peers, counters) = (Peers::default(), Counters::default());
        Self { max_age, set: RwLock::new(set), source, peers, counters }
    }

    /// Reads the file again, if the keys are from one. `true` if what it says has changed and took effect. Blocks on file I/O.
    ///
    /// # Errors
    ///
    /// The file cannot be used. The keys from before stay.
    pub fn reload_if_changed(&self, now: SystemTime) -> Result<bool, TicketKeysError> {
        let Source::File(file) = &self.source else { return Ok(false) };
        let Some(set) = file.changed(self.max_age, seconds(now))? else { return Ok(false) };
        *self.set.write().unwrap_or_else(PoisonError::into_inner) = set;
        Ok(true)
    }

    /// For how long after a full handshake it can be resumed.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age)
    }

    /// What became of tickets that were issued and offered, at all servers with these keys in this process.
    pub fn stats(&self) -> TicketStats {
        self.counters.stats()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Seals what a full handshake proved. `None` if the ticket would be too long or live for less than 60 s, or if no key seals.
    pub(crate) fn seal(
        &self,
        scope: &Scope<'_>,
        state: &TicketState,
        now: SystemTime,
    ) -> Option<Issued> {
        let lifetime = state.lifetime(now);
        let is_worth_it = (MIN_LIFETIME..=MAX_MAX_AGE.as_secs()).contains(&lifetime);
        if !is_worth_it || scope.realm.len() > MAX_REALM {
            return None;
        }
        let turn = self.sealing(seconds(now))?;
        let mut salt = [0; SALT_LEN];
        SystemRandom::new().fill(&mut salt).ok()?;
        let ticket = ticket::seal(&turn.key, scope, &salt, state)?;
        // So that resumed connections share what this one has.
        self.peers.share(Arc::clone(&state.peer));
        self.counters.issued();
        Some(Issued { lifetime: lifetime as u32, ticket })
    }

    /// Opens a ticket of this scope. Whether it counts is another question: [`Opened::accept`].
    pub(crate) fn open(
        &self,
        scope: &Scope<'_>,
        ticket: &[u8],
        now: SystemTime,
    ) -> Result<Opened, Refused> {
        let name = ticket::key_name(ticket).ok_or(Refused::UnknownKey)?;
        let turn = self.opening(name, seconds(now)).ok_or(Refused::UnknownKey)?;
        let mut state = ticket::open(&turn.key, scope, ticket).ok_or(Refused::Unreadable)?;
        state.peer = self.peers.share(state.peer);
        let bounds = Bounds { max_age: self.max_age, sealed_until: turn.stops };
        Ok(Opened { state, bounds })
    }

    /// How many keys are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.set.read().unwrap_or_else(PoisonError::into_inner).turns().len()
    }

    fn opening(&self, name: &[u8], now: u64) -> Option<Turn> {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        if !set.has_ended(now) {
            return set.opening(name, now).cloned();
        }
        drop(set);
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        set.drop_ended(now);
        set.opening(name, now).cloned()
    }

    fn sealing(&self, now: u64) -> Option<Turn> {
        let set = self.set.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = set.sealing(now) {
            return Some(turn.clone());
        }
        match &self.source {
            Source::File(file) => {
                file.note_age(&set, now);
                None
            }
            Source::Memory => {
                drop(set);
                let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
                // Another thread may have been faster.
                if set.sealing(now).is_none() {
                    set.rotate(TicketKey::generate().ok()?, now, self.max_age / 2, self.max_age);
                }
                set.sealing(now).cloned()
            }
        }
    }
}

/// Shows names and times of keys, and no secret.
impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TicketKeys");
        if let Source::File(file) = &self.source {
            shown.field("file", &file.path());
        }
        shown
            .field("keys", &self.set.read().unwrap_or_else(PoisonError::into_inner).turns())
            .finish_non_exhaustive()
    }
}
