//! The other ends, each a process: honest ones and attackers. A helper says `{}` when it is ready, obeys orders from standard input
//! and ends with it.

mod bulk;
#[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
mod callers;
#[cfg(feature = "tonic")]
mod channels;
mod claims;
mod crowd;
mod flood;
#[cfg(feature = "http2")]
mod http2;
mod live;
mod loris;
mod mute;
pub(crate) mod raw;
mod resets;
mod returning;
#[cfg(any(feature = "http2", feature = "yamux"))]
mod throwing;
mod trickle;
mod visitors;
#[cfg(feature = "yamux")]
mod yamux;

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use alts::Connector;
use alts::connect::Settings;
use alts::handshaker::{HandshakeLimits, Handshaker, LimitOptions};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::gauges::allow_many_descriptors;
use crate::identities;

pub(crate) use bulk::{MAX_FRAME_SIZE, sum};

/// What every helper knows, and how it is told what to do.
pub(crate) struct Work {
    pub(crate) dir: PathBuf,
    pub(crate) server: SocketAddr,
    words: Vec<String>,
    orders: UnboundedReceiver<Vec<String>>,
}

/// Is a helper: never returns to a scenario.
pub(crate) fn run(words: &[String]) {
    allow_many_descriptors();
    let (sender, orders) = unbounded_channel();
    let work = Work {
        dir: words[1].clone().into(),
        server: words[2].parse().expect("an address"),
        words: words[3..].to_vec(),
        orders,
    };
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let words = line.expect("an order").split(' ').map(str::to_owned).collect();
            if sender.send(words).is_err() {
                return;
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        match words[0].as_str() {
            "live" => live::run(work).await,
            "visitors" => visitors::run(work).await,
            "claims" => claims::run(work).await,
            "loris" => loris::run(work).await,
            "flood" => flood::run(work).await,
            "mute" => mute::run(work).await,
            "resets" => resets::run(work).await,
            "returning" => returning::run(work).await,
            "bulk" => bulk::run(work).await,
            "trickle" => trickle::run(work).await,
            "crowd" => crowd::run(work).await,
            #[cfg(feature = "http2")]
            "http2" => http2::run(work).await,
            #[cfg(feature = "http2")]
            "http2_honest" => http2::honest::run(work).await,
            #[cfg(all(feature = "tonic", feature = "remote", feature = "service"))]
            "callers" => callers::run(work).await,
            #[cfg(feature = "tonic")]
            "channels" => channels::run(work).await,
            #[cfg(feature = "yamux")]
            "yamux" => yamux::run(work).await,
            name => panic!("{name} is no helper"),
        }
    });
    // Connections that are still open are reset or ended with the process.
    std::process::exit(0);
}

impl Work {
    /// The next order; `None` when the server's process is done or gone.
    pub(crate) async fn order(&mut self) -> Option<Vec<String>> {
        self.orders.recv().await
    }

    /// A word from the command line.
    pub(crate) fn word(&self, at: usize) -> &str {
        &self.words[at]
    }

    /// Whether the command line has this word.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.words.iter().any(|found| found == word)
    }

    /// A number from the command line.
    pub(crate) fn number(&self, at: usize) -> u64 {
        self.words[at].parse().expect("a number")
    }

    /// Connects with patience and without limits of its own: the server's are what is tested.
    pub(crate) fn connector(&self, name: &str) -> Connector {
        self.connector_with(name, |_| ())
    }

    pub(crate) fn connector_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut Settings),
    ) -> Connector {
        connector_of(identities::client(&self.dir, name), change)
    }
}

/// With a handshaker of the helper's own.
pub(crate) fn connector_of(
    handshaker: impl Handshaker,
    change: impl FnOnce(&mut Settings),
) -> Connector {
    let mut limits = LimitOptions::default();
    limits.half_open = usize::MAX;
    limits.crypto = 1;
    let mut settings = Settings::default();
    settings.limits = HandshakeLimits::new(limits);
    settings.handshake_timeout = Duration::from_secs(5 * 60);
    settings.first_bytes_timeout = settings.handshake_timeout;
    change(&mut settings);
    Connector::with_settings(handshaker, settings)
}

/// Says what was counted.
pub(crate) fn report(figures: &Value) {
    println!("{figures}");
}
