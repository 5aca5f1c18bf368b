//! A server and a client in processes of their own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::Pid;

use crate::Stack;

/// For each call or message, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) server: f64,
    pub(crate) client: f64,
    pub(crate) wall: f64,
}

pub(crate) struct Pair {
    // Ends first.
    client: Process,
    server: Process,
}

impl Pair {
    pub(crate) fn start(server: Stack, client: Stack) -> Self {
        let mut server = Process::start(&["--server", server.name()]);
        let address = server.line();
        let client = Process::start(&["--client", client.name(), &address]);
        Self { client, server }
    }

    pub(crate) fn measure(&mut self, order: &str, count: u32) -> Outcome {
        let [before] = self.server.ask("cpu")[..] else { panic!("one figure") };
        let [client, wall] = self.client.ask(&format!("{order} {count}"))[..] else {
            panic!("two figures")
        };
        let [after] = self.server.ask("cpu")[..] else { panic!("one figure") };
        let each = |micros: f64| micros / f64::from(count);
        Outcome { server: each(after - before), client: each(client), wall: each(wall) }
    }
}

struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process can be started");
        let orders = child.stdin.take().expect("it is piped");
        let answers = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, orders, answers }
    }

    fn ask(&mut self, order: &str) -> Vec<f64> {
        writeln!(self.orders, "{order}").expect("the process is there");
        let line = self.line();
        line.split_whitespace().map(|word| word.parse().expect("a figure")).collect()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the process answers");
        assert!(line.ends_with('\n'), "a process failed: it has said why");
        line.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already has done so with a message.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Microseconds that this process has used so far.
pub(crate) fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every process has a usage");
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

/// Has this thread run on the last core that it may use.
pub(crate) fn pin() {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("the cores are known");
    let last = (0..CpuSet::count()).rev().find(|core| allowed.is_set(*core).unwrap_or(false));
    let mut cores = CpuSet::new();
    cores.set(last.expect("a core")).expect("a core that a set can have");
    sched_setaffinity(Pid::from_raw(0), &cores).expect("a core that there is");
}
