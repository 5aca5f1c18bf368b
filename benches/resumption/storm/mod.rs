//! Clients that reconnect to a server that was started anew, over TCP, each side in a process and on a core of its own.

pub(crate) mod clients;
pub(crate) mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::time::SystemTime;

use alts::handshaker::resumption::{DEFAULT_MAX_AGE, rotate_key_file};
use alts_benches::child::Child;
use alts_benches::identity;
use alts_benches::verdicts::Verdict;

const ROUNDS: usize = 3;

pub(crate) struct Storm {
    pub(crate) text: String,
    pub(crate) verdict: Verdict,
}

/// The median of the ratios of some rounds. Server and clients run on the first and the last of `cores`.
pub(crate) fn measure(clients: usize, cores: &[usize]) -> Storm {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path();
    identity::write(directory);
    let keys = directory.join("ticket_keys");
    rotate_key_file(&keys, DEFAULT_MAX_AGE, SystemTime::now()).expect("a file of keys");

    let mut text =
        format!("\n{clients} clients reconnect: the server's microseconds a connection\n");
    let _ = writeln!(text, "{:<64}{:>9}{:>9}{:>9}", "", "full", "resumed", "ratio");
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let full = reconnect(clients, cores, directory, None);
        let resumed = reconnect(clients, cores, directory, Some(&keys));
        ratios.push(resumed / full);
        let ratio = resumed / full;
        let _ = writeln!(text, "round {round:<58}{full:>9.1}{resumed:>9.1}{ratio:>9.2}");
    }
    ratios.sort_by(f64::total_cmp);
    let what = format!("{clients} clients reconnect: CPU of the server, of the same, full");
    Storm { text, verdict: Verdict::at_most(what, ratios[ROUNDS / 2], 0.65, 0.55) }
}

/// Processor time that a new server uses for each connection, in microseconds.
fn reconnect(clients: usize, cores: &[usize], directory: &Path, keys: Option<&Path>) -> f64 {
    let [near, far] = [cores.first(), cores.last()].map(|core| core.expect("a core").to_string());
    let directory = directory.to_str().expect("a path in UTF-8");
    let server = || {
        let mut arguments = vec!["server", "--directory", directory];
        arguments.extend(["--core", &near]);
        if let Some(keys) = keys {
            arguments.extend(["--keys", keys.to_str().expect("a path in UTF-8")]);
        }
        let mut server = Child::of_this_program(&arguments);
        let address = server.line();
        (server, address)
    };
    let count = clients.to_string();
    let mut arguments = vec!["clients", "--directory", directory, "--core", &far];
    arguments.extend(["--count", &count]);
    if keys.is_some() {
        arguments.push("--tickets");
    }
    let mut crowd = Child::of_this_program(&arguments);

    let (before, address) = server();
    assert_eq!(crowd.ask(&address), [0.0], "the first connections are full ones");
    drop(before);
    let (mut server, address) = server();
    let start = server.ask("cpu")[0];
    let resumed = crowd.ask(&address)[0];
    let end = server.ask("cpu")[0];
    let expected = if keys.is_some() { clients } else { 0 };
    assert!((resumed - expected as f64).abs() < 0.5, "{resumed} of {clients} were resumed");
    (end - start) * 1e6 / clients as f64
}
