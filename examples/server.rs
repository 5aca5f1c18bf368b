//! The README's server: sends back what authenticated clients send. `README.md` says how to make the files that it reads.

use std::time::SystemTime;

use alts::Acceptor;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::IdentityFiles;
use alts::ready::ReadyReader;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = IdentityFiles::builder("dev-ca/server/chain.pem", "dev-ca/server/key.pem")
        .bundle("dev.local".parse()?, "dev-ca/server/bundle.pem")
        .allow_development_domain() // for the first try only
        .load(SystemTime::now())?;
    files.watch()?; // reloads renewed certificates
    let acceptor = Acceptor::new(LocalHandshaker::builder(files).build());
    let mut incoming = acceptor.incoming(TcpListener::bind("127.0.0.1:7000").await?);
    while let Some(mut stream) = incoming.next().await {
        let pool = acceptor.settings().pool.clone();
        tokio::spawn(async move {
            println!("{} connected", stream.peer().name());
            while let Some(received) = stream.read_on_ready(&pool).await? {
                stream.write_all(&received).await?;
            }
            stream.shutdown().await
        });
    }
    Ok(())
}
