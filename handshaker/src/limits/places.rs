//! Places for handshakes, and the queues for them: fair by source, without a clock.
//!
//! ```text
//!  arrive ─► silent ──────── spoken ──────► queued ──── its source's turn ────► has a place ─► gone
//!               │ more than `silent`           │ more than `queue`
//!               └──────────► displaced ◄───────┘
//! ```
//!
//! Silent connections compete with silent ones only, so they keep out nobody that has spoken. When there are too many, the
//! source that has the most loses one: among the silent the one that has been silent longest, since a peer speaks within
//! a round trip; among the queued the newest, which has waited the least. So no source waits at another's expense.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use tokio::sync::oneshot::{self, Receiver, Sender};

/// In the order of arrival.
pub(super) type Id = u64;

/// What becomes of a connection that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has a place, to be given back with [`Places::release`].
    Admitted,
    /// It made room for another.
    Displaced,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) places: usize,
    pub(super) places_per_source: usize,
    pub(super) silent: usize,
    pub(super) queue: usize,
}

/// Sources are told apart by `K`; connections without one are of the source `None`, which has no limit of its own.
#[derive(Debug)]
pub(super) struct Places<K> {
    bounds: Bounds,
    held: usize,
    next_id: Id,
    sources: HashMap<Option<K>, Source>,
    silent: Crowd<(usize, Reverse<Id>, Option<K>)>,
    queued: Crowd<(usize, Id, Option<K>)>,
    /// Sources that have a connection in the queue and may have another place.
    turns: BTreeMap<u64, Option<K>>,
    next_turn: u64,
    notices: Vec<Notice<K>>,
}

/// A verdict on its way to the connection. If nobody receives it, an admission has to be given back.
#[derive(Debug)]
pub(super) struct Notice<K> {
    pub(super) source: Option<K>,
    pub(super) verdict: Verdict,
    pub(super) to: Sender<Verdict>,
}

type Waiting = BTreeMap<Id, Sender<Verdict>>;

#[derive(Debug, Default)]
struct Source {
    held: usize,
    silent: Waiting,
    queued: Waiting,
    turn: Option<u64>,
}

/// Connections in one state, and their sources in an order whose last is the one to lose a connection.
#[derive(Debug)]
struct Crowd<Rank> {
    count: usize,
    ranks: BTreeSet<Rank>,
}

impl<Rank> Default for Crowd<Rank> {
    fn default() -> Self {
        Self { count: 0, ranks: BTreeSet::new() }
    }
}

