//! The thread that looks at the files.

use std::convert::Infallible;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use super::super::error::IdentityError;
use super::Shared;

/// The watching thread's end of life: it ends when this is dropped together with the identity.
#[derive(Default)]
pub(super) struct Watch(Mutex<Option<Sender<Infallible>>>);

impl Watch {
    pub(super) fn start(
        &self,
        shared: &Arc<Shared>,
        interval: Duration,
    ) -> Result<(), IdentityError> {
        let mut alive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.is_none() {
            let (sender, dropped) = mpsc::channel();
            let watched = Arc::downgrade(shared);
            thread::Builder::new()
                .name("alts-identity".to_owned())
                .spawn(move || watch(&watched, &dropped, interval))
                .map_err(|fault| IdentityError::Watcher(fault.to_string()))?;
            *alive = Some(sender);
        }
        Ok(())
    }
}

fn watch(watched: &Weak<Shared>, dropped: &Receiver<Infallible>, interval: Duration) {
    // Nothing is ever sent: the wait ends early only when the sender is gone.
    while let Err(RecvTimeoutError::Timeout) = dropped.recv_timeout(interval) {
        let Some(shared) = watched.upgrade() else {
            return;
        };
        // Failures are logged and counted where they arise.
        drop(shared.reload_if_changed(SystemTime::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_ends_with_the_last_handle() {
        let (sender, dropped) = mpsc::channel();
        let thread =
            thread::spawn(move || watch(&Weak::new(), &dropped, Duration::from_secs(24 * 60 * 60)));
        drop(sender);
        thread.join().unwrap();
    }
}
