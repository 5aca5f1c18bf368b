//! One side of a yamux session for interop tests: serves streams, or opens some and checks what comes back.
//!
//! ```text
//! cargo run --release -p alts-examples --example yamux_peer -- 127.0.0.1:7000 --serve echo
//! cargo run --release -p alts-examples --example yamux_peer -- 127.0.0.1:7000 --do echo --streams 16
//! ```
//!
//! It prints `ready ADDRESS` when it listens and a line of JSON at the end. Exit status: 0 if all that was expected happened, 1 if not, 2 for
//! wrong options. `tests/interop/yamux` runs it against hashicorp/yamux; options with one dash are understood, as Go programs have them.
//!
//! The byte at offset i of every stream, both ways, is `i ^ i >> 8 ^ i >> 16`, and is checked.

mod actions;
mod arguments;
mod bytes;
mod services;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use alts::pool::BufferPool;
use alts::yamux::{Config, Session};
use clap::Parser;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use arguments::{Arguments, Role};

/// Why a side did not do what was expected of it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What was counted.
#[derive(Default)]
struct Counts {
    streams: AtomicU64,
    sent: AtomicU64,
    got: AtomicU64,
    resets: AtomicU64,
}

impl Counts {
    fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arc::new(Arguments::parse_from(arguments::with_two_dashes(std::env::args())));
    let counts = Arc::new(Counts::default());
    let start = Instant::now();
    let limit = arguments.limit.0;
    let result = match timeout(limit, run(&arguments, &counts)).await {
        Ok(result) => result,
        Err(_) => Err(format!("not done after {limit:?}").into()),
    };
    let error = result.as_ref().err().map(ToString::to_string);
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!(
        "{{\"ok\":{},\"error\":{:?},\"streams\":{},\"sent\":{},\"got\":{},\"resets\":{},\"seconds\":{:.3}}}",
        error.is_none(),
        error.unwrap_or_default(),
        get(&counts.streams),
        get(&counts.sent),
        get(&counts.got),
        get(&counts.resets),
        start.elapsed().as_secs_f64(),
    );
    if result.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(arguments: &Arc<Arguments>, counts: &Arc<Counts>) -> Result<(), Failure> {
    let connects = arguments.action.is_some();
    let socket = if connects {
        TcpStream::connect(&arguments.address).await?
    } else {
        let listener = TcpListener::bind(&arguments.address).await?;
        println!("ready {}", listener.local_addr()?);
        listener.accept().await?.0
    };
    socket.set_nodelay(true)?;
    let role = arguments.role.unwrap_or(if connects { Role::Client } else { Role::Server });
    let mut config = Config::builder()
        .window(arguments.window)
        .backlog(arguments.backlog)
        .max_incoming(arguments.backlog.max(1_024));
    config = match arguments.keepalive.0 {
        time if time.is_zero() => config.no_keep_alive(),
        time => config.keep_alive(time, 2 * time),
    };
    let pool = BufferPool::new();
    let (session, driver) = match role {
        Role::Client => Session::client(socket, config.build()?, pool),
        Role::Server => Session::server(socket, config.build()?, pool),
    };
    let driver = tokio::spawn(driver);
    let serving = {
        let (session, arguments, counts) = (session.clone(), arguments.clone(), counts.clone());
        tokio::spawn(async move { services::accept(&session, &arguments, &counts).await })
    };
    let Some(action) = arguments.action else {
        // The other side ends it.
        drop(session);
        let served = serving.await?;
        driver.abort();
        return served;
    };
    let done = actions::run(action, &session, arguments, counts).await;
    serving.abort();
    let patience = std::time::Duration::from_secs(5);
    // The other side may be one that holds its streams forever.
    let _ = session.shutdown(patience.min(arguments.grace.0)).await;
    let _ = timeout(patience, driver).await;
    done
}
