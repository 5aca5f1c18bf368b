//! What this side does with streams of its own, and expects of the other.

use std::sync::Arc;
use std::time::Duration;

use alts::yamux::{Error, Session, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::arguments::{Action, Arguments};
use crate::bytes::{echo, is_reset, read, write};
use crate::{Counts, Failure};

pub(crate) async fn run(
    action: Action,
    session: &Session,
    arguments: &Arc<Arguments>,
    counts: &Arc<Counts>,
) -> Result<(), Failure> {
    let n = u64::try_from(arguments.n)?;
    match action {
        Action::Echo | Action::Upload | Action::Download | Action::Half | Action::Reset => {
            each(action, session, arguments, counts).await?;
            if matches!(action, Action::Reset) {
                let stream = session.open().await?;
                finish(echo(stream, 1_000, arguments, counts).await?);
            }
            Ok(())
        }
        Action::Many => many(session, arguments, counts).await,
        Action::ExpectReset => expect_resets(session, arguments, counts).await,
        Action::Refused => refused(session, arguments, counts).await,
        Action::Window => window(session, n, arguments, counts).await,
        Action::Ping => pings(session, n, arguments).await,
        Action::Goaway => {
            let stream = session.open().await?;
            session.go_away();
            finish(echo(stream, n, arguments, counts).await?);
            each(Action::Echo, session, arguments, counts).await
        }
        Action::Idle => {
            let mut held = Vec::new();
            for _ in 0..arguments.streams {
                held.push(echo(session.open().await?, n, arguments, counts).await?);
            }
            sleep(arguments.stay.0).await;
            session.ping().await?;
            Ok(())
        }
    }
}

/// Both directions are done.
fn finish((_, writer): (alts::yamux::ReadHalf, alts::yamux::WriteHalf)) {
    writer.close_write();
}

async fn each(
    action: Action,
    session: &Session,
    arguments: &Arc<Arguments>,
    counts: &Arc<Counts>,
) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for _ in 0..arguments.streams {
        let stream = session.open().await?;
        Counts::add(&counts.streams, 1);
        let (arguments, counts) = (Arc::clone(arguments), Arc::clone(counts));
        tasks.spawn(async move { one(action, stream, &arguments, &counts).await });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

async fn one(
    action: Action,
    mut stream: Stream,
    arguments: &Arguments,
    counts: &Counts,
) -> Result<(), Failure> {
    let n = u64::try_from(arguments.n)?;
    match action {
        Action::Upload => {
            write(&mut stream, n, arguments, counts).await?;
            let counted = stream.read_u64().await?;
            stream.shutdown().await?;
            if counted != n {
                return Err(format!("the other side counted {counted} of {n} bytes").into());
            }
        }
        Action::Download => {
            let got = read(&mut stream, None, arguments, counts).await?;
            stream.shutdown().await?;
            if got != n {
                return Err(format!("{got} bytes and the end, not {n}").into());
            }
        }
        Action::Half => {
            write(&mut stream, 1_024, arguments, counts).await?;
            stream.close_write();
            let got = read(&mut stream, None, arguments, counts).await?;
            if got != n {
                return Err(format!("{got} bytes after this side's end, not {n}").into());
            }
        }
        Action::Reset => {
            write(&mut stream, n, arguments, counts).await?;
            stream.reset(0);
        }
        _ => finish(echo(stream, n, arguments, counts).await?),
    }
    Ok(())
}

async fn many(session: &Session, arguments: &Arguments, counts: &Counts) -> Result<(), Failure> {
    let mut all = Vec::new();
    for _ in 0..arguments.streams {
        let stream = session.open().await?;
        Counts::add(&counts.streams, 1);
        all.push(echo(stream, 1, arguments, counts).await?);
    }
    all.into_iter().for_each(finish);
    let gone = async {
        while session.stats().streams > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let patience = Duration::from_secs(5);
    let left = || format!("{} streams did not end", session.stats().streams);
    Ok(timeout(patience, gone).await.map_err(|_| left())?)
}

async fn expect_resets(
    session: &Session,
    arguments: &Arc<Arguments>,
    counts: &Arc<Counts>,
) -> Result<(), Failure> {
    let n = u64::try_from(arguments.n)?;
    let expected = if arguments.resets == 0 { arguments.streams } else { arguments.resets };
    let mut ends = JoinSet::new();
    for _ in 0..arguments.streams {
        let mut stream = session.open().await?;
        Counts::add(&counts.streams, 1);
        let (arguments, counts) = (Arc::clone(arguments), Arc::clone(counts));
        ends.spawn(async move {
            write(&mut stream, n, &arguments, &counts).await?;
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            Ok::<_, Failure>(())
        });
    }
    for reset in 0..expected {
        let end = timeout(Duration::from_secs(10), ends.join_next()).await;
        let end = end.map_err(|_| format!("{reset} resets, not {expected}"))?;
        match end.ok_or("there are fewer streams")?? {
            Err(error) if is_reset(&error) => Counts::add(&counts.resets, 1),
            Err(error) => return Err(error),
            Ok(()) => return Err("a stream ended without a reset".into()),
        }
    }
    session.ping().await?;
    let more = timeout(Duration::from_millis(200), ends.join_next()).await;
    if let Ok(Some(more)) = more {
        return Err(format!("one stream too many ended: {more:?}").into());
    }
    Ok(())
}

async fn refused(session: &Session, arguments: &Arguments, counts: &Counts) -> Result<(), Failure> {
    let n = u64::try_from(arguments.n)?;
    let mut first = session.open().await?;
    Counts::add(&counts.streams, 1);
    let end = Instant::now() + Duration::from_secs(5);
    // Which stream the other side takes for its first is settled before there is a second.
    loop {
        first.write_all(&[0]).await?;
        first.read_u8().await?;
        match session.open().await {
            Err(Error::GoAway { code: 0 }) => break,
            Err(error) => return Err(error.into()),
            Ok(stream) => drop(stream),
        }
        if Instant::now() > end {
            return Err("no GoAway came".into());
        }
    }
    finish(echo(first, n, arguments, counts).await?);
    Ok(())
}

async fn window(
    session: &Session,
    n: u64,
    arguments: &Arguments,
    counts: &Counts,
) -> Result<(), Failure> {
    let mut stream = session.open().await?;
    stream.set_write_deadline(Some(Instant::now() + Duration::from_secs(1)));
    let written = write(&mut stream, 2 * n, arguments, counts).await;
    match written.as_ref().err().and_then(Error::of) {
        Some(Error::Deadline) => {}
        _ => return Err(format!("the other side's window has no end: {written:?}").into()),
    }
    let sent = counts.sent.load(std::sync::atomic::Ordering::Relaxed);
    if sent != n {
        return Err(format!("the window is {sent}, not {n}").into());
    }
    session.ping().await?;
    Ok(())
}

async fn pings(session: &Session, n: u64, arguments: &Arguments) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for _ in 0..arguments.streams {
        let session = session.clone();
        tasks.spawn(async move {
            for _ in 0..n {
                session.ping().await?;
            }
            Ok::<_, Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
