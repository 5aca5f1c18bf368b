//! `alts-nbd map`.

use std::io::{self, Write as _};

use alts_nbd::client::{Client, Uri};
use alts_nbd::wire::flags::{AllocationFlags, CommandFlags};
use clap::Args;
use serde_json::json;

use crate::connecting::Connecting;
use crate::outcome::Failure;

/// Arguments of `alts-nbd map`.
#[derive(Debug, Args)]
pub(crate) struct Map {
    /// The export.
    #[arg(value_name = "URI")]
    uri: Uri,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print how many bytes there are of each kind.
    #[arg(long)]
    totals: bool,
    #[command(flatten)]
    connecting: Connecting,
}

/// What a request asks about at once.
const AT_ONCE: u64 = 1 << 31;

/// A range of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    offset: u64,
    len: u64,
    flags: AllocationFlags,
}

impl Map {
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let dialer = self.connecting.dialer(&self.uri, self.connecting.settings()?)?;
        let at = |failure: Failure| failure.at(&self.uri);
        let client = dialer.connect().await.map_err(Failure::from).map_err(at)?;
        let mut out = Printer { json: self.json, totals: self.totals, ..Printer::default() };
        walk(&client, |range| out.put(range)).await.map_err(at)?;
        out.end()?;
        client.disconnect().await.map_err(Failure::from).map_err(at)
    }
}

/// Calls `each` with every range; neighbors of the same kind come as one.
async fn walk(
    client: &Client,
    mut each: impl FnMut(Range) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut at, size) = (0, client.size());
    let mut pending: Option<Range> = None;
    while at < size {
        let block = u64::from(client.terms().block_size().minimum);
        // An extent may have ended inside of a block; requests begin where blocks do.
        let (before, start) = (at, at - at % block);
        let len = (size - start).min(AT_ONCE) as u32;
        let mut offset = start;
        for extent in client.block_status(start, len, CommandFlags::NONE).await? {
            let end = size.min(offset + u64::from(extent.len));
            let from = at.max(offset);
            offset = end;
            if end <= from {
                continue;
            }
            at = end;
            match &mut pending {
                Some(range) if range.flags == extent.flags => range.len += end - from,
                _ => {
                    let next = Range { offset: from, len: end - from, flags: extent.flags };
                    pending.replace(next).map_or(Ok(()), &mut each)?;
                }
            }
        }
        if at == before {
            return Err(Failure::local("the server's extents make no progress"));
        }
    }
    pending.map_or(Ok(()), each)
}

#[derive(Default)]
struct Printer {
    json: bool,
    totals: bool,
    printed: bool,
    sums: [u64; 4],
}

impl Printer {
    fn put(&mut self, range: Range) -> Result<(), Failure> {
        self.sums[(range.flags.0 & 3) as usize] += range.len;
        if self.totals {
            return Ok(());
        }
        let (text, kind) = (describe(range.flags), range.flags.0);
        let mut out = io::stdout().lock();
        let printed = if self.json {
            let before = if self.printed { ",\n" } else { "[\n" };
            let object = json!({
                "offset": range.offset, "length": range.len, "type": kind, "description": text,
            });
            write!(out, "{before}{object}")
        } else {
            writeln!(out, "{:>14} {:>14} {kind:>3}  {text}", range.offset, range.len)
        };
        self.printed = true;
        printed.map_err(Failure::local)
    }

    fn end(&self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let printed = if self.totals {
            let sums = (0..).map(AllocationFlags).zip(self.sums);
            if self.json {
                let sums = sums.map(|(flags, sum)| (describe(flags).to_owned(), sum.into()));
                writeln!(out, "{:#}", serde_json::Value::Object(sums.collect()))
            } else {
                sums.filter(|(_, sum)| *sum > 0)
                    .try_for_each(|(flags, sum)| writeln!(out, "{sum:>14}  {}", describe(flags)))
            }
        } else if self.json {
            out.write_all(if self.printed { b"\n]\n" } else { b"[]\n" })
        } else {
            Ok(())
        };
        printed.and_then(|()| out.flush()).map_err(Failure::local)
    }
}

fn describe(flags: AllocationFlags) -> &'static str {
    match flags.0 & 3 {
        0 => "data",
        1 => "hole",
        2 => "zero",
        _ => "hole,zero",
    }
}
