//! Connecting to a target.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::address::TargetAddress;
use crate::plain::PlainStream;

/// Connects within `limit`. A name is resolved anew each time.
pub(crate) async fn dial(target: &TargetAddress, limit: Duration) -> Result<PlainStream, String> {
    let connecting = async {
        match target {
            TargetAddress::Tcp(address) => {
                TcpStream::connect((address.host.as_str(), address.port))
                    .await
                    .map(PlainStream::Tcp)
            }
            #[cfg(unix)]
            TargetAddress::Unix(path) => UnixStream::connect(path).await.map(PlainStream::Unix),
            #[cfg(not(unix))]
            TargetAddress::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    };
    let connected = match timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}"))),
    };
    connected.map_err(|error| format!("cannot connect to {target}: {error}"))
}
