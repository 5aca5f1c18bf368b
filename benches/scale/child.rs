//! The other processes.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use alts_benches::identity::SERVER as SERVER_ID;

use super::Error;
use super::held::Held;
use super::identity::{self, CLIENT, SERVER};

/// Bytes that are echoed on each connection before it is idle.
const ECHO: usize = 1024;

/// A server, and the clients of all its connections.
pub(crate) struct Pair {
    // Dropped in this order: who closes first keeps nothing.
    clients: Child,
    server: Child,
}

impl Pair {
    /// Each number is another loopback address.
    pub(crate) fn start(number: u8, directory: &Path) -> Result<Self, Error> {
        let mut command = this_program();
        command.args(["server", "--listen", &format!("127.0.0.{number}")]);
        identity::tell(&mut command, directory, SERVER);
        let mut server = Child::start(command, "a server")?;
        let listens = server.hear()?;
        let address = listens.rsplit(' ').next().unwrap_or_default();

        let mut command = this_program();
        command.args(["hold", "--connect", address, "--server", SERVER_ID]);
        command.args(["--echo", &ECHO.to_string()]);
        identity::tell(&mut command, directory, CLIENT);
        let mut clients = Child::start(command, "a client process")?;
        clients.hear()?;
        Ok(Self { clients, server })
    }

    /// Opens so many more connections, saying after some of them how many there are. Answers why there are fewer, if so.
    pub(crate) fn connect(
        &mut self,
        count: usize,
        mut progress: impl FnMut(u64),
    ) -> Result<Option<String>, Error> {
        self.clients.tell(&format!("connect {count}"))?;
        loop {
            let report = self.clients.hear()?;
            let mut words = report.splitn(3, ' ');
            let (word, total) = (words.next(), words.next().and_then(|total| total.parse().ok()));
            progress(total.ok_or_else(|| format!("no report: {report}"))?);
            match word {
                Some("opened") => {}
                Some("done") => return Ok(None),
                _ => return Ok(Some(words.next().unwrap_or_default().to_owned())),
            }
        }
    }

    /// Microseconds of an echo through a quiet connection: median and 99th percentile.
    pub(crate) fn ping(&mut self) -> Result<[f64; 2], Error> {
        self.clients.tell("ping")?;
        let report = self.clients.hear()?;
        let mut figures = report.split(' ').skip(1).map_while(|figure| figure.parse().ok());
        match (figures.next(), figures.next()) {
            (Some(median), Some(worst)) => Ok([median, worst]),
            _ => Err(format!("no report: {report}").into()),
        }
    }

    /// What server and clients hold.
    pub(crate) fn held(&mut self) -> Result<(Held, Held), Error> {
        Ok((self.server.held()?, self.clients.held()?))
    }
}

fn this_program() -> Command {
    Command::new("/proc/self/exe")
}

/// A process that obeys lines and answers with lines.
struct Child {
    process: std::process::Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
    what: &'static str,
}

impl Child {
    fn start(mut command: Command, what: &'static str) -> Result<Self, Error> {
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = process.stdin.take().ok_or("it was piped")?;
        let reports = BufReader::new(process.stdout.take().ok_or("it was piped")?);
        Ok(Self { process, orders, reports, what })
    }

    fn tell(&mut self, order: &str) -> Result<(), Error> {
        writeln!(self.orders, "{order}").map_err(|_| format!("{} has ended", self.what))?;
        Ok(())
    }

    fn hear(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        match self.reports.read_line(&mut line)? {
            0 => Err(format!("{} has ended", self.what).into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    fn held(&mut self) -> Result<Held, Error> {
        self.tell("measure")?;
        self.hear()?.parse()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended already has done so with a message.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
