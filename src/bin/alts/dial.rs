//! Connecting to a target.

use std::io;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::address::TargetAddress;
use crate::plain::PlainStream;

/// Connects within `limit`. A name is resolved anew each time.
pub(crate) async fn dial(target: &TargetAddress, limit: Duration) -> Result<PlainStream, String> {
    let connected = match target {
        TargetAddress::Tcp(address) => {
            let address = (address.host.as_str(), address.port);
            alts::connect::dial(address, limit).await.map(PlainStream::Tcp)
        }
        TargetAddress::Unix(path) => match timeout(limit, UnixStream::connect(path)).await {
            Ok(connected) => connected.map(PlainStream::Unix),
            Err(_) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}")))
            }
        },
    };
    connected.map_err(|error| format!("cannot connect to {target}: {error}"))
}
