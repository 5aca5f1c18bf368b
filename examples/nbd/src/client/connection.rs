//! The task of a connection: it sends and receives at once.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use alts::Fault;
use bytes::Buf as _;
use futures_util::future::{Either, select};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::time::timeout;

use super::error::Error;
use super::input::Input;
use super::receive::receive;
use super::reconnect::{Reconnect, Redial};
use super::table::{Next, Table};
use super::terms::Terms;
use crate::wire::flags::CommandFlags;
use crate::wire::request::{Command, Request};

/// Payloads up to this go together with the requests around them.
const SMALL: usize = 4 << 10;
/// What is sent at once of small requests.
const BATCH: usize = 16 << 10;
/// How long the server gets to close the connection after a disconnect.
const LINGER: Duration = Duration::from_secs(2);

/// Works until the connection is closed by this side, or has failed for good.
pub(super) async fn run<S>(
    table: Arc<Table>,
    mut stream: S,
    mut terms: Terms,
    mut again: Option<(Reconnect, Redial<S>)>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    loop {
        let Err(error) = transmit(&table, stream, terms.structured).await else {
            return table.end(&Error::Disconnected);
        };
        let network = error.fault() == Fault::Network;
        if network && table.is_finished() {
            return table.end(&Error::Disconnected);
        }
        let Some((settings, redial)) = again.as_mut().filter(|_| network) else {
            return table.end(&error);
        };
        tracing::info!(%error, "the connection broke and is made again");
        match redial.again(*settings, &terms).await {
            Ok(connected) => (stream, terms) = connected,
            Err(error) => return table.end(&error),
        }
        table.rewind(terms.allocation);
    }
}

async fn transmit<S>(table: &Table, stream: S, structured: bool) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (reader, mut writer) = split(stream);
    let mut input = Input::new(reader);
    let mut receiving = pin!(receive(table, structured, &mut input));
    match select(pin!(send(table, &mut writer)), receiving.as_mut()).await {
        Either::Left((Ok(()), _)) => {
            // Closing over what the server still sends would reset the connection.
            timeout(LINGER, receiving).await.unwrap_or(Ok(()))
        }
        Either::Left((Err(error), _)) | Either::Right((Err(error), _)) => Err(error),
        Either::Right((Ok(()), _)) if table.is_finished() => Ok(()),
        Either::Right((Ok(()), _)) => Err(Error::cut("the server ended the connection")),
    }
}

/// Sends requests until this side closes the connection, and says so to the server.
async fn send<W: AsyncWrite + Unpin>(table: &Table, writer: &mut W) -> Result<(), Error> {
    let fault = |error| Error::io("cannot send to the server", &error);
    // A quiet connection has no memory for it.
    let mut staged = Vec::new();
    loop {
        match table.next() {
            Next::Request(request, payload) => {
                staged.extend(request.encode());
                if payload.len() <= SMALL {
                    staged.extend_from_slice(&payload);
                } else {
                    let mut both = staged.as_slice().chain(payload);
                    writer.write_all_buf(&mut both).await.map_err(fault)?;
                    staged.clear();
                }
                if staged.len() >= BATCH {
                    writer.write_all(&staged).await.map_err(fault)?;
                    staged.clear();
                }
            }
            Next::Nothing => {
                writer.write_all(&staged).await.map_err(fault)?;
                writer.flush().await.map_err(fault)?;
                staged = Vec::new();
                table.news.notified().await;
            }
            Next::Disconnect => {
                let (flags, command) = (CommandFlags::NONE, Command::Disconnect);
                let bye = Request { flags, command, cookie: 0, offset: 0, len: 0 };
                staged.extend(bye.encode());
                writer.write_all(&staged).await.map_err(fault)?;
                return writer.shutdown().await.map_err(fault);
            }
        }
    }
}
