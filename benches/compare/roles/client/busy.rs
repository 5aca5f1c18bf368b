//! A ping beside streams that never rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use super::ping::{percentile, round_trips};
use super::{Ends, Way, runtime};
use crate::roles::server::Request;
use crate::roles::transport::Transport;

/// What a busy stream writes at a time.
const WRITE: usize = 64 << 10;
/// Until the streams have filled what there is to fill.
const WARM_UP: Duration = Duration::from_millis(200);

impl<T: Transport> Ends<T> {
    /// Pings while so many other connections, on a thread of their own, send as much as the server takes. Answers the p50 and p99
    /// of a round trip, in seconds, and how many bytes the server took in a second.
    pub(super) async fn busy(&mut self, streams: usize, size: usize, millis: usize) -> Vec<f64> {
        let load = Arc::new(Load::default());
        let (transport, way, sent) = (self.transport.clone(), self.way.clone(), Arc::clone(&load));
        let loading = std::thread::spawn(move || {
            runtime().block_on(async {
                let mut tasks = JoinSet::new();
                for _ in 0..streams {
                    tasks.spawn(send(transport.clone(), way.clone(), Arc::clone(&sent)));
                }
                tasks.join_all().await;
            });
        });
        let mut stream = self.way.connect(&self.transport).await;
        let request = Request::Echo.header(0, 0);
        T::send(&mut stream, &request).await.expect("sent");
        tokio::time::sleep(WARM_UP).await;
        let (start, before) = (Instant::now(), load.sent.load(Ordering::Relaxed));
        let duration = Duration::from_millis(millis as u64);
        let mut times = Vec::new();
        while start.elapsed() < duration {
            times.extend(round_trips::<T>(&mut stream, &self.pool, size, 1).await);
        }
        let sent = (load.sent.load(Ordering::Relaxed) - before) as f64;
        let rate = sent / start.elapsed().as_secs_f64();
        load.over.store(true, Ordering::Relaxed);
        loading.join().expect("the streams end");
        vec![percentile(&mut times, 50), percentile(&mut times, 99), rate]
    }
}

#[derive(Default)]
struct Load {
    over: AtomicBool,
    sent: AtomicU64,
}

async fn send<T: Transport>(transport: T, way: Way, load: Arc<Load>) {
    let mut stream = way.connect(&transport).await;
    let request = Request::Upload.header(0, usize::MAX);
    stream.write_all(&request).await.expect("sent");
    let payload = vec![0x5A; WRITE];
    while !load.over.load(Ordering::Relaxed) {
        stream.write_all(&payload).await.expect("sent");
        load.sent.fetch_add(payload.len() as u64, Ordering::Relaxed);
    }
}
