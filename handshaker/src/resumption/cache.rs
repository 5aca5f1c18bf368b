//! The client's tickets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::decision::{Accepted, Side};
use super::error::TicketKeysError;
use super::refused::Refused;
use super::state::{Bounds, Psk, TicketState};
use super::stats::{Counters, TicketStats};
use super::ticket::MAX_TICKET;
use super::{DEFAULT_MAX_AGE, max_age_seconds};
use crate::identity::{SpiffeId, seconds};

/// Tickets for all targets together.
const MAX_ENTRIES: usize = 1_024;
/// Tickets for one target: as many connections can resume at once.
const MAX_ENTRIES_OF_TARGET: usize = 8;
/// What all of it may take, in bytes: tickets and names of usual length reach the number first.
const MAX_BYTES: usize = 1_000_000;
/// What an entry takes beside ticket and names: itself, its places in two maps, and the peer's identity.
const ENTRY_BYTES: usize = 512;
/// How often a ticket that was not used up goes back.
const MAX_RETURNS: u8 = 2;
/// For how long after it was taken for the first time, in seconds.
const RETURN_WINDOW: u64 = 10;

/// The client's tickets, each for one use. It holds 8 for each server and 1,024 in all, in at most 1 MiB. When it is full, the oldest
/// ticket of the [partition](crate::LocalHandshakerBuilder::ticket_partition) whose tickets take the most memory is dropped.
///
/// Share one value among the connectors of a program that may know of each other's connections: a ticket that one of them got is
/// used by another one to the same server under the same identity. Nothing is written to disk.
pub struct TicketCache {
    /// In seconds.
    max_age: u64,
    entries: Mutex<Entries>,
    counters: Counters,
}

/// Whom a ticket is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CacheKey {
    /// This side's identity.
    pub(crate) own: SpiffeId,
    /// The one target identity, or else what the caller calls the peer: its host and port.
    pub(crate) target: Box<str>,
    /// Parts users of one cache that must not share sessions.
    pub(crate) partition: u64,
}

/// A ticket that was taken, to be offered once. [`TicketCache::put_back`] gives it back.
pub(crate) struct Offer(Box<Entry>);

struct Entry {
    key: Arc<CacheKey>,
    ticket: Box<[u8]>,
    state: TicketState,
    /// How often it came back.
    returns: u8,
    /// When it was taken for the first time, in seconds since 1970.
    taken: Option<u64>,
}

#[derive(Default)]
struct Entries {
    /// By the order in which they came.
    by_age: BTreeMap<u64, Box<Entry>>,
    /// The numbers of a target's entries in `by_age`, in their order.
    by_key: BTreeMap<Arc<CacheKey>, Vec<u64>>,
    next: u64,
    bytes: usize,
    /// The bytes of each partition that has any.
    by_partition: BTreeMap<u64, usize>,
}

impl TicketCache {
    /// A cache that resumes full handshakes for an hour, or less where a server says so.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::of(DEFAULT_MAX_AGE.as_secs()))
    }

    /// As [`new`](Self::new), for another time, from 60 seconds to 24 hours.
    pub fn with_max_age(max_age: Duration) -> Result<Arc<Self>, TicketKeysError> {
        Ok(Arc::new(Self::of(max_age_seconds(max_age)?)))
    }

    fn of(max_age: u64) -> Self {
        Self { max_age, entries: Mutex::default(), counters: Counters::default() }
    }

    /// For how long after a full handshake this side resumes it.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.max_age)
    }

    /// How many tickets there are, some of which may have ended.
    pub fn len(&self) -> usize {
        self.lock().by_age.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What became of tickets that were received and offered.
    pub fn stats(&self) -> TicketStats {
        self.counters.stats()
    }

    /// Drops all of them: each next handshake is a full one.
    pub fn clear(&self) {
        *self.lock() = Entries::default();
    }

    /// Puts in a ticket that a server gave. `lifetime` is what it said, in seconds; `state` what this side knows.
    pub(crate) fn insert(
        &self,
        key: &CacheKey,
        ticket: &[u8],
        lifetime: u32,
        mut state: TicketState,
        now: SystemTime,
    ) {
        let end = seconds(now).saturating_add(lifetime.into());
        state.not_after = state.not_after.min(end);
        if ticket.is_empty() || ticket.len() > MAX_TICKET || seconds(now) >= state.not_after {
            return;
        }
        self.counters.issued();
        let key = Arc::new(key.clone());
        self.lock().insert(Box::new(Entry {
            key,
            ticket: ticket.into(),
            state,
            returns: 0,
            taken: None,
        }));
    }

    /// Takes the newest ticket that can be offered now. Those that cannot leave on the way.
    pub(crate) fn take(&self, key: &CacheKey, side: &Side<'_>) -> Option<Offer> {
        loop {
            // What decides is the caller's code, so nothing is locked meanwhile.
            let mut entry = self.lock().take(key)?;
            if entry.came_back_too_late(side.now) {
                continue;
            }
            match entry.state.check(self.bounds(), side) {
                Ok(()) => {
                    entry.taken.get_or_insert(seconds(side.now));
                    self.counters.offered();
                    return Some(Offer(entry));
                }
                Err(reason) => {
                    self.counters.refused(reason);
                    tracing::debug!(%reason, "a ticket of this side was dropped");
                }
            }
        }
    }

    /// Takes back a ticket that the server has not seen, or has not answered. Whether it did: at most twice, within 10 s after it
    /// was taken for the first time.
    pub(crate) fn put_back(&self, offer: Offer, now: SystemTime) -> bool {
        let mut entry = offer.0;
        let since = entry.taken.and_then(|taken| seconds(now).checked_sub(taken));
        let may = entry.returns < MAX_RETURNS && since.is_some_and(|since| since <= RETURN_WINDOW);
        if may {
            entry.returns += 1;
            self.counters.returned();
            self.lock().insert(entry);
        }
        may
    }

    /// Whether the server whose ticket was offered is accepted as the peer of this handshake: all of the check again.
    pub(crate) fn accept(&self, offer: Offer, side: &Side<'_>) -> Result<Accepted, Refused> {
        let judged = Accepted::judge(offer.0.state, self.bounds(), side);
        match &judged {
            Ok(_) => self.counters.accepted(),
            Err(reason) => self.counters.refused(*reason),
        }
        judged
    }

    fn bounds(&self) -> Bounds {
        Bounds { max_age: self.max_age, sealed_until: u64::MAX }
    }

    /// Every change under the lock is complete in itself, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offer {
    /// What goes to the server.
    pub(crate) fn ticket(&self) -> &[u8] {
        &self.0.ticket
    }

    /// The secret that the binder shows possession of, and that the handshake begins with.
    pub(crate) fn psk(&self) -> &Psk {
        &self.0.state.psk
    }

    /// Whose ticket it is.
    pub(crate) fn peer(&self) -> &SpiffeId {
        self.0.state.id()
    }
}

