//! One small message to and fro.

use std::io;
use std::time::{Duration, Instant};

use alts_benches::cores::cpu_time;
use tokio::io::AsyncWriteExt;

use super::Ends;
use crate::roles::transport::Transport;

impl<T: Transport> Ends<T> {
    /// Answers the p50 and p99 of a round trip, and the processor time of this end for one, in seconds.
    pub(super) async fn ping(&mut self, size: usize, count: usize) -> Vec<f64> {
        let used = cpu_time();
        let mut times = round_trips::<T>(&mut self.open[0], &self.pool, size, count).await;
        let used = cpu_time() - used;
        vec![percentile(&mut times, 50), percentile(&mut times, 99), used / count as f64]
    }
}

pub(super) async fn round_trips<T: Transport>(
    stream: &mut T::Stream,
    pool: &T::Pool,
    size: usize,
    count: usize,
) -> Vec<Duration> {
    let message = vec![0x5A; size];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        exchange::<T>(stream, pool, &message).await.expect("an echo");
        times.push(start.elapsed());
    }
    times
}

/// Sends a message and has it back.
pub(super) async fn exchange<T: Transport>(
    stream: &mut T::Stream,
    pool: &T::Pool,
    message: &[u8],
) -> io::Result<()> {
    stream.write_all(message).await?;
    stream.flush().await?;
    let mut left = message.len();
    while left > 0 {
        match T::receive(stream, pool).await? {
            Some(received) => left -= received.len(),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
    Ok(())
}

/// The time that so many of a hundred do not exceed.
pub(super) fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[times.len().saturating_sub(1) * percent / 100].as_secs_f64()
}
