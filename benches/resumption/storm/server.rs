//! The server: it answers a byte with a byte.

use std::io::stdin;
use std::path::PathBuf;

use alts::Acceptor;
use alts::connect::Settings;
use alts::handshaker::resumption::TicketKeys;
use alts::handshaker::{HandshakeLimits, LimitOptions, LocalHandshaker};
use alts_benches::cores;
use alts_benches::identity::Pem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where identities are.
    #[arg(long)]
    directory: PathBuf,
    /// The file of ticket keys. Without it there are no tickets.
    #[arg(long)]
    keys: Option<PathBuf>,
    #[arg(long)]
    core: usize,
}

/// Says where it listens; then each line that it reads has it say how much processor time it has used.
pub(crate) fn serve(arguments: &Arguments) {
    cores::pin(arguments.core);
    let identity = Pem::read(&arguments.directory, "server").identity();
    let mut handshaker = LocalHandshaker::builder(identity);
    if let Some(file) = &arguments.keys {
        handshaker = handshaker.ticket_keys(TicketKeys::watch(file).expect("the keys"));
    }
    let mut settings = Settings::default();
    // All of them come from one source here.
    let mut limits = LimitOptions::default();
    limits.half_open_per_source = limits.half_open;
    settings.limits = HandshakeLimits::new(limits);
    let acceptor = Acceptor::with_settings(handshaker.build(), settings);

    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a listener");
    println!("{}", listener.local_addr().expect("an address"));
    runtime.spawn(accept(listener, acceptor));
    for order in stdin().lines() {
        order.expect("an order");
        println!("{}", cores::cpu_time());
    }
}

async fn accept(listener: TcpListener, acceptor: Acceptor) {
    loop {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let handshake = acceptor.accept(tcp);
        tokio::spawn(async move {
            let mut stream = handshake.await.expect("a handshake");
            let mut byte = [0];
            stream.read_exact(&mut byte).await.expect("a byte");
            stream.write_all(&byte).await.expect("a byte back");
            // Until the client is gone.
            let _ = stream.read(&mut byte).await;
        });
    }
}
