//! Connections to the pages: a few, of which the least used gives way to a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::{AbortHandle, JoinSet};

/// The connections that are open. Dropping it closes them.
#[derive(Debug, Default)]
pub(super) struct Visitors {
    tasks: JoinSet<()>,
    open: Vec<Visitor>,
    /// Counts requests and connections: the time by which visitors are compared.
    clock: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Visitor {
    task: AbortHandle,
    last_use: Arc<AtomicU64>,
}

/// What notes that a visitor has asked something.
#[derive(Debug)]
pub(super) struct LastUse {
    clock: Arc<AtomicU64>,
    last_use: Arc<AtomicU64>,
}

impl Visitors {
    /// Prometheus and a kubelet need one each.
    pub(super) const MOST: usize = 16;

    /// Runs the task of one more visitor. If there are as many as there may be, the one that was used least recently ends first.
    pub(super) async fn admit<V>(&mut self, visit: impl FnOnce(LastUse) -> V)
    where
        V: Future<Output = ()> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        self.open.retain(|visitor| !visitor.task.is_finished());
        if self.open.len() >= Self::MOST {
            let last_use = |at: &usize| self.open[*at].last_use.load(Ordering::Relaxed);
            if let Some(oldest) = (0..self.open.len()).min_by_key(last_use) {
                self.open.swap_remove(oldest).task.abort();
                // Its socket is closed before there is another one.
                self.tasks.join_next().await;
            }
        }
        let last_use = Arc::default();
        let noted = LastUse { clock: Arc::clone(&self.clock), last_use: Arc::clone(&last_use) };
        noted.note();
        let task = self.tasks.spawn(visit(noted));
        self.open.push(Visitor { task, last_use });
    }
}

impl LastUse {
    /// It has asked just now.
    pub(super) fn note(&self) {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        self.last_use.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::sync::mpsc;

    use super::*;

    /// Says which visitor's task has ended.
    struct Ended(usize, mpsc::UnboundedSender<usize>);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.1.send(self.0);
        }
    }

    #[tokio::test]
    async fn the_least_used_gives_way_and_not_the_oldest() {
        let (sender, mut ended) = mpsc::unbounded_channel();
        let (mut visitors, mut uses) = (Visitors::default(), Vec::new());
        let mut admit = async |visitors: &mut Visitors, number| {
            let ended = Ended(number, sender.clone());
            let (use_sender, use_receiver) = tokio::sync::oneshot::channel();
            let visit = |last_use| {
                let _ = use_sender.send(last_use);
                async move {
                    let _ended = ended;
                    pending::<()>().await;
                }
            };
            visitors.admit(visit).await;
            uses.push(use_receiver.await.unwrap());
            if number + 1 == Visitors::MOST {
                uses[0].note();
                uses[2].note();
            }
        };
        for number in 0..Visitors::MOST + 3 {
            admit(&mut visitors, number).await;
        }
        assert_eq!([(); 3].map(|()| ended.try_recv().unwrap()), [1, 3, 4]);
        assert!(ended.try_recv().is_err());
        assert_eq!(visitors.open.len(), Visitors::MOST);

        // One that ends by itself makes room, and nobody has to go.
        visitors.open[0].task.abort();
        tokio::task::yield_now().await;
        let first = ended.recv().await.unwrap();
        admit(&mut visitors, 100).await;
        assert!(ended.try_recv().is_err(), "{first}");

        drop(visitors);
        let mut others = 0;
        while others < Visitors::MOST {
            ended.recv().await.unwrap();
            others += 1;
        }
    }
}
