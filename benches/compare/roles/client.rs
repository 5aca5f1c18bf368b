//! Clients: one thread, so that on one core nothing but the transport differs.

mod bulk;
mod busy;
mod handshakes;
mod idle;
mod many;
mod ping;

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::transport::{Transport, Visitor};
use super::{Drive, SocketOptions, orders};

/// Handshakes under way at a time.
const AT_A_TIME: usize = 32;

/// Clients until standard input ends.
pub(super) struct Run<'arguments>(pub(super) &'arguments Drive);

impl Visitor for Run<'_> {
    fn visit<T: Transport>(self, transport: T) {
        let runtime = runtime();
        let way = Way { address: self.0.address, options: self.0.common.socket_options() };
        let mut ends = Ends { pool: transport.pool(), transport, way, open: Vec::new() };
        orders::obey(|order, numbers| runtime.block_on(ends.obey(order, numbers)))
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The client's ends of connections.
struct Ends<T: Transport> {
    transport: T,
    pool: T::Pool,
    way: Way,
    open: Vec<T::Stream>,
}

/// How to come to the server.
#[derive(Clone)]
struct Way {
    address: SocketAddr,
    options: SocketOptions,
}

impl Way {
    async fn dial(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().expect("a socket");
        self.options.apply(&socket).expect("options that the system has");
        socket.connect(self.address).await.expect("a connection")
    }

    async fn connect<T: Transport>(&self, transport: &T) -> T::Stream {
        transport.connect(self.dial().await).await.expect("a handshake")
    }
}

impl<T: Transport> Ends<T> {
    async fn obey(&mut self, order: &str, numbers: &[usize]) -> Vec<f64> {
        match (order, numbers) {
            ("connect", &[count]) => {
                self.connect(count).await;
                Vec::new()
            }
            ("echo", &[size]) => {
                self.echo(size).await;
                Vec::new()
            }
            ("part", &[from, to]) => {
                self.send_part(from..to).await;
                Vec::new()
            }
            ("send", &[size]) => {
                self.send(size).await;
                Vec::new()
            }
            ("receive", &[size]) => {
                self.receive(size).await;
                Vec::new()
            }
            ("download", &[write, total]) => self.download(write, total).await,
            ("upload", &[write, total]) => self.upload(write, total).await,
            ("ping", &[size, count]) => self.ping(size, count).await,
            ("many", &[size, count]) => self.many(size, count).await,
            ("handshakes", &[count]) => self.handshakes(count).await,
            ("busy", &[streams, size, millis]) => self.busy(streams, size, millis).await,
            _ => panic!("{order} {numbers:?} is no order for a client"),
        }
    }

    /// Opens so many connections more.
    async fn connect(&mut self, count: usize) {
        let mut under_way = JoinSet::new();
        for _ in 0..count {
            if under_way.len() == AT_A_TIME {
                self.open.extend(under_way.join_next().await.map(|end| end.expect("an end")));
            }
            let (transport, way) = (self.transport.clone(), self.way.clone());
            under_way.spawn(async move { way.connect(&transport).await });
        }
        self.open.extend(under_way.join_all().await);
    }
}