impl<K: Copy + Ord + Hash> Places<K> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            held: 0,
            next_id: 0,
            sources: HashMap::new(),
            silent: Crowd::default(),
            queued: Crowd::default(),
            turns: BTreeMap::new(),
            next_turn: 0,
            notices: Vec::new(),
        }
    }

    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn silent(&self) -> usize {
        self.silent.count
    }

    pub(super) fn queued(&self) -> usize {
        self.queued.count
    }

    pub(super) fn waiting(&self) -> usize {
        self.silent() + self.queued()
    }

    /// Verdicts of the calls before, to be sent when no lock is held.
    pub(super) fn take_notices(&mut self) -> Vec<Notice<K>> {
        std::mem::take(&mut self.notices)
    }

    /// A connection that has said nothing yet. There is always room for it, perhaps another's.
    pub(super) fn arrive(&mut self, source: Option<K>) -> (Id, Receiver<Verdict>) {
        let (sender, receiver) = oneshot::channel();
        let id = self.next_id;
        self.next_id += 1;
        self.with_silent(source, |silent| silent.insert(id, sender));
        if self.silent.count > self.bounds.silent.max(1) {
            self.displace_silent();
        }
        (id, receiver)
    }

    /// The connection has spoken: it queues, or it has a place at once.
    pub(super) fn spoken(&mut self, source: Option<K>, id: Id) {
        let Some(sender) = self.with_silent(source, |silent| silent.remove(&id)) else { return };
        self.with_queued(source, |queued| queued.insert(id, sender));
        self.set_turn(source);
        self.admit();
        if self.queued.count > self.bounds.queue
            && let Some(&(_, newest, crowded)) = self.queued.ranks.last()
        {
            let sender = self.with_queued(crowded, |queued| queued.remove(&newest));
            self.notify(crowded, sender, Verdict::Displaced);
            self.settle(crowded);
        }
    }

    /// Displaces the connection that has been silent longest, of the source with the most silent ones. Whether there was one.
    pub(super) fn displace_silent(&mut self) -> bool {
        let Some(&(_, Reverse(oldest), crowded)) = self.silent.ranks.last() else { return false };
        let sender = self.with_silent(crowded, |silent| silent.remove(&oldest));
        self.notify(crowded, sender, Verdict::Displaced);
        self.settle(crowded);
        true
    }

    /// The connection waits no longer. `false` if there is a verdict about it.
    pub(super) fn withdraw(&mut self, source: Option<K>, id: Id) -> bool {
        let silent = self.with_silent(source, |silent| silent.remove(&id));
        let withdrawn = silent.or_else(|| self.with_queued(source, |queued| queued.remove(&id)));
        self.settle(source);
        withdrawn.is_some()
    }

    /// A place is free again.
    pub(super) fn release(&mut self, source: Option<K>) {
        self.held -= 1;
        self.sources.entry(source).or_default().held -= 1;
        self.set_turn(source);
        self.admit();
        self.settle(source);
    }

    /// Gives free places to the sources in turn, and within each in the order of arrival.
    fn admit(&mut self) {
        while self.held < self.bounds.places.max(1)
            && let Some((_, source)) = self.turns.pop_first()
        {
            self.sources.entry(source).or_default().turn = None;
            let first = self.with_queued(source, BTreeMap::pop_first);
            self.held += 1;
            self.sources.entry(source).or_default().held += 1;
            self.notify(source, first.map(|(_, sender)| sender), Verdict::Admitted);
            self.set_turn(source);
        }
    }

    fn notify(&mut self, source: Option<K>, to: Option<Sender<Verdict>>, verdict: Verdict) {
        self.notices.extend(to.map(|to| Notice { source, verdict, to }));
    }

    /// Puts the source in the order of turns, at its end, or takes it out.
    fn set_turn(&mut self, source: Option<K>) {
        let most = if source.is_some() { self.bounds.places_per_source.max(1) } else { usize::MAX };
        let entry = self.sources.entry(source).or_default();
        match (entry.turn, entry.held < most && !entry.queued.is_empty()) {
            (None, true) => {
                entry.turn = Some(self.next_turn);
                self.turns.insert(self.next_turn, source);
                self.next_turn += 1;
            }
            (Some(turn), false) => {
                entry.turn = None;
                self.turns.remove(&turn);
            }
            _ => {}
        }
    }

    /// After a connection has gone: nothing is kept about sources without any.
    fn settle(&mut self, source: Option<K>) {
        self.set_turn(source);
        let entry = self.sources.entry(source).or_default();
        if entry.held == 0 && entry.silent.is_empty() && entry.queued.is_empty() {
            self.sources.remove(&source);
        }
    }

    fn with_silent<T>(&mut self, source: Option<K>, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let silent = &mut self.sources.entry(source).or_default().silent;
        let rank = |silent: &Waiting| {
            let (oldest, _) = silent.first_key_value()?;
            Some((silent.len(), Reverse(*oldest), source))
        };
        self.silent.change(silent, rank, change)
    }

    fn with_queued<T>(&mut self, source: Option<K>, change: impl FnOnce(&mut Waiting) -> T) -> T {
        let queued = &mut self.sources.entry(source).or_default().queued;
        let rank = |queued: &Waiting| {
            let (newest, _) = queued.last_key_value()?;
            Some((queued.len(), *newest, source))
        };
        self.queued.change(queued, rank, change)
    }
}

impl<Rank: Ord> Crowd<Rank> {
    fn change<T>(
        &mut self,
        members: &mut Waiting,
        rank: impl Fn(&Waiting) -> Option<Rank>,
        change: impl FnOnce(&mut Waiting) -> T,
    ) -> T {
        if let Some(before) = rank(members) {
            self.ranks.remove(&before);
        }
        self.count -= members.len();
        let changed = change(members);
        self.count += members.len();
        if let Some(after) = rank(members) {
            self.ranks.insert(after);
        }
        changed
    }
}

#[cfg(test)]
mod tests;
