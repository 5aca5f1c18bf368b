//! The bytes of a stream, which tell where they belong.

use std::io;
use std::time::{Duration, Instant};

use alts::yamux::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::arguments::Arguments;
use crate::{Counts, Failure};

/// The byte at an offset.
fn at(offset: u64) -> u8 {
    (offset ^ offset >> 8 ^ offset >> 16).to_le_bytes()[0]
}

/// Writes the first `total` bytes of a stream.
pub(crate) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    total: u64,
    arguments: &Arguments,
    counts: &Counts,
) -> Result<(), io::Error> {
    let mut chunk = vec![0; arguments.chunk as usize];
    let mut offset = 0;
    while offset < total {
        let count = (total - offset).min(chunk.len() as u64) as usize;
        for (place, byte) in (offset..).zip(&mut chunk[..count]) {
            *byte = at(place);
        }
        let mut left = &chunk[..count];
        while !left.is_empty() {
            let written = stream.write(left).await?;
            Counts::add(&counts.sent, written);
            left = &left[written..];
        }
        offset += count as u64;
    }
    Ok(())
}

/// Reads and checks `total` bytes, or all up to the end: their number.
pub(crate) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    total: Option<u64>,
    arguments: &Arguments,
    counts: &Counts,
) -> Result<u64, Failure> {
    let rate = arguments.rate;
    let size = if rate == 0 { 64 << 10 } else { (rate / 20).clamp(1, 64 << 10) };
    let mut buffer = vec![0; size as usize];
    let (start, mut offset) = (Instant::now(), 0);
    while total.is_none_or(|total| offset < total) {
        let wanted = total.map_or(size, |total| size.min(total - offset)) as usize;
        let count = stream.read(&mut buffer[..wanted]).await?;
        if count == 0 {
            return match total {
                None => Ok(offset),
                Some(total) => Err(format!("the end after {offset} of {total} bytes").into()),
            };
        }
        for (place, &byte) in (offset..).zip(&buffer[..count]) {
            if byte != at(place) {
                return Err(format!("at {place} is {byte}, not {}", at(place)).into());
            }
        }
        offset += count as u64;
        Counts::add(&counts.got, count);
        if rate > 0 {
            let due = Duration::from_secs_f64(offset as f64 / rate as f64);
            tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
        }
    }
    Ok(offset)
}

/// Writes `total` bytes and reads them back.
pub(crate) async fn echo(
    stream: alts::yamux::Stream,
    total: u64,
    arguments: &Arguments,
    counts: &Counts,
) -> Result<(alts::yamux::ReadHalf, alts::yamux::WriteHalf), Failure> {
    let (mut reader, mut writer) = stream.into_split();
    let writing =
        async { write(&mut writer, total, arguments, counts).await.map_err(Failure::from) };
    let reading = read(&mut reader, Some(total), arguments, counts);
    tokio::try_join!(writing, reading)?;
    Ok((reader, writer))
}

/// The error of the session inside.
pub(crate) fn inner(error: &Failure) -> Option<&Error> {
    error.downcast_ref::<io::Error>().and_then(Error::of)
}

/// Whether this is a reset of the other side.
pub(crate) fn is_reset(error: &Failure) -> bool {
    matches!(inner(error), Some(Error::Reset { .. }))
}
