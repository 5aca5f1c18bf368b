//! The side that is measured: an echo server.

use std::io::{BufRead, stdin};
use std::sync::Arc;

use alts::Acceptor;
use alts::connect::Settings;
use alts::handshaker::{HandshakeLimits, LimitOptions, LocalHandshaker};
use alts::ready::ReadyReader;
use alts_benches::descriptors;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::Error;
use super::arguments::Server;
use super::held::Held;
use super::identity_arguments::own_name;

/// Serves until standard input ends. Says where it listens; each line it reads has it report what it holds.
pub(crate) fn serve(arguments: &Server) -> Result<(), Error> {
    descriptors::raise();
    let files = arguments.identity.load()?;
    let name = own_name(&files)?;
    let handshaker = LocalHandshaker::builder(Arc::new(files)).build();
    let mut settings = Settings::default();
    // The handshakes all come from one source here.
    let mut limits = LimitOptions::default();
    limits.half_open_per_source = limits.half_open;
    settings.limits = HandshakeLimits::new(limits);
    let acceptor = Acceptor::with_settings(handshaker, settings);

    let runtime = Runtime::new()?;
    let listener = runtime.block_on(TcpListener::bind((arguments.listen, 0)))?;
    println!("{name} listens on {}", listener.local_addr()?);
    runtime.spawn(accept(listener, acceptor));
    for order in stdin().lock().lines() {
        order?;
        // One task accepts.
        let connections = || runtime.metrics().num_alive_tasks().saturating_sub(1);
        println!("{}", Held::at_rest(connections)?);
    }
    Ok(())
}

async fn accept(listener: TcpListener, acceptor: Acceptor) {
    loop {
        let tcp = match listener.accept().await {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                eprintln!("a server cannot accept any more: {error}");
                return;
            }
        };
        let handshake = acceptor.accept(tcp);
        let pool = acceptor.settings().pool.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = handshake.await else { return };
            while let Ok(Some(received)) = stream.read_on_ready(&pool).await {
                if stream.write_all(&received).await.is_err() {
                    break;
                }
            }
        });
    }
}
