//! One size.

use std::path::Path;
use std::thread;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::Error;
use super::child::Pair;
use super::held::Held;
use super::kernel::{Kernel, KernelGrowth};
use super::limits::{FIRST_ADDRESS, Limits};

/// Connections of each pair that are there before anything is measured, so that what only the first ones cost is not counted.
const WARM_UP: usize = 64;

/// What was found.
pub(crate) struct Measured {
    pub(crate) row: Row,
    /// Why there were fewer connections than there should have been.
    pub(crate) stopped: Option<String>,
}

/// What a connection holds, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) connections: u64,
    pub(crate) pairs: usize,
    pub(crate) server: Share,
    pub(crate) client: Share,
    pub(crate) kernel: KernelGrowth,
    /// Connections that were made in a second, all processes together.
    pub(crate) made: f64,
    /// Microseconds of an echo through a quiet connection, median and 99th percentile, those of the middle pair.
    pub(crate) ping: [f64; 2],
}

/// One end's part of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) heap: f64,
    pub(crate) resident: f64,
    pub(crate) proportional: f64,
}

pub(crate) fn measure(
    connections: usize,
    limits: &Limits,
    directory: &Path,
) -> Result<Measured, Error> {
    let shares = limits.shares(connections);
    let mut pairs = Vec::new();
    for number in (FIRST_ADDRESS..).take(shares.len()) {
        pairs.push(Pair::start(number, directory)?);
    }
    for pair in &mut pairs {
        if let Some(why) = pair.connect(WARM_UP, |_| {})? {
            return Err(why.into());
        }
    }
    let (server_before, client_before) = held(&mut pairs)?;
    let kernel_before = Kernel::at_rest()?;

    let begun = Instant::now();
    let stopped = connect(&mut pairs, &shares, connections)?;
    let seconds = begun.elapsed().as_secs_f64();

    let (server, client) = held(&mut pairs)?;
    let opened = server.connections - server_before.connections;
    if opened == 0 || opened != client.connections - client_before.connections {
        let why = stopped.unwrap_or_else(|| "a connection was lost".to_owned());
        return Err(format!("{opened} of {connections} connections: {why}").into());
    }
    let kernel = Kernel::at_rest()?.growth(&kernel_before, opened);
    let row = Row {
        connections: opened,
        pairs: pairs.len(),
        server: Share::of(server, server_before),
        client: Share::of(client, client_before),
        kernel,
        made: opened as f64 / seconds,
        ping: ping(&mut pairs)?,
    };
    Ok(Measured { row, stopped })
}

/// All pairs at once. Answers why there are fewer connections than there should be, if so.
fn connect(
    pairs: &mut [Pair],
    shares: &[usize],
    connections: usize,
) -> Result<Option<String>, Error> {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} connections, {eta} left")?;
    let bar = ProgressBar::new(connections as u64).with_style(style);
    let results: Vec<Result<Option<String>, String>> = thread::scope(|scope| {
        let threads: Vec<_> = pairs
            .iter_mut()
            .zip(shares)
            .map(|(pair, &share)| {
                let bar = &bar;
                scope.spawn(move || {
                    let mut before = WARM_UP as u64;
                    let progress = |total: u64| {
                        bar.inc(total.saturating_sub(before));
                        before = total;
                    };
                    pair.connect(share, progress).map_err(|error| error.to_string())
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".to_owned())))
            .collect()
    });
    bar.finish_and_clear();
    let mut stopped = None;
    for result in results {
        stopped = result?.or(stopped);
    }
    Ok(stopped)
}

/// One pair after the other; what the middle one found.
fn ping(pairs: &mut [Pair]) -> Result<[f64; 2], Error> {
    let mut all = pairs.iter_mut().map(Pair::ping).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    Ok(all[all.len() / 2])
}

/// Of all servers, and of all clients.
fn held(pairs: &mut [Pair]) -> Result<(Held, Held), Error> {
    let mut all = (Held::default(), Held::default());
    for pair in pairs {
        let (server, client) = pair.held()?;
        all.0.add(server);
        all.1.add(client);
    }
    Ok(all)
}

impl Share {
    fn of(now: Held, before: Held) -> Self {
        let connections = (now.connections - before.connections) as f64;
        let share =
            |now: u64, before: u64| (now.cast_signed() - before.cast_signed()) as f64 / connections;
        Self {
            heap: share(now.heap, before.heap),
            resident: share(now.resident, before.resident),
            proportional: share(now.proportional, before.proportional),
        }
    }
}
