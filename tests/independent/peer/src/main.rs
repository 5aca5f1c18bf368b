//! Our side of the tests against an independent implementation of `altsh1`. `../altsh1/peer.py` starts it, once.
//!
//! Each line on standard input is a JSON object that asks for one connection: which role to play, as whom, with which options,
//! and what to do with the stream. The program connects to the port that it is given, whatever its role, and answers with a line
//! on standard output that says how it ended. Connections run at the same time.

mod ask;
mod report;
mod work;

use std::error::Error;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use ask::Ask;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let request: Value = serde_json::from_str(&line)?;
        tokio::spawn(async move {
            let mut answer = match connection(&request).await {
                Ok(answer) => answer,
                Err(fault) => serde_json::json!({ "unable": fault.to_string() }),
            };
            answer["id"] = request["id"].clone();
            println!("{answer}");
        });
    }
    Ok(())
}

async fn connection(request: &Value) -> Result<Value, Box<dyn Error>> {
    let ask = Ask::read(request)?;
    let io = TcpStream::connect(("127.0.0.1", ask.port)).await?;
    if ask.work == "keys" {
        return work::keys(&ask, io).await;
    }
    let settings = ask.settings();
    let occupied = match ask.occupied {
        true => Some(settings.limits.enter(None).await?),
        false => None,
    };
    let stream = ask.secure(io, settings).await;
    drop(occupied);
    Ok(match stream {
        Ok(stream) => work::records(&ask, stream).await,
        Err(error) => report::failure("handshake", &error),
    })
}
