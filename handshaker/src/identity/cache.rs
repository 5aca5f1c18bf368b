//! The cache of chains whose owners have proved themselves.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::chain::VerifiedPeer;
use super::digest::Digest;

/// What a verification depended on, time and the rest of the path apart. The leaf comes first, so that all entries of one leaf
/// lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) leaf: Digest,
    /// Of the authorities and revocation lists of the leaf's trust domain.
    pub(super) trust: Digest,
    /// Whether the peer acts as server.
    pub(super) server: bool,
}

#[derive(Debug)]
struct Entry {
    peer: Arc<VerifiedPeer>,
    /// The intermediates that led to an authority.
    intermediates: Box<[Digest]>,
    verified: SystemTime,
}

/// Counters of a chain cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Chains that did not have to be verified again.
    pub hits: u64,
    /// Chains that were unknown, or known for too long.
    pub misses: u64,
}

#[derive(Debug)]
pub(super) struct ChainCache {
    capacity: usize,
    max_age: Duration,
    /// Entries that are too old to be used stay until their place is needed: their `Arc`s are shared again once the chain has
    /// been verified again.
    entries: Mutex<BTreeMap<Key, Entry>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl ChainCache {
    pub(super) fn new(capacity: usize, max_age: Duration) -> Self {
        Self {
            capacity,
            max_age,
            entries: Mutex::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The result of a verification that is recent enough, if all certificates that it took are among `others`.
    pub(super) fn get(
        &self,
        key: &Key,
        others: &[Digest],
        now: SystemTime,
    ) -> Option<Arc<VerifiedPeer>> {
        let found = self.lock().get(key).and_then(|entry| {
            // A clock that went backwards makes no entry younger.
            let age = now.duration_since(entry.verified).ok()?;
            let is_here = entry.intermediates.iter().all(|digest| others.contains(digest));
            (age < self.max_age && is_here).then(|| Arc::clone(&entry.peer))
        });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Remembers a chain whose owner has proved that it has the key. Answers with what earlier verifications of the same leaf gave,
    /// as far as it is equal.
    pub(super) fn insert(
        &self,
        key: Key,
        intermediates: &[Digest],
        mut peer: VerifiedPeer,
        now: SystemTime,
    ) -> Arc<VerifiedPeer> {
        if self.capacity == 0 {
            return Arc::new(peer);
        }
        let mut entries = self.lock();
        let first = Key { trust: Digest::default(), server: false, ..key };
        let same_leaf = entries.range(first..).take_while(|(other, _)| other.leaf == key.leaf);
        let mut shared = None;
        for (_, known) in same_leaf {
            if *known.peer == peer {
                shared = Some(Arc::clone(&known.peer));
                break;
            }
            if known.peer.peer == peer.peer {
                peer.peer = Arc::clone(&known.peer.peer);
            }
        }
        let peer = shared.unwrap_or_else(|| Arc::new(peer));
        let entry =
            Entry { peer: Arc::clone(&peer), intermediates: intermediates.into(), verified: now };
        entries.insert(key, entry);
        if entries.len() > self.capacity
            && let Some(oldest) =
                entries.iter().min_by_key(|(_, entry)| entry.verified).map(|(key, _)| *key)
        {
            entries.remove(&oldest);
        }
        peer
    }

    pub(super) fn stats(&self) -> CacheStats {
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
        }
    }

    /// Every change under the lock is complete in itself, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
