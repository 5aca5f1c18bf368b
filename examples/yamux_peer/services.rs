//! What is done with streams that the other side opens.

use std::sync::Arc;

use alts::yamux::{Error, Session, Stream};
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;

use crate::arguments::{Arguments, Service};
use crate::bytes::{inner, is_reset, read, write};
use crate::{Counts, Failure};

/// Serves until the session ends. The first stream that fails fails it all.
pub(crate) async fn accept(
    session: &Session,
    arguments: &Arc<Arguments>,
    counts: &Arc<Counts>,
) -> Result<(), Failure> {
    let mut serving = JoinSet::new();
    let mut held = Vec::new();
    if arguments.serve == Service::Deaf {
        session.closed().await;
        return Ok(());
    }
    let ended = loop {
        match session.accept().await {
            Ok(Some(stream)) => {
                Counts::add(&counts.streams, 1);
                match arguments.serve {
                    Service::Hold => {
                        held.push(stream);
                        continue;
                    }
                    Service::Goaway => session.go_away(),
                    _ => {}
                }
                let (arguments, counts) = (Arc::clone(arguments), Arc::clone(counts));
                serving.spawn(async move { serve(stream, &arguments, &counts).await });
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    if arguments.serve == Service::Goaway {
        session.closed().await;
    }
    while let Some(served) = serving.join_next().await {
        match served? {
            Err(error) if is_reset(&error) => Counts::add(&counts.resets, 1),
            // The other side is the one that judges, and hashicorp's closes the connection without a message.
            Err(error) if matches!(inner(&error), Some(Error::Lost)) => {}
            served => served?,
        }
    }
    match ended {
        None | Some(Error::Lost) => Ok(()),
        Some(error) => Err(error.into()),
    }
}

async fn serve(mut stream: Stream, arguments: &Arguments, counts: &Counts) -> Result<(), Failure> {
    let n = u64::try_from(arguments.n);
    match arguments.serve {
        Service::Echo | Service::Goaway => {
            let (mut reader, mut writer) = stream.into_split();
            let copied = tokio::io::copy(&mut reader, &mut writer).await?;
            Counts::add(&counts.got, copied as usize);
            Counts::add(&counts.sent, copied as usize);
            writer.shutdown().await?;
        }
        Service::Sink => {
            let got = read(&mut stream, n.ok(), arguments, counts).await?;
            stream.write_all(&got.to_be_bytes()).await?;
            stream.shutdown().await?;
        }
        Service::Source => {
            write(&mut stream, n?, arguments, counts).await?;
            stream.shutdown().await?;
        }
        Service::Half => {
            read(&mut stream, None, arguments, counts).await?;
            write(&mut stream, n?, arguments, counts).await?;
            stream.shutdown().await?;
        }
        Service::Reset => {
            read(&mut stream, Some(n?), arguments, counts).await?;
            stream.reset(0);
        }
        Service::Hold | Service::Deaf => {}
    }
    Ok(())
}
