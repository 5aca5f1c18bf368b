//! `alts-nbd copy`.

mod place;
mod regions;

use std::time::Duration;

use alts_nbd::client::{Settings, Uri, UriError};
use clap::Args;
use futures_util::stream::{StreamExt as _, iter};

use self::place::{Destination, Place, Wanted};
use self::regions::{Piece, Regions, runs};
use crate::connecting::Connecting;
use crate::outcome::Failure;
use crate::progress::Progress;
use crate::sizes::Size;
use crate::units::bytes;

/// The longest that servers get to close connections that have done their work.
const FAREWELL: Duration = Duration::from_secs(5);

/// Arguments of `alts-nbd copy`.
#[derive(Debug, Args)]
pub(crate) struct Copy {
    /// What to copy: a URI, a file, or a block device.
    #[arg(value_name = "SOURCE", value_parser = Destination::parse_source)]
    source: Destination,
    /// Where to: a URI, a file, a block device, or `null:` for nowhere. A file is made anew.
    #[arg(value_name = "DESTINATION", value_parser = Destination::parse)]
    destination: Destination,

    /// End when the copy is on stable storage.
    #[arg(long)]
    flush: bool,
    /// Take it for granted that the destination reads as zeroes, and write no zeroes.
    #[arg(long)]
    destination_is_zero: bool,
    /// Zeroes of at least this size are not written as data, but as a hole if the destination has such. 0 switches it off.
    #[arg(long, value_name = "SIZE", default_value = "32k", help_heading = "Ways and limits")]
    sparse: Size,
    /// Do not ask the source what is allocated, and read everything.
    #[arg(long, help_heading = "Ways and limits")]
    no_extents: bool,
    /// Connections to a server that says that it allows several.
    #[arg(long, value_name = "COUNT", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "Ways and limits")]
    connections: u32,
    /// Pieces under way at a time.
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u32).range(1..=1024), help_heading = "Ways and limits")]
    requests: u32,
    /// The size of a piece: a multiple of 64k, at most 32M.
    #[arg(long, value_name = "SIZE", default_value = "256k", help_heading = "Ways and limits")]
    request_size: Size,
    /// Draw a bar, or do not. By default it depends on whether standard error is a terminal.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    progress: Option<bool>,
    #[command(flatten)]
    connecting: Connecting,
}

/// Examples, for `--help`.
pub(crate) const EXAMPLES: &str = "\
Examples:
  alts-nbd copy nbd://localhost/disk disk.img
  alts-nbd copy --flush disk.img nbd+unix:///disk?socket=/run/nbd.sock
  alts-nbd copy nbd://a/disk nbd+alts://b.example/disk --server spiffe://example.org/b \\
    --cert chain.pem --key key.pem --bundle example.org=ca.pem
";

/// Both ends of a copy under way.
struct Copying {
    source: Place,
    destination: Place,
    settings: Settings,
    /// What has no data there needs no zeroes.
    is_zero: bool,
    /// Smaller runs of zeroes are data.
    sparse: Option<usize>,
    progress: Progress,
}

impl Copy {
    pub(crate) async fn run(&self) -> Result<(), Failure> {
        let piece = self.request_size.0;
        if piece == 0 || !piece.is_multiple_of(64 << 10) || piece > 32 << 20 {
            return Err(Failure::local("--request-size is a multiple of 64k, at most 32M"));
        }
        if piece.saturating_mul(2) > self.connecting.memory() {
            return Err(Failure::local("--memory has no room for two pieces of --request-size"));
        }
        self.source.check_other_than(&self.destination)?;
        let mut settings = self.connecting.settings()?;
        settings.request_size = piece as usize;
        settings.requests_in_flight = self.requests as usize;
        let wanted = Wanted {
            connecting: &self.connecting,
            settings: &settings,
            connections: self.connections.min(self.requests) as usize,
        };
        let source = self.source.open_source(&wanted).await?;
        let Some(size) = source.size() else {
            return Err(Failure::local("null: cannot be copied"));
        };
        let destination = self.destination.open(&wanted, size).await?;
        let granule = source.block().max(destination.block()).max(512);
        let copying = Copying {
            is_zero: self.destination_is_zero || self.destination.is_made(),
            sparse: (self.sparse.0 > 0)
                .then(|| (self.sparse.0.max(granule) / granule * granule) as usize),
            progress: Progress::begin(size, self.progress),
            source,
            destination,
            settings,
        };
        let regions = Regions::new(size, granule, piece, !self.no_extents);
        copying.run(regions, self.requests as usize, self.flush).await
    }
}

impl Copying {
    async fn run(self, regions: Regions, depth: usize, flush: bool) -> Result<(), Failure> {
        let batches = futures_util::stream::unfold(Some(regions), |regions| async {
            let mut regions = regions?;
            match regions.next(&self.source).await {
                Ok(None) => None,
                Ok(Some(pieces)) => Some((Ok(pieces), Some(regions))),
                Err(failure) => Some((Err(failure), None)),
            }
        });
        let pieces = batches.flat_map(|batch| match batch {
            Ok(pieces) => iter(pieces.map(Ok)).boxed(),
            Err(failure) => iter([Err(failure)]).boxed(),
        });
        let work = pieces.enumerate().map(|(nth, piece)| {
            let this = &self;
            async move {
                match piece {
                    Ok(piece) => this.copy(nth, piece).await,
                    Err(failure) => Err(failure),
                }
            }
        });
        let mut work = Box::pin(work.buffer_unordered(depth));
        while let Some(copied) = work.next().await {
            copied?;
        }
        drop(work);
        if flush {
            self.destination.flush().await?;
        }
        self.source.close().await?;
        self.destination.close().await?;
        self.progress.end();
        Ok(())
    }

    async fn copy(&self, nth: usize, piece: Piece) -> Result<(), Failure> {
        let (start, end) = (piece.range.start, piece.range.end);
        if piece.zero {
            if !self.is_zero {
                self.destination.zero(nth, start..end).await?;
            }
        } else {
            let data = self.source.read(nth, piece.range, &self.settings).await?;
            for (range, zero) in runs(&data, start, self.sparse) {
                let at = start + range.start as u64;
                match zero {
                    true if self.is_zero => {}
                    true => self.destination.zero(nth, at..start + range.end as u64).await?,
                    false => self.destination.write(nth, at, data.slice(range)).await?,
                }
            }
        }
        self.progress.add(end - start);
        Ok(())
    }
}

/// The source does not fit.
fn too_small(size: u64, room: u64) -> Failure {
    Failure::local(format!(
        "the destination is too small: it has {}, the source {}",
        bytes(room),
        bytes(size)
    ))
}

/// A URI, if it is meant as one.
fn uri(text: &str) -> Result<Option<Uri>, String> {
    match Uri::is_meant(text) {
        true => text.parse().map(Some).map_err(|error: UriError| format!("{error}")),
        false => Ok(None),
    }
}
