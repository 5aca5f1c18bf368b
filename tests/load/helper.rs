//! A process beside the server's: orders go to it line by line, and it answers with figures.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

pub(crate) struct Helper {
    child: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

/// What a helper counted.
#[derive(Debug)]
pub(crate) struct Report(Value);

impl Report {
    /// The figure of that name.
    #[track_caller]
    pub(crate) fn get(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("no {name} in {}", self.0))
    }

    /// The whole.
    pub(crate) fn value(&self) -> &Value {
        &self.0
    }
}

impl Helper {
    /// Starts one of `helpers`, which has the identities in `dir` and the server's address.
    pub(crate) fn start(name: &str, dir: &Path, address: SocketAddr, words: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--helper", name])
            .arg(dir)
            .arg(address.to_string())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the helper starts");
        let orders = child.stdin.take().expect("it is piped");
        let reports = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut helper = Self { child, orders, reports };
        helper.report();
        helper
    }

    /// Gives an order and does not wait.
    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the helper is there");
    }

    /// Waits for the next report.
    pub(crate) fn report(&mut self) -> Report {
        let mut line = String::new();
        self.reports.read_line(&mut line).expect("the helper reports");
        Report(serde_json::from_str(&line).unwrap_or_else(|_| panic!("a helper failed: {line:?}")))
    }

    /// Gives an order and waits for the report on it.
    pub(crate) fn ask(&mut self, order: &str) -> Report {
        self.tell(order);
        self.report()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // One that has ended already has done so with a message.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
