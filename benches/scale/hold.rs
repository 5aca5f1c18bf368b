//! The other ends.

use std::io::{BufRead, stdin};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::Policy;
use alts::{AltsStream, Connector};
use alts_benches::descriptors;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::Error;
use super::arguments::Hold;
use super::held::Held;
use super::identity_arguments::own_name;

/// Connections that are made at a time.
const AT_A_TIME: usize = 8;
/// How often it is said how far it is.
const PROGRESS: usize = 200;
/// Echoes through quiet connections that are timed.
const PINGS: usize = 100;
/// Their bytes.
const PING: usize = 64;

/// Obeys until standard input ends.
pub(crate) fn hold(arguments: Hold) -> Result<(), Error> {
    descriptors::raise();
    let files = arguments.identity.load()?;
    let name = own_name(&files)?;
    let servers = arguments.server.into_iter().fold(Policy::nobody(), Policy::allow);
    let handshaker = LocalHandshaker::builder(Arc::new(files)).server_policy(servers).build();
    let dialler = Dialler {
        connector: Connector::new(handshaker),
        address: arguments.connect,
        echo: arguments.echo,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut held = Vec::new();
    println!("{name} waits for orders");
    for order in stdin().lock().lines() {
        let order = order?;
        match order.split_once(' ') {
            Some(("connect", count)) => {
                let count = count.parse()?;
                match runtime.block_on(connect(&dialler, count, &mut held)) {
                    Ok(()) => println!("done {}", held.len()),
                    Err(error) => println!("stopped {} {error}", held.len()),
                }
            }
            None if order == "ping" => {
                let [median, worst] = runtime.block_on(ping(&mut held))?;
                println!("pinged {median} {worst}");
            }
            None if order == "measure" => println!("{}", Held::at_rest(|| held.len())?),
            _ => return Err(format!("no order: {order}").into()),
        }
    }
    Ok(())
}

async fn connect(
    dialler: &Dialler,
    count: usize,
    held: &mut Vec<AltsStream<TcpStream>>,
) -> Result<(), Error> {
    held.reserve_exact(count);
    let mut under_way = JoinSet::new();
    let mut started = 0;
    loop {
        while under_way.len() < AT_A_TIME && started < count {
            under_way.spawn(dialler.clone().dial());
            started += 1;
        }
        let Some(dialled) = under_way.join_next().await else { return Ok(()) };
        held.push(dialled??);
        if held.len().is_multiple_of(PROGRESS) {
            println!("opened {}", held.len());
        }
    }
}

#[derive(Clone)]
struct Dialler {
    connector: Connector,
    address: SocketAddr,
    echo: usize,
}

impl Dialler {
    async fn dial(self) -> Result<AltsStream<TcpStream>, alts::Error> {
        let tcp = TcpStream::connect(self.address).await?;
        // Closing leaves nothing behind in the kernel that would count for the next measurement.
        tcp.set_zero_linger()?;
        let mut stream = self.connector.connect(tcp).await?;
        if self.echo > 0 {
            echo(&mut stream, self.echo).await?;
        }
        Ok(stream)
    }
}

async fn echo(stream: &mut AltsStream<TcpStream>, bytes: usize) -> std::io::Result<()> {
    let message = vec![0x5A; bytes];
    let mut back = vec![0; bytes];
    stream.write_all(&message).await?;
    stream.read_exact(&mut back).await?;
    if message != back {
        return Err(std::io::Error::other("the echo differs"));
    }
    Ok(())
}

/// Microseconds of an echo through a connection that has been quiet, one at a time: median and 99th percentile.
async fn ping(held: &mut [AltsStream<TcpStream>]) -> Result<[f64; 2], Error> {
    let apart = held.len().div_ceil(PINGS).max(1);
    let mut took = Vec::with_capacity(PINGS);
    for stream in held.iter_mut().step_by(apart) {
        let begun = Instant::now();
        echo(stream, PING).await?;
        took.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    took.sort_by(f64::total_cmp);
    match took.get(took.len() * 99 / 100) {
        Some(&worst) => Ok([took[took.len() / 2], worst]),
        None => Err("there is no connection".into()),
    }
}
