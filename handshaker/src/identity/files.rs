//! An identity in PEM files, reloaded when they change.

mod builder;
mod read;
#[cfg(all(test, feature = "dev-ca"))]
mod tests;
mod trust;

use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

pub use builder::IdentityFilesBuilder;
pub(crate) use read::FileContents;

use super::domains::{Domains, Loaded};
use super::error::IdentityError;
use super::reloading::{Found, Reloading, State};
use super::snapshot::Identity;
use super::source::IdentitySource;
use super::spiffe::TrustDomain;
use super::stats::IdentityStats;
use crate::watch::Watch;
use builder::Paths;
use trust::{load_changed, unread};

/// How long a look waits, once, when it finds the files of a trust domain broken: a file that is being written in place, as
/// spiffe-helper does, is whole by then.
const SETTLING_TIME: Duration = Duration::from_millis(50);

/// How often [`IdentityFiles::watch`] reads the files.
pub const DEFAULT_WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// An identity in PEM files: certificate chain, private key, and a trust bundle for each trust domain.
///
/// Files are compared by content, because Kubernetes changes them by replacing a symbolic link, which file notifications miss.
///
/// * **This side's chain and key** take effect together, if they are good: they fit each other, the chain is valid now, and this
///   side's bundle vouches for it. Otherwise the old ones stay, and the next look tries again, which also settles a look at files
///   that are being replaced one after the other. When the old chain expires, handshakes fail until a new one is there.
/// * **Each trust domain's files** take effect by themselves and at once, whatever they say about this side. A domain whose files
///   are missing, empty or broken has no accepted peers until they are valid again. (A look that finds them so looks again 50 ms later;
///   better replace files in one step, by renaming.) Other domains and this side's renewal go on.
///
/// Whatever is wrong is logged once, counted, and tried again at each look; when it is valid again, that is logged too.
///
/// Cloning gives another handle to the same identity.
///
/// ```no_run
/// use std::time::SystemTime;
/// use alts_handshaker::identity::{IdentityFiles, IdentitySource};
///
/// let files = IdentityFiles::builder("/run/svid/tls.crt", "/run/svid/tls.key")
///     .bundle("example.org".parse()?, "/run/svid/ca.crt")
///     .load(SystemTime::now())?;
/// files.watch()?;
/// println!("this side is {}", files.snapshot()?.id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct IdentityFiles {
    shared: Arc<Shared>,
}

struct Shared {
    paths: Paths,
    reloading: Reloading,
    watch: Watch,
}

impl IdentityFiles {
    /// Begins with the certificate chain (leaf first) and the leaf's private key. They may be in one file.
    pub fn builder(
        chain: impl Into<std::path::PathBuf>,
        key: impl Into<std::path::PathBuf>,
    ) -> IdentityFilesBuilder {
        IdentityFilesBuilder::new(chain.into(), key.into())
    }

    fn load(paths: Paths, now: SystemTime) -> Result<Self, IdentityError> {
        let contents = paths.read();
        let mut domains = Domains::default();
        let loaded = load_changed(&domains, &paths.trust, &contents.trust, &paths.template);
        domains.update(loaded, now);
        // The settings are wrong, and no change of a file can correct that.
        let is_forbidden =
            |fault: &IdentityError| matches!(fault.fault(), IdentityError::DevelopmentDomain(_));
        if let Some((_, fault)) = domains.faults().find(|(_, fault)| is_forbidden(fault)) {
            return Err(fault.clone());
        }
        let current = paths.identity(&contents, &domains, now)?;
        let pair = contents.pair_digest();
        let reloading = Reloading::new(Ok(current), pair, domains, now);
        let shared = Shared { paths, reloading, watch: Watch::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads the files. What has changed and is good takes effect, and so does that the files of a trust domain are not good any
    /// more. `true` if anything did.
    ///
    /// Blocks on file I/O.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong. All else has taken effect nevertheless.
    pub fn reload_if_changed(&self, now: SystemTime) -> Result<bool, IdentityError> {
        self.shared.reload_if_changed(now)
    }

    /// Starts a thread that looks at the files every 5 s. It ends when the last handle to this identity is dropped. Calling this
    /// again changes nothing.
    pub fn watch(&self) -> Result<(), IdentityError> {
        self.watch_every(DEFAULT_WATCH_INTERVAL)
    }

    /// As [`watch`](Self::watch), with another interval.
    pub fn watch_every(&self, interval: Duration) -> Result<(), IdentityError> {
        // Failures are logged and counted where they arise.
        let look = |shared: &Shared, now| drop(shared.reload_if_changed(now));
        let started = self.shared.watch.start(&self.shared, "alts-identity", interval, look);
        started.map_err(|fault| IdentityError::Watcher(fault.to_string()))
    }

    /// How often changed files took effect.
    pub fn reloads(&self) -> u64 {
        self.shared.reloading.reloads()
    }

    /// How many looks at the files found something wrong.
    pub fn failures(&self) -> u64 {
        self.shared.reloading.failures()
    }

    /// The first thing that the last look found wrong; `None` if all was well.
    pub fn last_error(&self) -> Option<IdentityError> {
        self.shared.reloading.state().fault()
    }

    /// The trust domains whose files cannot be used, so that none of their peers is accepted.
    pub fn unusable_trust_domains(&self) -> Vec<TrustDomain> {
        self.shared.reloading.state().domains.faults().map(|(domain, _)| domain.clone()).collect()
    }
}

impl IdentitySource for IdentityFiles {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        self.shared.reloading.current()
    }

    fn stats(&self) -> IdentityStats {
        self.shared.reloading.stats()
    }
}

impl fmt::Debug for IdentityFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.shared.reloading.current();
        let mut shown = f.debug_struct("IdentityFiles");
        if let Ok(identity) = &current {
            shown.field("id", identity.id());
        }
        shown.finish_non_exhaustive()
    }
}

impl Shared {
    fn reload_if_changed(&self, now: SystemTime) -> Result<bool, IdentityError> {
        self.reload_after(now, || thread::sleep(SETTLING_TIME))
    }

    /// As above; `settle` comes between the first look at trust domains' files that are broken and the second.
    fn reload_after(&self, now: SystemTime, settle: impl FnOnce()) -> Result<bool, IdentityError> {
        let mut state = self.reloading.state();
        let changed = self.reload(&mut state, now, settle);
        self.reloading.note_life(&mut state, changed, now);
        match state.fault() {
            Some(fault) => {
                self.reloading.count_failure();
                Err(fault)
            }
            None => Ok(changed),
        }
    }

    fn reload(&self, state: &mut State, now: SystemTime, settle: impl FnOnce()) -> bool {
        let mut contents = self.paths.read();
        let Paths { trust, template, .. } = &self.paths;
        let mut loaded = load_changed(&state.domains, trust, &contents.trust, template);
        if loaded.iter().any(Loaded::is_broken) {
            // A file may have been read while it was being written.
            settle();
            contents.trust = self.paths.read_trust();
            loaded = load_changed(&state.domains, trust, &contents.trust, template);
        }
        state.note_unread(contents.trust.iter().find_map(unread).cloned());
        let found = Found {
            trust_changed: state.domains.update(loaded, now),
            pair: contents.pair_digest(),
            make: Some(|domains: &Domains| self.paths.identity(&contents, domains, now)),
            in_chain: |fault| self.paths.in_chain(fault),
            template,
        };
        self.reloading.take(state, found, now)
    }
}