/// Shows how many there are, and nothing of them.
impl fmt::Debug for TicketCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketCache").field("tickets", &self.len()).finish_non_exhaustive()
    }
}

impl Entries {
    fn insert(&mut self, mut entry: Box<Entry>) {
        let numbers = match self.by_key.get_key_value(&entry.key) {
            Some((key, _)) => {
                entry.key = Arc::clone(key);
                self.by_key.get_mut(&entry.key).expect("it is there")
            }
            None => self.by_key.entry(Arc::clone(&entry.key)).or_default(),
        };
        numbers.push(self.next);
        let surplus = (numbers.len() > MAX_ENTRIES_OF_TARGET).then(|| numbers[0]);
        self.bytes += entry.bytes();
        *self.by_partition.entry(entry.key.partition).or_default() += entry.bytes();
        self.by_age.insert(self.next, entry);
        self.next += 1;
        if let Some(number) = surplus {
            self.remove(number);
        }
        while self.by_age.len() > MAX_ENTRIES || self.bytes > MAX_BYTES {
            let Some(number) = self.oldest_of_the_largest() else { return };
            self.remove(number);
        }
    }

    /// What to drop when the cache is full: a partition with few tickets keeps them, however many the others add.
    fn oldest_of_the_largest(&self) -> Option<u64> {
        let (largest, _) = self.by_partition.iter().max_by_key(|(_, bytes)| **bytes)?;
        let mut by_age = self.by_age.iter();
        by_age.find(|(_, entry)| entry.key.partition == *largest).map(|(number, _)| *number)
    }

    /// The newest of a target.
    fn take(&mut self, key: &CacheKey) -> Option<Box<Entry>> {
        let number = *self.by_key.get(key)?.last()?;
        self.remove(number)
    }

    fn remove(&mut self, number: u64) -> Option<Box<Entry>> {
        let entry = self.by_age.remove(&number)?;
        self.bytes -= entry.bytes();
        if let Some(bytes) = self.by_partition.get_mut(&entry.key.partition) {
            *bytes -= entry.bytes();
            if *bytes == 0 {
                self.by_partition.remove(&entry.key.partition);
            }
        }
        if let Some(numbers) = self.by_key.get_mut(&entry.key) {
            numbers.retain(|&other| other != number);
            if numbers.is_empty() {
                self.by_key.remove(&entry.key);
            }
        }
        Some(entry)
    }
}

impl Entry {
    /// Whether it was offered before, and too long ago to be offered again: two offers of one ticket can be told to be of one client.
    fn came_back_too_late(&self, now: SystemTime) -> bool {
        let since = |taken| seconds(now).checked_sub(taken);
        self.taken.is_some_and(|taken| since(taken).is_none_or(|since| since > RETURN_WINDOW))
    }

    /// What it takes at most, names included that it shares with others.
    fn bytes(&self) -> usize {
        let names = [&*self.key.target, self.key.own.as_str(), self.state.id().as_str()];
        ENTRY_BYTES + self.ticket.len() + names.map(str::len).iter().sum::<usize>()
    }
}
