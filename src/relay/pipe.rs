//! Pipes for splice, taken while bytes move.

use std::fmt;

/// Pipes in a pool unless set. The kernel lets an unprivileged user's pipes have 64 MiB together
/// (`fs.pipe-user-pages-soft`), so 64 of 1 MiB would leave nothing for other programs of the user.
const DEFAULT_MAX: usize = 32;
/// What an unprivileged process may ask for (`fs.pipe-max-size`), in bytes.
const DEFAULT_SIZE: usize = 1 << 20;

/// A pool of pipes that relays of one process share; clones share it too.
///
/// A pipe is in use only while bytes are in it. One that still has bytes when its relay ends is closed, never given back. Pipes
/// that were not used for 5 s are closed. Only Linux has them.
#[derive(Clone)]
pub struct PipePool {
    #[cfg(target_os = "linux")]
    pub(super) shared: std::sync::Arc<linux::Shared>,
}

/// The figures of a [`PipePool`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipeStats {
    /// Pipes with bytes in them.
    pub in_use: usize,
    /// Empty pipes that wait for their next use.
    pub idle: usize,
    /// Pipes opened since the pool was made.
    pub opened: u64,
    /// How often no pipe could be had.
    pub refused: u64,
}

impl Default for PipePool {
    /// 32 pipes of 1 MiB.
    fn default() -> Self {
        Self::new(DEFAULT_MAX, DEFAULT_SIZE)
    }
}

impl PipePool {
    /// A pool of at most `max` pipes of `size` bytes; it opens none yet. The kernel rounds the size up to a power of two, and
    /// gives less where the user's limits are reached; a pipe of less than 64 KiB is not used.
    pub fn new(max: usize, size: usize) -> Self {
        #[cfg(not(target_os = "linux"))]
        let _ = (max, size);
        Self {
            #[cfg(target_os = "linux")]
            shared: std::sync::Arc::new(linux::Shared::new(max, size)),
        }
    }

    /// The figures of this moment.
    pub fn stats(&self) -> PipeStats {
        #[cfg(target_os = "linux")]
        return self.shared.stats();
        #[cfg(not(target_os = "linux"))]
        PipeStats::default()
    }
}

impl fmt::Debug for PipePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipePool").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::Lease;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
    use std::time::{Duration, Instant};

    use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

    use super::{PipePool, PipeStats};

    /// Below this a pipe has so few slots that copying is cheaper: the kernel gives 8 KiB to a user who has reached the limit.
    const LEAST_USEFUL: usize = 64 << 10;
    /// How long an unused pipe is kept, and how long the pool does without after the system refused one.
    const IDLE_TIME: Duration = Duration::from_secs(5);

    #[derive(Debug)]
    struct Pipe {
        read: OwnedFd,
        write: OwnedFd,
        capacity: usize,
    }

    #[derive(Debug)]
    pub(crate) struct Shared {
        max: usize,
        size: usize,
        state: Mutex<State>,
    }

    #[derive(Debug, Default)]
    struct State {
        /// The one used last is at the end, and is taken first.
        idle: Vec<(Instant, Pipe)>,
        in_use: usize,
        opened: u64,
        refused: u64,
        /// The system gave no useful pipe: until then none is asked for.
        without_until: Option<Instant>,
        /// A task closes idle pipes when their time has come.
        trimming: bool,
    }

    impl Shared {
        pub(super) fn new(max: usize, size: usize) -> Self {
            Self { max, size, state: Mutex::default() }
        }

        fn lock(&self) -> MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        pub(super) fn stats(&self) -> PipeStats {
            let state = self.lock();
            PipeStats {
                in_use: state.in_use,
                idle: state.idle.len(),
                opened: state.opened,
                refused: state.refused,
            }
        }

        fn open(&self) -> io::Result<Pipe> {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            // Refused to a user at the limit, whose pipe keeps the size it has.
            let _ = fcntl_setpipe_size(&write, self.size);
            let capacity = fcntl_getpipe_size(&write)?;
            Ok(Pipe { read, write, capacity })
        }
    }

    impl PipePool {
        /// An empty pipe, or `None`: then copy.
        pub(crate) fn take(&self) -> Option<Lease> {
            let mut state = self.shared.lock();
            let pipe = match state.idle.pop() {
                Some((_, pipe)) => pipe,
                None if state.in_use >= self.shared.max => {
                    state.refused += 1;
                    return None;
                }
                None => {
                    if state.without_until.is_some_and(|until| Instant::now() < until) {
                        state.refused += 1;
                        return None;
                    }
                    match self.shared.open() {
                        Ok(pipe) if pipe.capacity >= LEAST_USEFUL => {
                            state.opened += 1;
                            pipe
                        }
                        small_or_failed => {
                            if let Err(error) = small_or_failed {
                                tracing::debug!(%error, "no pipe can be opened: copying instead");
                            }
                            state.refused += 1;
                            state.without_until = Some(Instant::now() + IDLE_TIME);
                            return None;
                        }
                    }
                }
            };
            state.in_use += 1;
            drop(state);
            Some(Lease { pipe: Some(pipe), shared: Arc::clone(&self.shared), filled: 0 })
        }
    }

    /// A pipe in use. It goes back to its pool when it is dropped empty, and is closed otherwise.
    #[derive(Debug)]
    pub(crate) struct Lease {
        /// `None` only while it is being dropped.
        pipe: Option<Pipe>,
        shared: Arc<Shared>,
        /// Bytes in the pipe.
        pub(crate) filled: usize,
    }

    impl Lease {
        fn pipe(&self) -> &Pipe {
            self.pipe.as_ref().expect("a lease has its pipe until it is dropped")
        }

        pub(crate) fn read_end(&self) -> &OwnedFd {
            &self.pipe().read
        }

        pub(crate) fn write_end(&self) -> &OwnedFd {
            &self.pipe().write
        }

        pub(crate) fn capacity(&self) -> usize {
            self.pipe().capacity
        }
    }

    impl Drop for Lease {
        fn drop(&mut self) {
            let Some(pipe) = self.pipe.take() else { return };
            let mut state = self.shared.lock();
            state.in_use -= 1;
            if self.filled > 0 {
                return;
            }
            // Without a runtime nothing could close it in time.
            let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
            state.idle.push((Instant::now(), pipe));
            if !std::mem::replace(&mut state.trimming, true) {
                runtime.spawn(trim(Arc::downgrade(&self.shared)));
            }
        }
    }

    /// Closes pipes that were not used for a while, until there is none, or no pool.
    async fn trim(shared: Weak<Shared>) {
        loop {
            tokio::time::sleep(IDLE_TIME).await;
            let Some(shared) = shared.upgrade() else { return };
            let mut state = shared.lock();
            state.idle.retain(|(since, _)| since.elapsed() < IDLE_TIME);
            if state.idle.is_empty() {
                state.trimming = false;
                return;
            }
        }
    }
}
