//! A process that is told what to do by lines.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

/// On AMD's Zen, `rep movsb` copies ten times slower where the target begins a little above the source within a page (glibc bug
/// 30994, in versions before 2.39). Which peer has such addresses is luck and lasts for a process's life.
const NO_REP_MOVSB: &str = "glibc.cpu.x86_rep_movsb_threshold=1073741824";

/// A process that takes orders on its standard input and answers each with a line on its standard output. It is killed when this is
/// dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Child {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, orders, answers }
    }

    /// Starts this same program, with other arguments, and without glibc's `rep movsb`.
    pub fn of_this_program(arguments: &[&str]) -> Self {
        let itself = std::env::current_exe().expect("the path of this program");
        Self::start(Command::new(itself).args(arguments).env("GLIBC_TUNABLES", NO_REP_MOVSB))
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends an order, without waiting for the answer.
    pub fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the process has ended; it has said why");
    }

    /// The next line of its answers.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the process answers in UTF-8");
        assert!(line.ends_with('\n'), "a process has ended; it has said why");
        line.trim_end().to_owned()
    }

    /// Sends an order, and answers the figures of the answer.
    pub fn ask(&mut self, order: &str) -> Vec<f64> {
        self.tell(order);
        let line = self.line();
        let figure = |word: &str| {
            word.parse().unwrap_or_else(|_| panic!("{order:?} was answered with {line:?}"))
        };
        line.split_whitespace().map(figure).collect()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended already has done so with a message.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
