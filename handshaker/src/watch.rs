//! A thread that looks at something again and again, for as long as somebody uses it.

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

/// The watching thread's end of life: it ends when this is dropped together with what is watched.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Option<Sender<Infallible>>>);

impl Watch {
    /// Starts the thread `name`, which does `look` each `interval`. Calling this again changes nothing.
    pub(crate) fn start<T: Send + Sync + 'static>(
        &self,
        watched: &Arc<T>,
        name: &str,
        interval: Duration,
        look: fn(&T, SystemTime),
    ) -> io::Result<()> {
        let mut alive = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alive.is_none() {
            let (sender, dropped) = mpsc::channel();
            let watched = Arc::downgrade(watched);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || watch(&watched, &dropped, interval, look))?;
            *alive = Some(sender);
        }
        Ok(())
    }
}

fn watch<T>(
    watched: &Weak<T>,
    dropped: &Receiver<Infallible>,
    interval: Duration,
    look: fn(&T, SystemTime),
) {
    // Nothing is ever sent: the wait ends early only when the sender is gone.
    while let Err(RecvTimeoutError::Timeout) = dropped.recv_timeout(interval) {
        let Some(watched) = watched.upgrade() else {
            return;
        };
        look(&watched, SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_ends_with_the_last_handle() {
        let (sender, dropped) = mpsc::channel();
        let day = Duration::from_secs(24 * 60 * 60);
        let thread = thread::spawn(move || watch(&Weak::<()>::new(), &dropped, day, |(), _| {}));
        drop(sender);
        thread.join().unwrap();
    }
}
