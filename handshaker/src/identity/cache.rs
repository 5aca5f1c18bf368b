//! The cache of good chains.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::trust::Digest;
use super::verify::VerifiedPeer;

/// What a verification depended on, time apart. The chain comes first, so that all entries of one chain lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) chain: Digest,
    /// Of all trust bundles and revocation lists.
    pub(super) trust: Digest,
    /// Whether the peer acts as server.
    pub(super) server: bool,
}

#[derive(Debug)]
struct Entry {
    peer: Arc<VerifiedPeer>,
    verified: SystemTime,
}

/// How a chain cache fared.
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
    /// Entries too old to be used stay until they are in the way: their `Arc`s are handed out again once the chain has been
    /// verified anew.
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

    /// The result of a verification that is recent enough.
    pub(super) fn get(&self, key: &Key, now: SystemTime) -> Option<Arc<VerifiedPeer>> {
        let found = self.lock().get(key).and_then(|entry| {
            // A clock that went backwards makes no entry younger.
            let age = now.duration_since(entry.verified).ok()?;
            (age < self.max_age).then(|| Arc::clone(&entry.peer))
        });
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Remembers a good chain. Answers with what earlier verifications of the same chain gave, as far as it is equal.
    pub(super) fn insert(
        &self,
        key: Key,
        mut peer: VerifiedPeer,
        now: SystemTime,
    ) -> Arc<VerifiedPeer> {
        if self.capacity == 0 {
            return Arc::new(peer);
        }
        let mut entries = self.lock();
        let first = Key { trust: Digest::default(), server: false, ..key };
        let same_chain = entries.range(first..).take_while(|(other, _)| other.chain == key.chain);
        let mut shared = None;
        for (_, known) in same_chain {
            if *known.peer == peer {
                shared = Some(Arc::clone(&known.peer));
                break;
            }
            if known.peer.peer == peer.peer {
                peer.peer = Arc::clone(&known.peer.peer);
            }
        }
        let peer = shared.unwrap_or_else(|| Arc::new(peer));
        entries.insert(key, Entry { peer: Arc::clone(&peer), verified: now });
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
