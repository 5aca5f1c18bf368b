//! The processes that are measured: a server and its clients.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use clap::ValueEnum;

use crate::lab::Lab;
use crate::roles::Form;
use crate::roles::transport::Peer;

/// Where the two run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    /// Wherever the system likes.
    Any,
    /// Both on the same.
    One,
    /// Each on its own.
    Two,
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any core",
            Self::One => "one core",
            Self::Two => "two cores",
        })
    }
}

/// What is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) peer: Peer,
    pub(crate) form: Form,
    pub(crate) cores: Cores,
    /// Whether the server's heap is counted.
    pub(crate) counted: bool,
    /// The most bytes that the server's pool has, where there is one; its own choice otherwise.
    pub(crate) pool_cap: Option<usize>,
}

impl Setup {
    pub(crate) fn new(peer: Peer, form: Form, cores: Cores) -> Self {
        Self { peer, form, cores, counted: false, pool_cap: None }
    }

    pub(crate) fn counted(mut self) -> Self {
        self.counted = true;
        self
    }

    pub(crate) fn start(&self, lab: &Lab) -> Pair {
        let (near, far) = match self.cores {
            Cores::Any => (None, None),
            Cores::One => (lab.cores.first(), lab.cores.first()),
            Cores::Two => (lab.cores.first(), lab.cores.get(1)),
        };
        let itself = std::env::current_exe().expect("this program");
        let mut serve = match self.counted {
            true => Command::new(env!("CARGO_BIN_EXE_compare-counted")),
            false => Command::new(&itself),
        };
        self.say(serve.arg("serve"), lab, near);
        let form = self.form.to_possible_value().expect("no form is hidden");
        serve.args(["--form", form.get_name()]);
        if let Some(bytes) = self.pool_cap {
            serve.args(["--pool-cap", &bytes.to_string()]);
        }
        let mut drive = Command::new(&itself);
        self.say(drive.arg("drive"), lab, far);
        let mut server = Process::start(&mut serve);
        let address = server.line();
        let client = Process::start(drive.arg(address));
        Pair { client, server }
    }

    fn say(&self, command: &mut Command, lab: &Lab, core: Option<&usize>) {
        command.arg(self.peer.name()).arg(lab.certificates());
        if let Some(core) = core {
            command.args(["--core", &core.to_string()]);
        }
        if let Some(name) = &lab.congestion {
            command.args(["--congestion", name]);
        }
    }
}

/// A server and its clients.
pub(crate) struct Pair {
    /// Ends first.
    client: Process,
    server: Process,
}

/// What an order came to.
pub(crate) struct Outcome {
    pub(crate) figures: Vec<f64>,
    /// Seconds of processor time that the server used meanwhile.
    pub(crate) server_cpu: f64,
}

/// What a server holds, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) heap: f64,
    pub(crate) resident: f64,
    pub(crate) proportional: f64,
    pub(crate) peak: f64,
}

impl Pair {
    /// Has the clients do something.
    pub(crate) fn tell(&mut self, order: &str) {
        self.client.ask(order);
    }

    /// Has the clients do something that is measured.
    pub(crate) fn measure(&mut self, order: &str) -> Outcome {
        let before = self.server.ask("cpu")[0];
        let figures = self.client.ask(order);
        let server_cpu = self.server.ask("cpu")[0] - before;
        Outcome { figures, server_cpu }
    }

    /// Has the server do something.
    pub(crate) fn tell_server(&mut self, order: &str) {
        self.server.ask(order);
    }

    /// What the server holds once it has come to rest.
    pub(crate) fn held(&mut self) -> Held {
        match self.server.ask("memory")[..] {
            [heap, resident, proportional, peak] => Held { heap, resident, proportional, peak },
            ref other => panic!("{other:?} does not describe memory"),
        }
    }
}

struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command
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
