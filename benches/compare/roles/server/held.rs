//! Connections whose messages the server keeps, until it is told to answer them.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::roles::HELD;
use crate::roles::transport::Transport;

/// Nothing is measured here that takes so long: what has not come then, does not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where messages wait.
#[derive(Debug)]
pub(super) struct Gate {
    /// How many have come and are not answered.
    held: Mutex<usize>,
    more: Condvar,
    answers: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self { held: Mutex::default(), more: Condvar::new(), answers: Semaphore::const_new(0) }
    }
}

impl Gate {
    /// Until so many messages wait.
    pub(super) fn wait_for(&self, count: usize) {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let (held, _) = self
            .more
            .wait_timeout_while(held, PATIENCE, |held| *held < count)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(*held == count, "{held} messages wait, not {count}");
    }

    /// Lets the server answer so many messages, those that are to come included.
    pub(super) fn answer(&self, count: usize) {
        self.answers.add_permits(count);
    }

    async fn pass(&self) {
        self.count(|held| held + 1);
        self.answers.acquire().await.expect("it is never closed").forget();
        self.count(|held| held - 1);
    }

    fn count(&self, change: impl Fn(usize) -> usize) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = change(*held);
        self.more.notify_all();
    }
}

/// Reads whole messages, keeps each until it may be answered, sends it back, and drops it.
pub(super) fn serve<T: Transport>(transport: &T, tcp: TcpStream, gate: Arc<Gate>) {
    let accepting = transport.accept(tcp);
    let pool = transport.pool();
    tokio::spawn(async move {
        // A client that goes away is its own affair.
        let Ok(mut stream) = accepting.await else { return };
        while let Ok(message) = T::receive_all(&mut stream, &pool, HELD).await {
            gate.pass().await;
            if T::send(&mut stream, &message).await.is_err() {
                return;
            }
        }
    });
}
