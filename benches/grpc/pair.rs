//! A server and a client in processes of their own.

use std::path::Path;

use alts_benches::child::Child;

/// Whose HTTP/2 it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Alts,
    /// tonic's own.
    Hyper,
}

/// What is under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Alts,
    /// tonic's own TLS, by rustls, with certificates on both sides.
    Tls,
}

impl Stack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alts => "alts",
            Self::Hyper => "hyper",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let named = [Self::Alts, Self::Hyper].into_iter().find(|stack| stack.name() == name);
        named.unwrap_or_else(|| panic!("no HTTP/2 is called {name}"))
    }
}

impl Transport {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Alts => "ALTS",
            Self::Tls => "TLS",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::Tcp, Self::Alts, Self::Tls];
        let named = all.into_iter().find(|transport| transport.name() == name);
        named.unwrap_or_else(|| panic!("no transport is called {name}"))
    }
}

/// What all measurements need.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lab<'a> {
    /// Where the certificates are.
    pub(crate) directory: &'a Path,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
}

/// Which cores the two run on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

impl Cores {
    /// Both on the last one.
    pub(crate) fn one() -> Self {
        let last = *alts_benches::cores::allowed().last().expect("a core");
        Self { server: last, client: last }
    }

    /// Each on its own, where there are two.
    pub(crate) fn two() -> Self {
        Self { client: alts_benches::cores::allowed()[0], ..Self::one() }
    }
}

/// For each call or message, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) server: f64,
    pub(crate) client: f64,
    pub(crate) wall: f64,
}

impl Outcome {
    pub(crate) fn both(&self) -> f64 {
        self.server + self.client
    }
}

pub(crate) struct Pair {
    // Ends first.
    client: Child,
    server: Child,
}

impl Pair {
    pub(crate) fn start(
        lab: Lab<'_>,
        server: Stack,
        client: Stack,
        transport: Transport,
        cores: Cores,
    ) -> Self {
        let directory = lab.directory.to_str().expect("a path in UTF-8");
        let core = cores.server.to_string();
        let arguments = ["--server", server.name(), transport.name(), directory, &core];
        let server = Child::of_this_program(&arguments);
        Self::with_server(lab, server, client, transport, cores.client)
    }

    /// With a server that says where it listens, and is asked for its processor time in seconds.
    pub(crate) fn with_server(
        lab: Lab<'_>,
        mut server: Child,
        client: Stack,
        transport: Transport,
        core: usize,
    ) -> Self {
        let directory = lab.directory.to_str().expect("a path in UTF-8");
        let (address, core) = (server.line(), core.to_string());
        let arguments = ["--client", client.name(), transport.name(), directory, &address, &core];
        Self { client: Child::of_this_program(&arguments), server }
    }

    /// Has the client do something `count` times.
    pub(crate) fn measure(&mut self, order: &str, count: u32) -> Outcome {
        let before = self.server.ask("cpu")[0];
        let answer = self.client.ask(&format!("{order} {count}"));
        let [client, wall] = answer[..] else { panic!("two figures") };
        let after = self.server.ask("cpu")[0];
        let each = |seconds: f64| seconds * 1e6 / f64::from(count);
        Outcome { server: each(after - before), client: each(client), wall: each(wall) }
    }

    /// As [`measure`](Self::measure), after `few` times that are not counted.
    pub(crate) fn measure_warm(&mut self, order: &str, few: u32, count: u32) -> Outcome {
        self.measure(order, few);
        self.measure(order, count)
    }

    /// Has the client measure.
    pub(crate) fn ask(&mut self, order: &str) -> Vec<f64> {
        self.client.ask(order)
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
