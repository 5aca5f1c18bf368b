//! `alts-nbd bench`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use alts::handshaker::cli::PositiveDuration;
use alts_nbd::client::{Client, Uri};
use alts_nbd::wire::flags::{CommandFlags, TransmissionFlags};
use bytes::Bytes;
use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use crate::connecting::Connecting;
use crate::outcome::Failure;
use crate::sizes::Size;
use crate::units::bytes;

/// Arguments of `alts-nbd bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// The export.
    #[arg(value_name = "URI")]
    uri: Uri,
    /// Write, which OVERWRITES the export. By default nothing is written.
    #[arg(long)]
    write: bool,
    /// Go through the export from its start on. By default places are chosen at random.
    #[arg(long)]
    sequential: bool,
    /// Bytes of a request.
    #[arg(long, value_name = "SIZE", default_value = "4k")]
    block_size: Size,
    /// Requests in flight, over all connections.
    #[arg(long, value_name = "COUNT", default_value = "16", value_parser = clap::value_parser!(u32).range(1..=4096))]
    depth: u32,
    /// Connections; more than one need a server that says that it allows several.
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    connections: u32,
    /// How long to measure.
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    time: PositiveDuration,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connecting: Connecting,
}

impl Bench {
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let at = |failure: Failure| failure.at(&self.uri);
        let mut settings = self.connecting.settings()?;
        settings.requests_in_flight = self.depth as usize;
        let dialer = self.connecting.dialer(&self.uri, settings)?;
        let connect = async || dialer.connect().await.map_err(Failure::from).map_err(at);
        let mut clients = vec![connect().await?];
        let terms = clients[0].terms().clone();
        let block = self.block_size.0;
        let minimum = u64::from(terms.block_size().minimum);
        if block == 0 || block > terms.most_data().into() || !block.is_multiple_of(minimum) {
            let most = bytes(terms.most_data().into());
            let text = format!("--block-size is a multiple of {minimum}, at most {most}");
            return Err(at(Failure::local(text)));
        }
        let blocks = terms.size() / block;
        if blocks == 0 {
            return Err(at(Failure::local("the export is smaller than --block-size")));
        }
        if self.connections > 1 && !terms.offers(TransmissionFlags::CAN_MULTI_CONN) {
            return Err(at(Failure::local("the server does not allow several connections")));
        }
        while clients.len() < self.connections as usize {
            clients.push(connect().await?);
        }

        let place = Arc::new(Places { blocks, block, next: AtomicU64::new(0) });
        let begun = Instant::now();
        let until = begun + self.time.0;
        let mut workers = JoinSet::new();
        for nth in 0..self.depth as usize {
            let work = Work {
                client: clients[nth % clients.len()].clone(),
                places: Arc::clone(&place),
                random: (!self.sequential).then_some(Random(nth as u64 + 1)),
                payload: self.write.then(|| random_bytes(block as usize)),
                until,
            };
            workers.spawn(work.run());
        }
        let mut latencies = Latencies::default();
        while let Some(worker) = workers.join_next().await {
            latencies.add(&worker.map_err(Failure::local)?.map_err(at)?);
        }
        let elapsed = begun.elapsed();
        for client in &clients {
            client.disconnect().await.map_err(Failure::from).map_err(at)?;
        }
        self.print(&latencies, elapsed);
        Ok(())
    }

    fn print(&self, latencies: &Latencies, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let count = latencies.count();
        let rate = count as f64 / seconds;
        let mib = rate * self.block_size.0 as f64 / f64::from(1 << 20);
        let percentiles = [500, 900, 990, 999]
            .map(|part: u32| (f64::from(part) / 10.0, latencies.percentile(part.into())));
        if self.json {
            let told = percentiles.map(|(part, micros)| (format!("{part}"), json!(micros)));
            let told: serde_json::Map<_, _> = told.into_iter().collect();
            let figures = json!({
                "operation": if self.write { "write" } else { "read" },
                "block_size": self.block_size.0,
                "depth": self.depth,
                "connections": self.connections,
                "seconds": seconds,
                "requests": count,
                "iops": rate,
                "mib_per_second": mib,
                "latency_us": told,
            });
            println!("{figures:#}");
            return;
        }
        let (verb, size) = (if self.write { "write" } else { "read" }, bytes(self.block_size.0));
        let order = if self.sequential { "sequential" } else { "random" };
        println!(
            "{order} {verb}, {size}, {} in flight, {} connection(s), {seconds:.1} s",
            self.depth, self.connections
        );
        println!("  {rate:.0} IOPS, {mib:.1} MiB/s");
        let told = percentiles.map(|(part, micros)| format!("{part} %: {micros} us"));
        println!("  latency {}", told.join(", "));
    }
}

