//! The processes that are measured: a server and its clients.

use std::fmt;
use std::process::Command;

use alts_benches::child::Child;
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
        let mut server = Child::start(&mut serve);
        let address = server.line();
        let client = Child::start(drive.arg(address));
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
    client: Child,
    server: Child,
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
