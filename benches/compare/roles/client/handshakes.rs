//! One connection after another.

use std::time::Instant;

use alts_benches::cores::cpu_time;
use tokio::task::JoinSet;

use super::ping::exchange;
use super::{AT_A_TIME, Ends};
use crate::roles::transport::Transport;

impl<T: Transport> Ends<T> {
    /// Makes connections, some at a time, and gives each up when one byte was echoed: the server is done with the handshake, too,
    /// then. Answers how many seconds it took, and how many of processor time at this end.
    pub(super) async fn handshakes(&mut self, count: usize) -> Vec<f64> {
        let mut under_way = JoinSet::new();
        let (start, used) = (Instant::now(), cpu_time());
        for _ in 0..count {
            if under_way.len() == AT_A_TIME {
                under_way.join_next().await.expect("some are under way").expect("a connection");
            }
            let (transport, way, pool) =
                (self.transport.clone(), self.way.clone(), self.pool.clone());
            under_way.spawn(async move {
                let mut stream = way.connect(&transport).await;
                exchange::<T>(&mut stream, &pool, &[0]).await.expect("an echo");
                // Otherwise ports would run out.
                T::socket(&mut stream).set_zero_linger().expect("an open socket");
            });
        }
        under_way.join_all().await;
        vec![start.elapsed().as_secs_f64(), cpu_time() - used]
    }
}
