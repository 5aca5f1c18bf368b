//! The table: each figure, what is required of it, and whether it is met.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

/// All figures, by peer, measurement and name: one for each round.
#[derive(Default)]
pub(crate) struct Figures(BTreeMap<(String, String, String), Vec<f64>>);

/// A line of the table.
struct Row {
    what: &'static str,
    /// Of alts; of the others for comparison.
    figure: Option<f64>,
    rust: Option<f64>,
    hashicorp: Option<f64>,
    required: f64,
    stretch: Option<f64>,
}

impl Figures {
    pub(crate) fn add(&mut self, peer: &str, measurement: &str, figures: &[(String, f64)]) {
        for (name, value) in figures {
            let key = (peer.to_owned(), measurement.to_owned(), name.clone());
            self.0.entry(key).or_default().push(*value);
        }
    }

    fn all(&self, peer: &str, measurement: &str, name: &str) -> Option<&[f64]> {
        let key = (peer.to_owned(), measurement.to_owned(), name.to_owned());
        self.0.get(&key).map(Vec::as_slice)
    }

    /// The median.
    fn get(&self, peer: &str, measurement: &str, name: &str) -> Option<f64> {
        self.all(peer, measurement, name).map(median)
    }

    /// The median of the ratios of each round, to the better of the rivals in it.
    fn ratio(&self, peer: &str, measurement: &str, rivals: &[&str]) -> Option<f64> {
        let figures = self.all(peer, measurement, "cpu")?;
        let rivals: Vec<_> =
            rivals.iter().filter_map(|rival| self.all(rival, measurement, "cpu")).collect();
        let ratios: Vec<f64> = figures
            .iter()
            .enumerate()
            .filter_map(|(round, figure)| {
                let best = rivals.iter().map(|rival| rival[round]).min_by(f64::total_cmp)?;
                Some(figure / best)
            })
            .collect();
        (!ratios.is_empty()).then(|| median(&ratios))
    }

    fn rows(&self) -> Vec<Row> {
        let row = |what, measurement: &str, name: &str, required, stretch| Row {
            what,
            figure: self.get("alts", measurement, name),
            rust: self.get("rust-yamux", measurement, name),
            hashicorp: self.get("hashicorp", measurement, name),
            required,
            stretch,
        };
        let ratio = |what, measurement: &str, rivals: &[&str], required, stretch| Row {
            what,
            figure: self.ratio("alts", measurement, rivals),
            rust: self.ratio("rust-yamux", measurement, rivals),
            hashicorp: self.ratio("hashicorp", measurement, rivals),
            required,
            stretch,
        };
        let tcp_and_a_fifth = |size: &str| {
            let measurement = format!("tcp {size}");
            let better = ["rust-yamux", "hashicorp"]
                .iter()
                .filter_map(|peer| self.get(peer, &measurement, "cpu"))
                .min_by(f64::total_cmp);
            let tcp = self.get("tcp", &measurement, "cpu");
            tcp.zip(better).map(|(tcp, better)| 1.2 * tcp / better)
        };
        let both = &["rust-yamux", "hashicorp"];
        vec![
            row("512 MiB in memory: allocations", "memory", "allocations", 5_000.0, Some(200.0)),
            row("512 MiB in memory: bytes allocated", "memory", "allocated", 1e6, None),
            ratio(
                "CPU over TCP, 64 KiB writes, of rust-yamux",
                "tcp 65536",
                &["rust-yamux"],
                0.7,
                Some(0.25),
            ),
            ratio(
                "CPU, 1 KiB writes, of the better one",
                "tcp 1024",
                both,
                0.5,
                tcp_and_a_fifth("1024"),
            ),
            ratio(
                "CPU, 64 B writes, of the better one",
                "tcp 64",
                both,
                0.5,
                tcp_and_a_fifth("64"),
            ),
            row("system calls for 128 MiB", "calls", "calls", 4_100.0, Some(3_100.0)),
            row("heap of an idle stream, before use, bytes", "held", "fresh", 256.0, Some(192.0)),
            row("heap of an idle stream, after 1 MiB, bytes", "held", "used", 256.0, Some(192.0)),
            row("of the pool then, bytes", "held", "pooled", 0.0, None),
            row("200 idle streams after 1 MiB each, MiB RSS", "many", "rss", 3.0, None),
            row("250 KB unread in frames of 1 byte, bytes", "tiny", "held", 295_424.0, None),
            row("an idle session, bytes", "session", "fresh", 512.0, Some(256.0)),
            row("an idle session after use, bytes", "session", "used", 512.0, Some(256.0)),
        ]
    }

    /// The table, and whether all is met that does not depend on the machine.
    pub(crate) fn table(&self) -> (String, bool) {
        let mut table = machine();
        let head = ["alts", "rust-yamux", "hashicorp", "required", "stretch", "verdict"];
        let _ = write!(table, "{:<46}", "");
        for title in head {
            let _ = write!(table, " {title:>12}");
        }
        table.push('\n');
        let mut met = true;
        for row in self.rows() {
            let verdict = match (row.figure, row.stretch) {
                (None, _) => "-",
                (Some(figure), Some(stretch)) if figure <= stretch => "stretch",
                (Some(figure), _) if figure <= row.required => "met",
                _ => {
                    // Processor time and the number of calls depend on what else runs; they are told and do not fail.
                    met &= row.what.contains("CPU") || row.what.contains("calls");
                    "NOT MET"
                }
            };
            let _ = write!(table, "{:<46}", row.what);
            for figure in [row.figure, row.rust, row.hashicorp, Some(row.required), row.stretch] {
                let _ = write!(table, " {:>12}", figure.map_or("-".to_owned(), shown));
            }
            let _ = writeln!(table, " {verdict:>12}");
        }
        table.push_str("\nprocessor time of both ends over TCP, s/GiB\n");
        for size in ["65536", "1024", "64"] {
            let _ = write!(table, "{:<46}", format!("writes of {size} bytes"));
            for peer in ["alts", "rust-yamux", "hashicorp", "tcp"] {
                let time = self.get(peer, &format!("tcp {size}"), "cpu");
                let time = time.map_or("-".to_owned(), |time| format!("{time:.2}"));
                let _ = write!(table, " {:>17}", format!("{peer} {time}"));
            }
            table.push('\n');
        }
        (table, met)
    }
}

fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn shown(figure: f64) -> String {
    if figure.abs() < 10.0 && figure != 0.0 {
        format!("{figure:.3}")
    } else {
        format!("{figure:.0}")
    }
}

fn machine() -> String {
    let said = |program: &str, words: &[&str]| {
        let output = Command::new(program).args(words).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, Into::into);
    let mut text = String::new();
    let _ = writeln!(text, "machine: {}, {cores} cores", model.map_or("unknown", |model| model.1));
    for (name, program, words) in [
        ("kernel", "uname", &["-sr"][..]),
        ("compiler", "rustc", &["--version"]),
        ("go", "go", &["version"]),
        ("date", "date", &["-I"]),
        ("commit", "git", &["rev-parse", "--short", "HEAD"]),
    ] {
        let _ = writeln!(text, "{name}: {}", said(program, words).unwrap_or("none".to_owned()));
    }
    text.push('\n');
    text
}
