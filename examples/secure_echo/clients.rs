//! The clients of many connections, in a process of their own, so that the server's heap holds only the server.
//!
//! The child's standard input brings its identity and then stays open: its end is the end of the child, however the parent
//! ended. Its standard output gets one byte for each connection that has done its exchange.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::{env, process, thread};

use alts::Connector;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::exchange::ping_pong;
use crate::identities::{self, Identities};

/// Connections being made at a time; the server takes this many unfinished handshakes from one source.
const AT_A_TIME: usize = 64;

/// The parent's handle.
pub(crate) struct Clients {
    child: Child,
    progress: ChildStdout,
}

impl Clients {
    /// Starts the child. It connects with ALTS if it gets `identities`.
    pub(crate) fn start(
        to: SocketAddr,
        connections: usize,
        message: usize,
        identities: Option<&Identities>,
    ) -> io::Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.arg(format!("--connections={connections}")).arg(format!("--message={message}"));
        command.arg(format!("--clients-to={to}"));
        if identities.is_some() {
            command.arg("--clients-secure");
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let progress = child.stdout.take();
        let mut clients = Self { child, progress: progress.ok_or(io::ErrorKind::BrokenPipe)? };
        if let (Some(identities), Some(stdin)) = (identities, &mut clients.child.stdin) {
            identities.send_client(stdin)?;
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
    secure: bool,
) -> Result<(), Box<dyn Error>> {
    let mut stdin = io::stdin().lock();
    let connector =
        if secure { Some(Connector::new(identities::receive_client(&mut stdin)?)) } else { None };
    drop(stdin);
    thread::spawn(|| {
        // Nothing more is sent, so this is the end, or as good as it.
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let message: Arc<[u8]> = vec![b'.'; message].into();
        match connector {
            Some(connector) => {
                hold(connections, || {
                    let (connector, message) = (connector.clone(), Arc::clone(&message));
                    async move {
                        let tcp = TcpStream::connect(to).await?;
                        let mut stream = connector.connect(tcp).await?;
                        ping_pong(&mut stream, &message, &mut vec![0; message.len()]).await?;
                        Ok(stream)
                    }
                })
                .await
            }
            None => {
                hold(connections, || {
                    let message = Arc::clone(&message);
                    async move {
                        let mut tcp = TcpStream::connect(to).await?;
                        ping_pong(&mut tcp, &message, &mut vec![0; message.len()]).await?;
                        Ok(tcp)
                    }
                })
                .await
            }
        }
    })
}

/// Makes connections, a few at a time, and then holds them all for ever.
async fn hold<S, F>(connections: usize, connect: impl Fn() -> F) -> Result<(), Box<dyn Error>>
where
    S: Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let mut held = Vec::with_capacity(connections);
    let mut under_way = JoinSet::new();
    let mut begun = 0;
    while held.len() < connections {
        while begun < connections && under_way.len() < AT_A_TIME {
            under_way.spawn(connect());
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
