//! Either end of a copy: an export, a file, or nowhere.

use std::fmt;
use std::future::poll_fn;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use alts_nbd::backend::{Backend, FileBackend, FileOptions, Zeroing};
use alts_nbd::client::{Client, Settings, Uri};
use alts_nbd::wire::flags::{CommandFlags, TransmissionFlags};
use alts_nbd::wire::reply::Extent;
use bytes::Bytes;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{FAREWELL, too_small, uri};
use crate::connecting::Connecting;
use crate::outcome::Failure;

/// Zeroes for a server that has no command for them.
static NO_DATA: [u8; 64 << 10] = [0; 64 << 10];
/// Extents that are asked of a file at once.
const EXTENTS: usize = 4096;

/// An end of a copy, as the command line says it.
#[derive(Clone, Debug)]
pub(super) enum Destination {
    Nbd(Uri),
    File(PathBuf),
    Null,
}

/// How connections are made.
pub(super) struct Wanted<'a> {
    pub(super) connecting: &'a Connecting,
    pub(super) settings: &'a Settings,
    pub(super) connections: usize,
}

/// An end of a copy that is open.
pub(super) enum Place {
    /// Connections to the same export, and its URI for messages.
    Nbd(Vec<Client>, Uri),
    File(Arc<FileBackend>),
    Null,
}

