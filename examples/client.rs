//! The README's client: says hello to the example `server`. `README.md` says how to make the files that it reads.

use std::time::SystemTime;

use alts::Connector;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::{IdentityFiles, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = IdentityFiles::builder("dev-ca/client/chain.pem", "dev-ca/client/key.pem")
        .bundle("dev.local".parse()?, "dev-ca/client/bundle.pem")
        .allow_development_domain() // for the first try only
        .load(SystemTime::now())?;
    let server = Policy::from_rules(["spiffe://dev.local/server"])?; // no other server is accepted
    let connector = Connector::new(LocalHandshaker::builder(files).server_policy(server).build());
    let mut stream = connector.dial("127.0.0.1:7000").await?;
    stream.write_all(b"hello").await?;
    stream.shutdown().await?; // ends this direction, authenticated
    let mut echo = String::new();
    stream.read_to_string(&mut echo).await?;
    println!("{} said {echo}", stream.peer().name());
    Ok(())
}
