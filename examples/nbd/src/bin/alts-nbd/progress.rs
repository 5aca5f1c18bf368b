//! A bar on the terminal.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::interval;

use crate::units::bytes;

/// How often it is drawn.
const PERIOD: Duration = Duration::from_millis(200);
const WIDTH: usize = 40;

/// Bytes that are done, and a task that draws them if standard error is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    done: Arc<AtomicU64>,
    drawing: Option<JoinHandle<()>>,
    total: u64,
    begun: Instant,
}

impl Progress {
    /// `wanted` is whether to draw; by default if standard error is a terminal.
    pub(crate) fn begin(total: u64, wanted: Option<bool>) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let begun = Instant::now();
        let drawing = wanted.unwrap_or_else(|| stderr().is_terminal()).then(|| {
            let done = Arc::clone(&done);
            tokio::spawn(async move {
                let mut ticks = interval(PERIOD);
                loop {
                    ticks.tick().await;
                    draw(&line(done.load(Ordering::Relaxed), total, begun.elapsed()));
                }
            })
        });
        Self { done, drawing, total, begun }
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Leaves the last state on the terminal.
    pub(crate) fn end(self) {
        if let Some(drawing) = self.drawing {
            drawing.abort();
            draw(&line(self.done.load(Ordering::Relaxed), self.total, self.begun.elapsed()));
            let _ = writeln!(stderr());
        }
    }
}

fn draw(line: &str) {
    // Nobody can be told that the terminal is gone.
    let mut out = stderr().lock();
    let _ = write!(out, "\r{line}\x1b[K");
    let _ = out.flush();
}

fn line(done: u64, total: u64, elapsed: Duration) -> String {
    let part = |of: u64| match total {
        0 => of,
        _ => (u128::from(done) * u128::from(of) / u128::from(total)) as u64,
    };
    let filled = (part(WIDTH as u64) as usize).min(WIDTH);
    let (bar, rest) = ("#".repeat(filled), "-".repeat(WIDTH - filled));
    let rate = bytes((u128::from(done) * 1000 / elapsed.as_millis().max(1)) as u64);
    format!("[{bar}{rest}] {:3} %  {} of {}  {rate}/s", part(100), bytes(done), bytes(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let second = Duration::from_secs(1);
        let half = line(1 << 20, 2 << 20, second);
        assert_eq!(half.matches('#').count() * 2, WIDTH);
        assert!(half.ends_with(" 50 %  1 MiB of 2 MiB  1 MiB/s"), "{half}");
        assert!(line(0, 0, second).contains("100 %"));
        assert_eq!(line(3, 2, second).matches('#').count(), WIDTH, "never beyond its end");
    }
}
