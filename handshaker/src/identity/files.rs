//! An identity in PEM files, reloaded when they change.

mod builder;
mod read;
mod watch;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

pub use builder::IdentityFilesBuilder;

use super::error::IdentityError;
use super::snapshot::{Identity, IdentitySource};
use super::trust::Digest;
use builder::Paths;
use watch::{Life, Watch};

/// How often [`IdentityFiles::watch`] reads the files.
pub const DEFAULT_WATCH_INTERVAL: Duration = Duration::from_secs(5);

/// An identity in PEM files: certificate chain, private key, and a trust bundle for each trust domain.
///
/// Files are compared by content, because Kubernetes changes them by replacing a symbolic link, which file notifications miss.
/// A new identity takes effect only if it is whole: key and leaf fit, the chain is valid, the bundles can be read. Otherwise the
/// old one stays, the failure is logged and counted, and the next look tries again, which also settles a look at files half way
/// through being replaced.
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
/// println!("we are {}", files.snapshot()?.id());
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
    /// Of the files that `current` came from.
    loaded: Digest,
    /// What the log already says.
    last_error: Option<IdentityError>,
    life: Life,
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
        let contents = paths.read()?;
        let current = contents.identity(&paths, now)?;
        let life = Life::of(&current, now);
        life.log(&current);
        let shared = Shared {
            paths,
            current: RwLock::new(current),
            state: Mutex::new(State { loaded: contents.digest(), last_error: None, life }),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            watch: Watch::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads the files, and takes them over if they have changed and are good: then the answer is `true`.
    ///
    /// Blocks on file I/O. On an error the old identity stays.
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

    /// How often changed files were taken over.
    pub fn reloads(&self) -> u64 {
        self.shared.reloads.load(Ordering::Relaxed)
    }

    /// How often a look at the files failed and the old identity stayed.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// What the last look found wrong; `None` if all was well.
    pub fn last_error(&self) -> Option<IdentityError> {
        self.shared.state().last_error.clone()
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
        let mut state = self.state();
        let changed = self.reload(&mut state, now);
        match &changed {
            Ok(_) => state.last_error = None,
            Err(fault) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                if state.last_error.as_ref() != Some(fault) {
                    tracing::warn!(%fault, "keeping the old identity");
                    state.last_error = Some(fault.clone());
                }
            }
        }
        let current = self.current();
        let life = Life::of(&current, now);
        if life > state.life || matches!(changed, Ok(true)) {
            life.log(&current);
        }
        state.life = life;
        changed
    }

    fn reload(&self, state: &mut State, now: SystemTime) -> Result<bool, IdentityError> {
        let contents = self.paths.read()?;
        let digest = contents.digest();
        if digest == state.loaded {
            return Ok(false);
        }
        let identity = contents.identity(&self.paths, now)?;
        tracing::info!(id = %identity.id(), "identity reloaded");
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = identity;
        state.loaded = digest;
        self.reloads.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }
}
