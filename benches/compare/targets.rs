//! What alts is to reach, and how far it is from there. The one place where that is written.

use crate::report::{number, put};
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples, Spread};

/// The peer that is to be beaten.
const RIVAL: Peer = Peer::RustlsRing;
/// Us with the other cryptography, against the same rival.
#[cfg(feature = "aws-lc-rs")]
const OTHER: Option<Peer> = Some(Peer::AltsAwsLc);
#[cfg(not(feature = "aws-lc-rs"))]
const OTHER: Option<Peer> = None;

struct Target {
    what: &'static str,
    figure: Figure,
    required: Bound,
    stretch: Option<Bound>,
}

/// How a figure comes from the measurements: of a scenario, a variant, and a metric. What compares does it round by round.
#[derive(Clone, Copy)]
enum Figure {
    /// Of alts.
    Own(&'static str, &'static str, &'static str),
    /// Of alts, over that of the rival.
    Ratio(&'static str, &'static str, &'static str),
    /// Of alts, less that of plain TCP.
    AboveTcp(&'static str, &'static str, &'static str),
    /// As `Ratio`, where the rival has another variant, which comes last.
    RatioToOther(&'static str, &'static str, &'static str, &'static str),
}

#[derive(Clone, Copy)]
enum Bound {
    /// At most this, in this unit.
    Most(f64, &'static str),
    /// At least this.
    Least(f64),
    /// At most the first, or so many MiB of growth.
    MostOrGrowth(f64, f64),
}

use Bound::{Least, Most, MostOrGrowth};
use Figure::{AboveTcp, Own, Ratio, RatioToOther};

const TARGETS: &[Target] = &[
    target(
        "heap per idle connection, tokio task",
        Own("idle", "tokio task, after 1 KiB", "heap"),
        [Most(900.0, "B"), Most(720.0, "B")],
    ),
    Target {
        what: "the same, of rustls'",
        figure: Ratio("idle", "tokio task, after 1 KiB", "heap"),
        required: Most(0.1, ""),
        stretch: None,
    },
    target(
        "heap per idle connection, hand-written future",
        Own("idle", "hand-written future, after 1 KiB", "heap"),
        [Most(700.0, "B"), Most(600.0, "B")],
    ),
    target(
        "heap per idle connection, mio",
        Own("idle", "mio, after 1 KiB", "heap"),
        [Most(256.0, "B"), Most(160.0, "B")],
    ),
    target(
        "RSS per idle connection, tokio task, of rustls'",
        Ratio("idle", "tokio task, after 1 KiB", "RSS"),
        [Most(0.125, ""), Most(0.1, "")],
    ),
    target(
        "bulk, 64 KiB writes, one core: throughput, of rustls'",
        Ratio("bulk", "64 KiB, one core", "throughput"),
        [Least(1.4), Least(1.8)],
    ),
    target(
        "bulk, 1 MiB writes, one core: throughput, of rustls'",
        Ratio("bulk", "1 MiB, one core", "throughput"),
        [Least(1.4), Least(1.8)],
    ),
    target(
        "bulk, 64 KiB writes, two cores: throughput, of rustls'",
        Ratio("bulk", "64 KiB, two cores", "throughput"),
        [Least(1.25), Least(1.4)],
    ),
    target(
        "bulk, 1 MiB writes, two cores: throughput, of rustls'",
        Ratio("bulk", "1 MiB, two cores", "throughput"),
        [Least(1.25), Least(1.4)],
    ),
    target(
        "bulk, 64 KiB writes, two cores: CPU of both ends, of rustls'",
        Ratio("bulk", "64 KiB, two cores", "CPU"),
        [Most(0.70, ""), Most(0.60, "")],
    ),
    target(
        "bulk, 1 MiB writes, two cores: CPU of both ends, of rustls'",
        Ratio("bulk", "1 MiB, two cores", "CPU"),
        [Most(0.70, ""), Most(0.60, "")],
    ),
    target(
        "bulk, 16 KiB writes, one core: throughput, of rustls'",
        Ratio("bulk", "16 KiB, one core", "throughput"),
        [Least(1.3), Least(1.5)],
    ),
    target(
        "bulk, 1 KiB writes, one core: throughput, of rustls'",
        Ratio("bulk", "1 KiB, one core", "throughput"),
        [Least(1.0), Least(1.1)],
    ),
    target(
        "ping-pong, 64 B, one core: CPU of both ends above TCP",
        AboveTcp("ping-pong", "64 B", "CPU"),
        [Most(1.2, "us"), Most(0.8, "us")],
    ),
    target(
        "2,000 connections x 16 KiB, one core: throughput, of rustls'",
        Ratio("many", "16 KiB echo, one core", "throughput"),
        [Least(1.3), Least(1.6)],
    ),
    target(
        "2,000 connections x 16 KiB, two cores: throughput, of rustls'",
        Ratio("many", "16 KiB echo, two cores", "throughput"),
        [Least(1.3), Least(1.6)],
    ),
    target(
        "handshake, chains cached: CPU, of rustls'",
        RatioToOther("handshake", "chains cached", "CPU of both sides", "chains verified"),
        [Most(0.70, ""), Most(0.60, "")],
    ),
    target(
        "handshake, chains not cached: CPU, of rustls'",
        Ratio("handshake", "chains verified", "CPU of both sides"),
        [Most(1.2, ""), Most(1.0, "")],
    ),
    target(
        "ping beside 16 busy streams, p50",
        Own("fairness", "16 streams", "p50"),
        [Most(0.5, "ms"), Most(0.3, "ms")],
    ),
    target(
        "RSS after a burst, over what it was before",
        Own("burst", BURST, "after / before"),
        [MostOrGrowth(1.1, 1.0), Most(THE_SAME, "")],
    ),
];

const BURST: &str = "32 KiB on all at once";
/// The base again, as exactly as it is shown.
const THE_SAME: f64 = 1.005;

const fn target(what: &'static str, figure: Figure, bounds: [Bound; 2]) -> Target {
    let [required, stretch] = bounds;
    Target { what, figure, required, stretch: Some(stretch) }
}

/// Every target, the figure, and what it is to be. Where it was measured too, the figure of alts with the other cryptography.
pub(crate) fn table(samples: &Samples) -> String {
    let mut text = String::new();
    put(
        &mut text,
        format_args!(
            "\n{:<62}{:>8}{:>20}{:>22}{:>14}  {:<14}{}\n",
            "target",
            "alts",
            "least - most",
            "required",
            "stretch",
            "verdict",
            OTHER.map_or(String::new(), |other| format!("{:>12}", other.name())),
        ),
    );
    for target in TARGETS {
        let stretch = target.stretch.map_or("-".to_owned(), Bound::shown);
        let measured = target.measured(Peer::Alts, samples);
        let (spread, verdict) = measured.unzip();
        let median = spread.map_or("-".to_owned(), |spread| number(spread.median));
        let range = spread.map_or("-".to_owned(), |Spread { min, max, .. }| {
            format!("{} - {}", number(min), number(max))
        });
        let other = OTHER.and_then(|other| target.measured(other, samples));
        put(
            &mut text,
            format_args!(
                "{:<62}{median:>8}{range:>20}{:>22}{stretch:>14}  {:<14}{}\n",
                target.what,
                target.required.shown(),
                verdict.unwrap_or("not measured"),
                other.map_or(String::new(), |(spread, verdict)| {
                    format!("{:>12}  {verdict}", number(spread.median))
                }),
            ),
        );
    }
    text.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

impl Figure {
    /// The figure where `own` is what alts is measured by.
    fn of(self, own: Peer, samples: &Samples) -> Option<Spread> {
        let key = |peer: Peer, scenario, variant, metric| {
            Key::new(scenario, peer.name(), variant, metric)
        };
        match self {
            Own(scenario, variant, metric) => samples.spread(&key(own, scenario, variant, metric)),
            Ratio(scenario, variant, metric) => {
                RatioToOther(scenario, variant, metric, variant).of(own, samples)
            }
            RatioToOther(scenario, variant, metric, other) => samples.against(
                &key(own, scenario, variant, metric),
                &key(RIVAL, scenario, other, metric),
                |alts, rival| alts / rival,
            ),
            AboveTcp(scenario, variant, metric) => samples.against(
                &key(own, scenario, variant, metric),
                &key(Peer::Tcp, scenario, variant, metric),
                |alts, tcp| alts - tcp,
            ),
        }
    }
}

impl Bound {
    fn shown(self) -> String {
        match self {
            Most(most, "") => format!("<= {}", number(most)),
            Most(most, unit) => format!("<= {} {unit}", number(most)),
            Least(least) => format!(">= {}", number(least)),
            MostOrGrowth(most, mib) => format!("<= {} or +{mib} MiB", number(most)),
        }
    }

    fn is_met(self, figure: f64, own: Peer, samples: &Samples) -> bool {
        match self {
            Most(most, _) => figure <= most,
            Least(least) => figure >= least,
            MostOrGrowth(most, mib) => {
                let growth = Own("burst", BURST, "growth").of(own, samples);
                figure <= most || growth.is_some_and(|growth| growth.median <= mib)
            }
        }
    }
}

impl Target {
    /// The figure and the verdict on it.
    fn measured(&self, own: Peer, samples: &Samples) -> Option<(Spread, &'static str)> {
        let spread = self.figure.of(own, samples)?;
        let met = |bound: Bound| bound.is_met(spread.median, own, samples);
        let verdict = match (met(self.required), self.stretch.map(met)) {
            (false, _) => "NOT MET",
            (true, Some(true)) => "stretch",
            (true, _) => "met",
        };
        Some((spread, verdict))
    }
}
