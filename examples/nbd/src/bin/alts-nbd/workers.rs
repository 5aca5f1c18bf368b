//! Threads that serve connections.
//!
//! Each has a runtime of its own, and a connection stays on its thread. In a runtime with several threads, one that wakes up for a
//! request wakes another to look for more work, which costs more than a small request itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The threads.
#[derive(Debug)]
pub(crate) struct Workers(Box<[Worker]>);

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// One that counts as long as this exists.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads. Each may start `blocking` more that wait for files, and gives calls that they have begun `patience` to
    /// end.
    pub(crate) fn start(count: usize, blocking: usize, patience: Duration) -> io::Result<Self> {
        let workers = (0..count).map(|number| {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(blocking)
                .build()?;
            let handle = runtime.handle().clone();
            let (stop, stopped) = oneshot::channel();
            let name = format!("alts-nbd-{number}");
            let thread = std::thread::Builder::new().name(name).spawn(move || {
                // It is over when the other end is dropped, too.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(patience);
            })?;
            Ok(Worker { runtime: handle, connections: Arc::default(), stop, thread })
        });
        workers.collect::<io::Result<_>>().map(Self)
    }

    /// Has the thread with the fewest connections run this one.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let Some(worker) = self.0.iter().min_by_key(load) else { return };
        worker.connections.fetch_add(1, Ordering::Relaxed);
        let counted = Counted(Arc::clone(&worker.connections));
        worker.runtime.spawn(async move {
            let _counted = counted;
            connection.await;
        });
    }

    /// Cuts off what is still there.
    pub(crate) fn stop(self) {
        let threads: Vec<_> = self
            .0
            .into_iter()
            .map(|worker| {
                // A thread that has ended needs no telling.
                let _ = worker.stop.send(());
                worker.thread
            })
            .collect();
        for thread in threads {
            // A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}
