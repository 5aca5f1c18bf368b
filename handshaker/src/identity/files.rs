//! An identity in PEM files, reloaded when they change.

mod builder;
mod domains;
mod read;
#[cfg(all(test, feature = "dev-ca"))]
mod tests;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, SystemTime};

pub use builder::IdentityFilesBuilder;

use super::digest::Digest;
use super::error::IdentityError;
use super::snapshot::{Identity, IdentitySource};
use super::spiffe::TrustDomain;
use builder::Paths;
use domains::{Domains, Loaded};
use watch::{Life, Watch};

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
    current: RwLock<Arc<Identity>>,
    /// Held while files are read: one reload at a time.
    state: Mutex<State>,
    reloads: AtomicU64,
    failures: AtomicU64,
    watch: Watch,
}

struct State {
    /// Of the chain and key that `current` came from.
    pair: Option<Digest>,
    domains: Domains,
    /// What the last look found wrong with the chain and the key. The log says it already.
    pair_fault: Option<IdentityError>,
    life: Life,
}

impl State {
    /// What the last look found wrong.
    fn fault(&self) -> Option<IdentityError> {
        let domain = || self.domains.faults().next().map(|(_, fault)| fault.clone());
        self.pair_fault.clone().or_else(domain)
    }
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
        let loaded = domains.load_changed(&paths.trust, &contents.trust, &paths.template);
        domains.update(loaded);
        // The settings are wrong, and no change of a file can correct that.
        let is_forbidden =
            |fault: &IdentityError| matches!(fault.fault(), IdentityError::DevelopmentDomain(_));
        if let Some((_, fault)) = domains.faults().find(|(_, fault)| is_forbidden(fault)) {
            return Err(fault.clone());
        }
        let current = paths.identity(&contents, &domains, now)?;
        let life = Life::of(&current, now);
        life.log(&current);
        let failures = u64::from(domains.faults().next().is_some());
        let pair = contents.pair_digest();
        let shared = Shared {
            paths,
            current: RwLock::new(current),
            state: Mutex::new(State { pair, domains, pair_fault: None, life }),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(failures),
            watch: Watch::default(),
        };
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
        self.shared.watch.start(&self.shared, interval)
    }

    /// How often changed files took effect.
    pub fn reloads(&self) -> u64 {
        self.shared.reloads.load(Ordering::Relaxed)
    }

    /// How many looks at the files found something wrong.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// The first thing that the last look found wrong; `None` if all was well.
    pub fn last_error(&self) -> Option<IdentityError> {
        self.shared.state().fault()
    }

    /// The trust domains whose files cannot be used, so that none of their peers is accepted.
    pub fn unusable_trust_domains(&self) -> Vec<TrustDomain> {
        self.shared.state().domains.faults().map(|(domain, _)| domain.clone()).collect()
    }
}

impl IdentitySource for IdentityFiles {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Ok(self.shared.current())
    }
}

impl fmt::Debug for IdentityFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityFiles")
            .field("id", self.shared.current().id())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn current(&self) -> Arc<Identity> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reload_if_changed(&self, now: SystemTime) -> Result<bool, IdentityError> {
        self.reload_after(now, || thread::sleep(SETTLING_TIME))
    }

    /// As above; `settle` comes between the first look at trust domains' files that are broken and the second.
    fn reload_after(&self, now: SystemTime, settle: impl FnOnce()) -> Result<bool, IdentityError> {
        let mut state = self.state();
        let changed = self.reload(&mut state, now, settle);
        let current = self.current();
        let life = Life::of(&current, now);
        if life > state.life || changed {
            life.log(&current);
        }
        state.life = life;
        match state.fault() {
            Some(fault) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(fault)
            }
            None => Ok(changed),
        }
    }

    fn reload(&self, state: &mut State, now: SystemTime, settle: impl FnOnce()) -> bool {
        let mut contents = self.paths.read();
        let Paths { trust, template, .. } = &self.paths;
        let mut loaded = state.domains.load_changed(trust, &contents.trust, template);
        if loaded.iter().any(Loaded::is_broken) {
            // A file may have been read while it was being written.
            settle();
            contents.trust = self.paths.read_trust();
            loaded = state.domains.load_changed(trust, &contents.trust, template);
        }
        let mut next = None;
        let trust_changed = state.domains.update(loaded);
        let pair = contents.pair_digest();
        let mut fault = None;
        if pair.is_none() || pair != state.pair {
            match self.paths.identity(&contents, &state.domains, now) {
                Ok(identity) => {
                    tracing::info!(id = %identity.id(), "certificate and key reloaded");
                    state.pair = pair;
                    next = Some(identity);
                }
                Err(found) => fault = Some(found),
            }
        }
        if next.is_none() && trust_changed {
            let trust = state.domains.bundles(template);
            next = Some(self.current().with_trust(trust, now));
        }
        let changed = next.is_some();
        if let Some(identity) = next {
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = identity;
            self.reloads.fetch_add(1, Ordering::Relaxed);
        }
        let fault = fault.or_else(|| self.doubt(state));
        match (&fault, &state.pair_fault) {
            (Some(fault), before) if before.as_ref() != Some(fault) => {
                tracing::warn!(%fault, "this side keeps the certificate and key that it has");
            }
            (None, Some(_)) => tracing::info!("this side's certificate and key are valid again"),
            _ => {}
        }
        state.pair_fault = fault;
        changed
    }

    /// The fault that this side's bundle does not vouch for this side, unless the bundle itself has a fault.
    fn doubt(&self, state: &State) -> Option<IdentityError> {
        let current = self.current();
        let domain = current.id().trust_domain();
        if state.domains.fault(&domain).is_some() {
            return None;
        }
        self.paths.doubt(&current)
    }
}