impl Destination {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match (uri(text)?, text) {
            (Some(uri), _) => Ok(Self::Nbd(uri)),
            (None, "null:") => Ok(Self::Null),
            (None, "") => Err("it is empty".to_owned()),
            (None, path) => Ok(Self::File(path.into())),
        }
    }

    pub(super) fn parse_source(text: &str) -> Result<Self, String> {
        match Self::parse(text)? {
            Self::Null => Err("null: has nothing to copy".to_owned()),
            source => Ok(source),
        }
    }

    /// Whether it is a file that the copy makes, and so reads as zeroes.
    pub(super) fn is_made(&self) -> bool {
        match self {
            Self::File(path) => path.metadata().is_ok_and(|metadata| metadata.is_file()),
            Self::Nbd(_) | Self::Null => false,
        }
    }

    /// A file must not be emptied before it is copied.
    pub(super) fn check_other_than(&self, other: &Self) -> Result<(), Failure> {
        let (Self::File(one), Self::File(two)) = (self, other) else { return Ok(()) };
        match (one.metadata(), two.metadata()) {
            (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()) => {
                Err(Failure::local("source and destination are the same file"))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn open_source(&self, wanted: &Wanted<'_>) -> Result<Place, Failure> {
        match self {
            Self::Nbd(uri) => wanted.connect(uri).await,
            Self::File(path) => {
                let mut options = FileOptions::default();
                options.read_only = true;
                let opened = FileBackend::open(path, options);
                let file = opened.map_err(|error| Failure::local(error).at(path.display()))?;
                Ok(Place::File(Arc::new(file)))
            }
            Self::Null => Ok(Place::Null),
        }
    }

    /// Opens it for so many bytes.
    pub(super) async fn open(&self, wanted: &Wanted<'_>, size: u64) -> Result<Place, Failure> {
        let place = match self {
            Self::Nbd(uri) => wanted.connect(uri).await?,
            Self::File(path) => {
                let fault = |error| Failure::local(error).at(path.display());
                if !path.exists() || self.is_made() {
                    let made = std::fs::File::create(path).map_err(fault)?;
                    made.set_len(size).map_err(fault)?;
                }
                let file = FileBackend::open(path, FileOptions::default()).map_err(fault)?;
                Place::File(Arc::new(file))
            }
            Self::Null => Place::Null,
        };
        match place.size() {
            Some(room) if room < size => Err(too_small(size, room)),
            _ => match &place {
                Place::Nbd(clients, uri) if clients[0].terms().is_read_only() => {
                    Err(Failure::local("the export is read-only").at(uri))
                }
                _ => Ok(place),
            },
        }
    }
}

impl Wanted<'_> {
    /// As many connections as are wanted and allowed.
    async fn connect(&self, uri: &Uri) -> Result<Place, Failure> {
        let dialer = self.connecting.dialer(uri, self.settings.clone())?;
        let at = |error| Failure::from(error).at(uri);
        let first = dialer.connect().await.map_err(at)?;
        let several = first.terms().offers(TransmissionFlags::CAN_MULTI_CONN);
        let mut clients = vec![first];
        for _ in 1..if several { self.connections } else { 1 } {
            clients.push(dialer.connect().await.map_err(at)?);
        }
        Ok(Place::Nbd(clients, uri.clone()))
    }
}

impl Place {
    pub(super) fn size(&self) -> Option<u64> {
        match self {
            Self::Nbd(clients, _) => Some(clients[0].size()),
            Self::File(file) => Some(file.size()),
            Self::Null => None,
        }
    }

    /// What offsets and lengths are multiples of.
    pub(super) fn block(&self) -> u64 {
        match self {
            Self::Nbd(clients, _) => clients[0].terms().block_size().minimum.into(),
            Self::File(_) | Self::Null => 1,
        }
    }

    /// What is allocated; nothing if that is not known.
    pub(super) async fn extents(&self, range: Range<u64>) -> Result<Vec<Extent>, Failure> {
        match self {
            Self::Nbd(clients, uri) if clients[0].terms().allocation.is_some() => {
                let len = (range.end - range.start) as u32;
                let told = clients[0].block_status(range.start, len, CommandFlags::NONE).await;
                told.map_err(|error| Failure::from(error).at(uri))
            }
            Self::File(file) => call(file, move |file| file.extents(range, EXTENTS)).await,
            Self::Nbd(..) | Self::Null => Ok(Vec::new()),
        }
    }

    pub(super) async fn read(
        &self,
        nth: usize,
        range: Range<u64>,
        settings: &Settings,
    ) -> Result<Bytes, Failure> {
        let len = (range.end - range.start) as usize;
        match self {
            Self::Nbd(clients, uri) => {
                let client = &clients[nth % clients.len()];
                if len > client.piece() {
                    // The server takes less at once.
                    let mut all = vec![0; len];
                    let read = client.read_into(range.start, &mut all).await;
                    return read.map(|()| all.into()).map_err(|error| Failure::from(error).at(uri));
                }
                let read = client.read(range.start, len).await;
                read.map(alts::pool::PooledBuf::freeze)
                    .map_err(|error| Failure::from(error).at(uri))
            }
            Self::File(file) => {
                let mut ticket = None;
                let taken = poll_fn(|cx| settings.pool.poll_take(cx, &mut ticket, len)).await;
                let mut buf = taken.map_err(Failure::local)?;
                buf.set_range(0..len);
                call(file, move |file| {
                    file.read(range.start, &mut buf)?;
                    Ok(buf.freeze())
                })
                .await
            }
            Self::Null => Ok(Bytes::new()),
        }
    }

    pub(super) async fn write(&self, nth: usize, offset: u64, data: Bytes) -> Result<(), Failure> {
        match self {
            Self::Nbd(clients, uri) => {
                let client = &clients[nth % clients.len()];
                let at = |error| Failure::from(error).at(uri);
                let block = client.terms().block_size().minimum as usize;
                let data = match data.len() % block {
                    0 => data,
                    // The end of a file inside of the last block.
                    rest => [&data[..], &vec![0; block - rest]].concat().into(),
                };
                let most = client.piece();
                for start in (0..data.len()).step_by(most) {
                    let part = data.slice(start..data.len().min(start + most));
                    let at_offset = offset + start as u64;
                    client.write(at_offset, part, CommandFlags::NONE).await.map_err(at)?;
                }
                Ok(())
            }
            Self::File(file) => call(file, move |file| file.write(offset, &data)).await,
            Self::Null => Ok(()),
        }
    }

    pub(super) async fn zero(&self, nth: usize, range: Range<u64>) -> Result<(), Failure> {
        match self {
            Self::Nbd(clients, uri) => {
                let client = &clients[nth % clients.len()];
                let block = self.block();
                let range = range.start..range.end.next_multiple_of(block);
                if client.terms().offers(TransmissionFlags::WRITE_ZEROES) {
                    let zeroed = client.zero(range, CommandFlags::NONE).await;
                    return zeroed.map_err(|error| Failure::from(error).at(uri));
                }
                let mut at = range.start;
                while at < range.end {
                    let len = (range.end - at).min(NO_DATA.len() as u64);
                    let zeroes = Bytes::from_static(&NO_DATA[..len as usize]);
                    self.write(nth, at, zeroes).await?;
                    at += len;
                }
                Ok(())
            }
            Self::File(file) => {
                let mut zeroing = Zeroing::default();
                zeroing.may_punch = true;
                call(file, move |file| file.zero(range, zeroing)).await
            }
            Self::Null => Ok(()),
        }
    }

    /// All that was written is on stable storage.
    pub(super) async fn flush(&self) -> Result<(), Failure> {
        match self {
            Self::Nbd(clients, uri) => {
                // Several connections are used only where one flush covers all.
                if clients[0].terms().offers(TransmissionFlags::FLUSH) {
                    clients[0].flush().await.map_err(|error| Failure::from(error).at(uri))?;
                }
                Ok(())
            }
            Self::File(file) => call(file, Backend::flush).await,
            Self::Null => Ok(()),
        }
    }

    pub(super) async fn close(&self) -> Result<(), Failure> {
        if let Self::Nbd(clients, uri) = self {
            for client in clients {
                // A server that does not close has done its work all the same.
                if let Ok(Err(error)) = timeout(FAREWELL, client.disconnect()).await {
                    return Err(Failure::from(error).at(uri));
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nbd(_, uri) => write!(f, "{uri}"),
            Self::File(file) => write!(f, "{}", file.path().display()),
            Self::Null => f.write_str("null:"),
        }
    }
}

/// Calls a file where that may wait.
async fn call<T: Send + 'static>(
    file: &Arc<FileBackend>,
    work: impl FnOnce(&FileBackend) -> std::io::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    let shared = Arc::clone(file);
    let done = spawn_blocking(move || work(&shared)).await.map_err(Failure::local)?;
    done.map_err(|error| Failure::local(error).at(file.path().display()))
}
