//! The table.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use alts_benches::chart::{ALTS, Bar, GROUND, RIVAL, draw};

use super::Error;
use super::measure::Row;

/// Slab caches that are worth a line.
const CACHES: usize = 8;

pub(crate) struct Report {
    rows: Vec<Row>,
    machine: Machine,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), machine: Machine::this() }
    }

    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            self.machine.line(),
            String::new(),
            "what an idle connection holds, in bytes, after its handshake and an echo of 1 KiB; how many were made in a second; how long"
                .to_owned(),
            "an echo of 64 bytes takes through one that was quiet, in microseconds".to_owned(),
            format!(
                "{:>11} {:>9} | {:^23} | {:^23} | {:^15} | {:>10} | {:>7} | {:^15}",
                "", "server", "a server's end", "a client's end", "kernel", "server's", "made", "echo"
            ),
            format!(
                "{:>11} {:>9} | {:>7} {:>7} {:>7} | {:>7} {:>7} {:>7} | {:>7} {:>7} | {:>10} | {:>7} | {:>7} {:>7}",
                "connections",
                "processes",
                "heap",
                "RSS",
                "PSS",
                "heap",
                "RSS",
                "PSS",
                "both",
                "an end",
                "end in all",
                "in 1 s",
                "p50",
                "p99"
            ),
        ];
        for row in &self.rows {
            let Row { connections, pairs, server, client, kernel, made, ping: [median, worst] } =
                row;
            let end = kernel.total / 2.0;
            lines.push(format!(
                "{connections:>11} {pairs:>9} | {:>7.0} {:>7.0} {:>7.0} | {:>7.0} {:>7.0} {:>7.0} | {:>7.0} {end:>7.0} | {:>10.0} | {made:>7.0} | {median:>7.0} {worst:>7.0}",
                server.heap,
                server.resident,
                server.proportional,
                client.heap,
                client.resident,
                client.proportional,
                kernel.total,
                server.resident + end,
            ));
        }
        lines.push(String::new());
        if let [first, .., last] = &self.rows[..] {
            let times = last.connections as f64 / first.connections as f64;
            let ratio = last.server.heap / first.server.heap;
            lines.push(format!(
                "{times:.0} times as many connections, {ratio:.3} times the live heap of each on the server"
            ));
        }
        if let Some(row) = self.rows.last() {
            let caches = row.kernel.caches.iter().take(CACHES);
            let caches: Vec<_> = caches.map(|(name, bytes)| format!("{name} {bytes:.0}")).collect();
            lines.push(match caches.is_empty() {
                true => "the kernel's is the growth of all slabs, whoever uses them: only root sees which".to_owned(),
                false => format!("the kernel's at {}: {}", row.connections, caches.join(", ")),
            });
        }
        lines.join("\n") + "\n"
    }

    pub(crate) fn csv(&self) -> String {
        let mut csv = "date,commit,machine,connections,server_processes,server_heap,server_rss,server_pss,client_heap,\
            client_rss,client_pss,kernel_both_ends,made_per_second,echo_p50_us,echo_p99_us\n"
            .to_owned();
        for row in &self.rows {
            let Row { connections, pairs, server, client, kernel, made, ping } = row;
            let Machine { date, commit, description } = &self.machine;
            let figures = [
                server.heap,
                server.resident,
                server.proportional,
                client.heap,
                client.resident,
                client.proportional,
                kernel.total,
                *made,
                ping[0],
                ping[1],
            ];
            let figures: Vec<_> = figures.iter().map(|figure| format!("{figure:.0}")).collect();
            let figures = figures.join(",");
            // Writing to a string does not fail.
            let _ =
                writeln!(csv, "{date},{commit},\"{description}\",{connections},{pairs},{figures}");
        }
        csv
    }

    pub(crate) fn save(&self, path: &Path) -> Result<(), Error> {
        for (path, text) in [
            (path.to_owned(), self.table()),
            (path.with_extension("csv"), self.csv()),
            (path.with_extension("svg"), chart(&self.csv())?),
        ] {
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        Ok(())
    }
}

/// Draws the chart anew from the CSV beside the table in `path`.
pub(crate) fn draw_again(path: &Path) -> Result<(), Error> {
    let (csv, svg) = (path.with_extension("csv"), path.with_extension("svg"));
    let text = fs::read_to_string(&csv).map_err(|error| format!("{}: {error}", csv.display()))?;
    let chart = chart(&text)?;
    Ok(fs::write(&svg, chart).map_err(|error| format!("{}: {error}", svg.display()))?)
}

/// What a connection takes of the server's memory, from the CSV.
fn chart(csv: &str) -> Result<String, Error> {
    let mut groups = Vec::new();
    for line in csv.lines().skip(1) {
        // The machine is the only field with quotes and commas.
        let figures = line.rsplit('"').next().unwrap_or_default().split(',').skip(1);
        let figures = figures.map(str::parse).collect::<Result<Vec<f64>, _>>()?;
        let [connections, _, heap, resident, _, _, _, _, kernel, ..] = figures[..] else {
            return Err(format!("too few figures: {line}").into());
        };
        let bar = |label: &str, color, value: f64| Bar {
            label: label.to_owned(),
            color,
            value,
            shown: format!("{value:.0} B"),
        };
        let bars = vec![
            bar("live heap", ALTS, heap),
            bar("resident", RIVAL, resident),
            bar("with the kernel's", GROUND, resident + kernel / 2.0),
        ];
        groups.push((format!("{connections} connections"), bars));
    }
    let title = "An idle alts connection, server side, by how many there are";
    Ok(draw(title, "bytes of each; shorter is better", &groups))
}

/// Where and when the figures were taken.
struct Machine {
    description: String,
    date: String,
    commit: String,
}

impl Machine {
    fn this() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name"));
        let model =
            model.map_or("an unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        Self {
            description: format!(
                "{cores} cores, {model}, Linux {}, {}",
                release.trim(),
                output("rustc", &["--version"])
            ),
            date: output("date", &["+%F"]),
            commit: output("git", &["describe", "--always", "--dirty"]),
        }
    }

    fn line(&self) -> String {
        format!("{}, {}, commit {}", self.description, self.date, self.commit)
    }
}

/// What a program says, if it is there.
fn output(program: &str, arguments: &[&str]) -> String {
    Command::new(program)
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())
        .map_or("unknown".to_owned(), |output| {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        })
}
