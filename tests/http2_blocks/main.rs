//! The largest blocks that HTTP/2 takes from the heap while data moves: none above 4 KiB, in a server or a client. What is larger is a
//! buffer of the pool, which is not on the heap.
//!
//! Each work is done by this program in a process of its own, which holds both ends, under the C library's `libmemusage.so`: that prints
//! how often blocks of which size were taken, in steps of 16 bytes. A process that connects and does one small call is subtracted. Services
//! and bodies are handmade and take nothing: a codec that puts a message together, tonic's too, needs memory of the message's size.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod histogram;
mod work;

use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::{Arguments, Failed, Trial};

use histogram::Histogram;
use work::{WORK, Work};

/// The largest that may be taken.
const LIMIT: usize = 4 << 10;
/// The C library's, which finds it by its name.
const COUNTER: &str = "libmemusage.so";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [work, name, rounds] = &words[..]
        && work == "--work"
    {
        return Work::named(name).run(rounds.parse().unwrap());
    }
    let arguments = Arguments::from_args();
    let missing = !is_there();
    if missing {
        eprintln!("NOT CHECKED: there is no {COUNTER}, which glibc has on Linux");
    }
    let trial = |work: &'static Work| Trial::test(work.name, || check(work));
    let trials = WORK.iter().map(|work| trial(work).with_ignored_flag(missing)).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn check(work: &Work) -> Result<(), Failed> {
    let before = taken(work, 0);
    let mut all = taken(work, work.rounds);
    all.subtract(&before);
    let larger: Vec<_> = all.above(LIMIT).collect();
    if larger.is_empty() {
        return Ok(());
    }
    Err(format!("blocks above {LIMIT} bytes were taken, as (bytes, times): {larger:?}").into())
}

/// What a process took that did the work so often.
fn taken(work: &Work, rounds: usize) -> Histogram {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--work", work.name, &rounds.to_string()])
        .env("LD_PRELOAD", COUNTER)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{} failed: {said}", work.name);
    Histogram::parse(&said).unwrap_or_else(|| panic!("{COUNTER} prints something else: {said}"))
}

/// Whether the counter is where libraries are. The loader only warns if it is not.
fn is_there() -> bool {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return false };
    let libc = maps.lines().filter_map(|line| line.split_whitespace().last());
    let libc = libc.map(Path::new).find(|path| path.file_name().is_some_and(|n| n == "libc.so.6"));
    libc.is_some_and(|path| path.with_file_name(COUNTER).exists())
}
