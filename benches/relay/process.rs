//! A process that is measured.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::live_heap::Count;

/// A relay under test. It is killed when it is dropped.
pub(crate) struct Relay {
    child: Child,
    pub(crate) address: SocketAddr,
    count: Option<Count>,
}

impl Relay {
    /// Starts a program that says `ready listen=ADDRESS` on standard output.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the relay starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("listen="));
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, address: address.parse().expect("an address"), count: None }
    }

    /// A program that listens at `address` and does not say when.
    pub(crate) fn start_silent(command: &mut Command, address: SocketAddr) -> Self {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the relay starts");
        while std::net::TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { child, address, count: None }
    }

    /// With what counts its live heap.
    pub(crate) fn counted(mut self, count: Option<Count>) -> Self {
        self.count = count;
        self
    }

    /// Bytes allocated, where they are counted.
    pub(crate) fn live_heap(&self) -> Option<f64> {
        self.count.as_ref().map(|count| count.live() as f64)
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.child.id())).expect("the process lives")
    }

    /// Seconds of processor time that all its threads have used, those that have ended too.
    pub(crate) fn cpu(&self) -> f64 {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let clock = clock_getcpuclockid(pid).expect("it has a clock");
        Duration::from(clock.now().expect("the clock can be read")).as_secs_f64()
    }

    /// Bytes of memory that are its own and resident.
    pub(crate) fn resident(&self) -> f64 {
        let text = self.file("smaps_rollup");
        let anonymous = text.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let kib = anonymous.and_then(|rest| rest.trim().strip_suffix(" kB")).expect("a line");
        kib.trim().parse::<f64>().expect("a number") * 1024.0
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it lives").count()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
