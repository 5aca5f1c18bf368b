//! Messages on many connections, each in its own time.

use std::sync::Arc;
use std::time::Instant;

use alts_benches::cores::cpu_time;
use tokio::task::JoinSet;

use super::Ends;
use super::ping::exchange;
use crate::roles::transport::Transport;

impl<T: Transport> Ends<T> {
    /// On each connection, sends a message and has it back, so many times, all connections at the same time. Answers how many
    /// seconds it took, and how many of processor time at this end.
    pub(super) async fn many(&mut self, size: usize, count: usize) -> Vec<f64> {
        let message: Arc<[u8]> = vec![0x5A; size].into();
        let mut tasks = JoinSet::new();
        let (start, used) = (Instant::now(), cpu_time());
        for mut stream in self.open.drain(..) {
            let (pool, message) = (self.pool.clone(), Arc::clone(&message));
            tasks.spawn(async move {
                for _ in 0..count {
                    exchange::<T>(&mut stream, &pool, &message).await.expect("an echo");
                }
                stream
            });
        }
        self.open = tasks.join_all().await;
        vec![start.elapsed().as_secs_f64(), cpu_time() - used]
    }
}
