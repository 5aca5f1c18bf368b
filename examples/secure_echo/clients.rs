//! The clients of many connections, in a process of their own, so that the server's heap holds only the server.
//!
//! The child's standard input brings its identity and then stays open: its end is the end of the child, however the parent
//! ended. Its standard output gets one byte for each connection that has done its exchange.

use std::error::Error;
use std::future::ready;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::{env, process, thread};

use alts::Connector;
use clap::ValueEnum;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::exchange::ping_pong;
use crate::pem::Pem;
use crate::{identities, tls};

/// Connections being made at a time; the server takes this many unfinished handshakes from one source.
const AT_A_TIME: usize = 64;

/// What connections are secured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Over {
    Tcp,
    Alts,
    Tls,
}

/// The parent's handle.
pub(crate) struct Clients {
    child: Child,
    progress: ChildStdout,
}

impl Clients {
    /// Starts the child, which needs `pem` unless it connects over TCP alone.
    pub(crate) fn start(
        to: SocketAddr,
        connections: usize,
        message: usize,
        over: Over,
        pem: Option<&Pem>,
    ) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(format!("--connections={connections}")).arg(format!("--message={message}"));
        command.arg(format!("--clients-to={to}"));
        let over = match over {
            Over::Tcp => "tcp",
            Over::Alts => "alts",
            Over::Tls => "tls",
        };
        command.arg(format!("--clients-over={over}"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let progress = child.stdout.take();
        let mut clients = Self { child, progress: progress.ok_or(io::ErrorKind::BrokenPipe)? };
        if let (Some(pem), Some(stdin)) = (pem, &mut clients.child.stdin) {
            pem.send(stdin)?;
        }
        Ok(clients)
    }

    /// Waits until each connection has done its exchange and is idle.
    pub(crate) fn wait_until_idle(
        &mut self,
        connections: usize,
        mut more: impl FnMut(usize),
    ) -> Result<(), Box<dyn Error>> {
        let mut done = 0;
        let mut marks = [0; 256];
        while done < connections {
            match self.progress.read(&mut marks)? {
                0 => {
                    let status = self.child.wait()?;
                    return Err(
                        format!("the process with the clients ended early: {status}").into()
                    );
                }
                count => {
                    done += count;
                    more(count);
                }
            }
        }
        Ok(())
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // It may have ended already, and then there is nothing to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's whole life.
pub(crate) fn run(
    to: SocketAddr,
    connections: usize,
    message: usize,
    over: Over,
) -> Result<(), Box<dyn Error>> {
    let mut stdin = io::stdin().lock();
    let pem = if over == Over::Tcp { None } else { Some(Pem::receive(&mut stdin)?) };
    drop(stdin);
    thread::spawn(|| {
        // Nothing more is sent, so this is the end, or as good as it.
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let message: Arc<[u8]> = vec![b'.'; message].into();
        match (over, pem) {
            (Over::Alts, Some(pem)) => {
                let connector = Connector::new(identities::client(&pem)?);
                hold(to, connections, message, move |tcp| connector.connect(tcp)).await
            }
            (Over::Tls, Some(pem)) => {
                let (connector, name) = (tls::client(&pem)?, tls::server_name()?);
                let secure = move |tcp| connector.connect(name.clone(), tcp);
                hold(to, connections, message, secure).await
            }
            _ => hold(to, connections, message, |tcp| ready(Ok::<_, io::Error>(tcp))).await,
        }
    })
}

/// Makes connections, a few at a time, has `message` echoed on each, and then holds them all forever.
async fn hold<S, F, E>(
    to: SocketAddr,
    connections: usize,
    message: Arc<[u8]>,
    secure: impl Fn(TcpStream) -> F + Clone + Send + Sync + 'static,
) -> Result<(), Box<dyn Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Result<S, E>> + Send + 'static,
    io::Error: From<E>,
{
    let mut held = Vec::with_capacity(connections);
    let mut under_way = JoinSet::new();
    let mut begun = 0;
    while held.len() < connections {
        while begun < connections && under_way.len() < AT_A_TIME {
            let (secure, message) = (secure.clone(), Arc::clone(&message));
            under_way.spawn(async move {
                let mut stream = secure(TcpStream::connect(to).await?).await?;
                ping_pong(&mut stream, &message, &mut vec![0; message.len()]).await?;
                Ok::<_, io::Error>(stream)
            });
            begun += 1;
        }
        if let Some(outcome) = under_way.join_next().await {
            let stream = outcome??;
            held.push(stream);
            let mut stdout = io::stdout().lock();
            stdout.write_all(b".")?;
            stdout.flush()?;
        }
    }
    std::future::pending().await
}
