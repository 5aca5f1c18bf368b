//! Servers.

mod held;
mod on_mio;
mod ordered;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use alts_benches::cores::cpu_time;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::transport::{Transport, Visitor};
use held::Gate;
pub(super) use ordered::Request;

use super::{Form, Serve, SocketOptions, memory, orders};

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A server until its standard input ends.
pub(super) struct Run<'arguments>(pub(super) &'arguments Serve);

impl Visitor for Run<'_> {
    fn visit<T: Transport>(self, transport: T) {
        let gate = Arc::new(Gate::default());
        let address = match self.0.form {
            Form::Mio => on_mio::start(transport, &self.0.common.socket_options()),
            _ => self.start_tokio(transport, Arc::clone(&gate)),
        };
        println!("{address}");
        orders::obey(|order, numbers| match (order, numbers) {
            ("cpu", []) => vec![cpu_time()],
            ("answer", &[count]) => {
                gate.answer(count);
                Vec::new()
            }
            ("held", &[count]) => {
                gate.wait_for(count);
                Vec::new()
            }
            ("memory", []) => {
                let memory = memory::Memory::settled();
                let bytes = [memory.resident, memory.proportional, memory.peak];
                let mut figures = vec![memory.heap as f64];
                figures.extend(bytes.map(|bytes| bytes as f64));
                figures
            }
            _ => panic!("{order} {numbers:?} is no order for a server"),
        })
    }
}

impl Run<'_> {
    fn start_tokio<T: Transport>(&self, transport: T, gate: Arc<Gate>) -> SocketAddr {
        let (form, options) = (self.0.form, self.0.common.socket_options());
        let runtime = runtime(form);
        let listener = runtime.block_on(async { listen(&options) }).expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            runtime.block_on(accept(transport, listener, form, gate)).expect("connections");
        });
        address
    }
}

fn listen(options: &SocketOptions) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    options.apply(&socket)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(BACKLOG.unsigned_abs())
}

fn runtime(form: Form) -> Runtime {
    let mut builder = match form {
        Form::Tasks | Form::Futures | Form::Holding => Builder::new_multi_thread(),
        _ => Builder::new_current_thread(),
    };
    builder.enable_all().build().expect("a runtime")
}

async fn accept<T: Transport>(
    transport: T,
    listener: TcpListener,
    form: Form,
    gate: Arc<Gate>,
) -> io::Result<()> {
    loop {
        let (tcp, _) = listener.accept().await?;
        match form {
            Form::Ordered => drop(tokio::spawn(ordered::serve(transport.clone(), tcp))),
            Form::Futures => hand_written(&transport, tcp),
            Form::Holding => held::serve(&transport, tcp, Arc::clone(&gate)),
            _ => echo(&transport, tcp),
        }
    }
}

/// What a user would write. The handshake is begun outside of the task, which would keep room for the socket.
fn echo<T: Transport>(transport: &T, tcp: TcpStream) {
    let accepting = transport.accept(tcp);
    let pool = transport.pool();
    tokio::spawn(async move {
        // A client that goes away is its own affair.
        let Ok(mut stream) = accepting.await else { return };
        while let Ok(Some(received)) = T::receive(&mut stream, &pool).await {
            if T::send(&mut stream, &received).await.is_err() {
                break;
            }
        }
    });
}

/// The handshake has a task of its own, so that nothing of it is left.
fn hand_written<T: Transport>(transport: &T, tcp: TcpStream) {
    let accepting = transport.accept(tcp);
    let pool = transport.pool();
    tokio::spawn(async move {
        if let Ok(stream) = accepting.await {
            tokio::spawn(T::echo(stream, pool));
        }
    });
}
