//! What a scenario came to: one row of the table.

use std::fmt::{Display, Write};

use serde_json::{Value, json};

use crate::gauges::{Gauges, Left};
use crate::scale::Scale;

/// Counters with names. What no scenario may leave out has a method of its own.
#[derive(Debug)]
pub(crate) struct Row(Value);

/// Columns: the key, its title and its width.
const COLUMNS: [(&str, &str, usize); 13] = [
    ("connections", "connections", 11),
    ("bytes", "bytes", 14),
    ("messages", "messages", 10),
    ("asked", "asked", 9),
    ("answered", "answered", 9),
    ("lost", "lost", 4),
    ("heap_peak", "peak heap", 11),
    ("heap_left", "heap left", 9),
    ("fds_left", "fds left", 8),
    ("tasks_left", "tasks left", 10),
    ("buffers_left", "buffers left", 12),
    ("half_open_left", "half-open left", 14),
    ("seconds", "s", 5),
];

/// A result on standard output begins with this.
const MARK: &str = "row: ";

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self(json!({ "name": name, "notes": [], "failures": [] }))
    }

    pub(crate) fn parse(line: &str) -> Option<Self> {
        let row = line.strip_prefix(MARK)?;
        Some(Self(serde_json::from_str(row).expect("a scenario's result")))
    }

    /// Hands the result to the parent process.
    pub(crate) fn report(&self) {
        println!("{MARK}{}", self.0);
    }

    /// What hostile peers threw.
    pub(crate) fn thrown(&mut self, connections: u64, bytes: u64, messages: u64) -> &mut Self {
        self.set("connections", connections).set("bytes", bytes).set("messages", messages)
    }

    /// How honest peers fared beside it. Nothing may be lost.
    pub(crate) fn honest(&mut self, asked: u64, answered: u64, lost: u64) -> &mut Self {
        self.set("asked", asked).set("answered", answered).set("lost", lost);
        self.require(asked > 0, || "nobody asked for anything".into());
        self.require(asked == answered && lost == 0, || {
            format!("{answered} of {asked} were answered, {lost} lost")
        })
    }

    /// What is left on the server: no more than was there at first.
    pub(crate) fn left(&mut self, left: &Left) -> &mut Self {
        self.left_within(left, Gauges::TOLERANCE)
    }

    /// As `left`, where caches may have grown to so many bytes.
    pub(crate) fn left_within(&mut self, left: &Left, caches: i64) -> &mut Self {
        let Left { peak, heap, fds, tasks, buffers, half_open } = *left;
        self.set("heap_peak", peak).set("heap_left", heap).set("fds_left", fds);
        self.set("tasks_left", tasks).set("buffers_left", buffers).set("half_open_left", half_open);
        self.require(heap <= caches, || format!("{heap} bytes of heap are left"));
        self.require((fds, tasks, buffers, half_open) == (0, 0, 0, 0), || {
            format!(
                "left: {fds} descriptors, {tasks} tasks, {buffers} buffers, {half_open} handshakes"
            )
        })
    }

    pub(crate) fn note(&mut self, name: &str, value: impl Display) -> &mut Self {
        let notes = self.0["notes"].as_array_mut().expect("made with it");
        notes.push(json!([name, value.to_string()]));
        self
    }

    pub(crate) fn require(&mut self, holds: bool, otherwise: impl FnOnce() -> String) -> &mut Self {
        if !holds {
            self.0["failures"].as_array_mut().expect("made with it").push(otherwise().into());
        }
        self
    }

    /// Notes a figure that has to be exactly this.
    pub(crate) fn require_count(&mut self, name: &str, found: u64, expected: u64) -> &mut Self {
        self.note(name, found);
        self.require(found == expected, || format!("{name}: {found}, not {expected}"))
    }

    /// Notes a figure that may be at most this.
    pub(crate) fn require_at_most(&mut self, name: &str, found: u64, most: u64) -> &mut Self {
        self.note(name, format_args!("{found} (at most {most})"));
        self.require(found <= most, || format!("{name}: {found}, more than {most}"))
    }

    /// Notes a figure that has to be at least this.
    pub(crate) fn require_at_least(&mut self, name: &str, found: u64, least: u64) -> &mut Self {
        self.note(name, found);
        self.require(found >= least, || format!("{name}: {found}, less than {least}"))
    }

    pub(crate) fn set_seconds(&mut self, seconds: u64) {
        self.set("seconds", seconds);
    }

    pub(crate) fn failures(&self) -> Vec<&str> {
        self.0["failures"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.0[key] = value.into();
        self
    }

    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap_or_default()
    }
}

/// The table, with the machine and the commit above it.
pub(crate) fn table(rows: &[Row], scale: Scale) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "\nFaults and load, {} run\n", scale.name());
    for (name, value) in place() {
        let _ = writeln!(text, "{name:<8} {value}");
    }
    let _ = writeln!(
        text,
        "\nconnections, bytes, messages: thrown at the server. asked, answered, lost: what honest peers did meanwhile (where all\n\
         are honest, they). Heap in bytes, live, of the server's process. left: at the end, beyond what was there at first.\n"
    );
    let names = rows.iter().map(|row| row.name().len()).max().unwrap_or(0);
    let _ = write!(text, "{:<names$}", "");
    for (_, title, width) in COLUMNS {
        let _ = write!(text, "  {title:>width$}");
    }
    let _ = writeln!(text);
    for row in rows {
        let _ = write!(text, "{:<names$}", row.name());
        for (key, _, width) in COLUMNS {
            let figure = row.0[key].as_i64().map_or("-".to_owned(), grouped);
            let _ = write!(text, "  {figure:>width$}");
        }
        let _ = writeln!(text);
    }
    for row in rows {
        let _ = writeln!(text, "\n{}", row.name());
        for note in row.0["notes"].as_array().into_iter().flatten() {
            let [name, value] = [0, 1].map(|at| note[at].as_str().unwrap_or_default());
            let _ = writeln!(text, "    {name}: {value}");
        }
        for failure in row.failures() {
            let _ = writeln!(text, "    FAILED: {failure}");
        }
    }
    text
}

/// With commas between thousands.
pub(crate) fn grouped(figure: i64) -> String {
    let digits = figure.unsigned_abs().to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if figure < 0 { format!("-{text}") } else { text }
}

/// Where and when: what a figure means nothing without.
fn place() -> [(&'static str, String); 4] {
    let output = |program: &str, words: &[&str]| {
        let output = std::process::Command::new(program).args(words).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = output("uname", &["-sr"]).unwrap_or_default();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    [
        ("machine", format!("{model}, {cores} cores, {kernel}")),
        ("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_default()),
        ("commit", output("git", &["describe", "--always", "--dirty"]).unwrap_or_default()),
        ("build", build.to_owned()),
    ]
}