/// Where requests go.
#[derive(Debug)]
struct Places {
    blocks: u64,
    block: u64,
    /// For all in turn.
    next: AtomicU64,
}

struct Work {
    client: Client,
    places: Arc<Places>,
    random: Option<Random>,
    payload: Option<Bytes>,
    until: Instant,
}

impl Work {
    async fn run(mut self) -> Result<Latencies, Failure> {
        let mut latencies = Latencies::default();
        let places = &self.places;
        loop {
            let begun = Instant::now();
            if begun >= self.until {
                return Ok(latencies);
            }
            let nth = match &mut self.random {
                Some(random) => random.next(),
                None => places.next.fetch_add(1, Ordering::Relaxed),
            };
            let offset = nth % places.blocks * places.block;
            match &self.payload {
                Some(data) => self.client.write(offset, data.clone(), CommandFlags::NONE).await?,
                None => drop(self.client.read(offset, places.block as usize).await?),
            }
            latencies.put(begun.elapsed());
        }
    }
}

/// Marsaglia's xorshift: good enough for places and contents, and the same in each run.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The low bits of neighbors are alike.
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }
}

/// What cannot be compressed, nor taken for zeroes.
fn random_bytes(len: usize) -> Bytes {
    let mut random = Random(7);
    std::iter::repeat_with(|| random.next() as u8).take(len).collect()
}

/// Counts by microseconds, exact to 1/32.
#[derive(Debug)]
struct Latencies(Vec<u64>);

/// Steps of one doubling.
const STEPS: u32 = 32;

impl Default for Latencies {
    fn default() -> Self {
        Self(vec![0; bucket(u64::MAX) + 1])
    }
}

impl Latencies {
    fn put(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket(micros)] += 1;
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(mine, more)| *mine += more);
    }

    fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The microseconds that this part, in thousandths, did not exceed.
    fn percentile(&self, part: u64) -> u64 {
        let wanted = (self.count() * part).div_ceil(1000);
        let mut seen = 0;
        let at = self.0.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map_or(0, largest)
    }
}

/// Values below [`STEPS`] have a bucket each, then every doubling has [`STEPS`] of them.
fn bucket(value: u64) -> usize {
    let steps = u64::from(STEPS);
    if value < steps {
        return value as usize;
    }
    let doublings = value.ilog2() - STEPS.ilog2();
    ((u64::from(doublings) + 1) * steps + (value >> doublings) - steps) as usize
}

/// The largest value of a bucket.
fn largest(bucket: usize) -> u64 {
    let (steps, bucket) = (u64::from(STEPS), bucket as u64);
    if bucket < steps {
        return bucket;
    }
    let doublings = bucket / steps - 1;
    ((bucket % steps + steps) << doublings) + ((1 << doublings) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_values() {
        for value in (0..5000).chain((0..63).map(|bit| (1 << bit) + 17)).chain([u64::MAX]) {
            let top = largest(bucket(value));
            assert!(top >= value && top - value <= value / 32, "{value}: {top}");
            assert_eq!(bucket(top), bucket(value));
            assert_eq!(bucket(top.saturating_add(1)) - bucket(value), usize::from(top < u64::MAX));
        }
    }

    #[test]
    fn percentiles() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(500), 0);
        for micros in 1..=20 {
            latencies.put(Duration::from_micros(micros));
        }
        latencies.put(Duration::MAX);
        assert_eq!(latencies.count(), 21);
        assert_eq!(latencies.percentile(500), 11);
        assert_eq!(latencies.percentile(900), 19);
        assert!(latencies.percentile(999) > 1 << 40);
        let mut all = Latencies::default();
        all.add(&latencies);
        assert_eq!(all.count(), 21);
    }
}
