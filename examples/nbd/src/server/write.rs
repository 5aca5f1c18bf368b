//! Writes: payloads are stored piece by piece as they arrive.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use alts::pool::PooledBuf;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::SemaphorePermit;

use super::ConnectionError;
use super::carrier::Half;
use super::connection::{Connection, InFlight, Outstanding};
use super::input::{Filled, Input};
use super::tasks::Tasks;
use crate::backend::Backend;
use crate::wire::Errno;
use crate::wire::flags::CommandFlags;

/// A write of which parts are being stored.
#[derive(Debug)]
struct Write<'conn> {
    in_flight: InFlight<'conn>,
    outstanding: Outstanding,
    failed: Mutex<Option<Errno>>,
    /// All of it was written through.
    stable: AtomicBool,
}

impl Write<'_> {
    fn fail(&self, error: Errno) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert(error);
    }

    fn error(&self) -> Option<Errno> {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_through(&self) -> bool {
        self.in_flight.request.flags.contains(CommandFlags::FUA)
    }
}

impl<S> Connection<'_, Half<S>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    /// Reads the payload of a write, and begins to store what has arrived.
    pub(super) async fn receive_write<'conn>(
        &'conn self,
        input: &mut Input<Half<S>>,
        tasks: &Tasks<'conn>,
        in_flight: InFlight<'conn>,
    ) -> Result<(), ConnectionError> {
        let request = in_flight.request;
        let block = self.agreed.export.block_size().minimum as usize;
        let write = Arc::new(Write {
            in_flight,
            outstanding: Outstanding::new(),
            failed: Mutex::default(),
            stable: AtomicBool::new(false),
        });
        let mut offset = request.offset;
        let mut left = request.len as usize;
        // Bytes that arrived before the client stopped, and are not a whole block.
        let mut begun: Vec<u8> = Vec::new();
        while left > 0 {
            let len = left.min(self.piece);
            // Room and memory only when there is something to put into it: other requests go on while the client pauses.
            input.readable().await?;
            let budget = self.reserve(len).await.map_err(|_| ConnectionError::Broken)?;
            let mut buf = match self.take(len).await {
                Ok(buf) => buf,
                Err(error) => {
                    write.fail(error);
                    input.discard((left - begun.len()) as u64).await?;
                    break;
                }
            };
            buf.set_range(0..len);
            let mut filled = begun.len();
            buf[..filled].copy_from_slice(&begun);
            begun.clear();
            let patience = self.shared.settings.stall_limit;
            let filling = input.fill(&mut buf, &mut filled, patience).await?;
            if filling == Filled::Stalled {
                self.shared.counters.released();
            }
            let stored = filled - filled % block;
            begun.extend_from_slice(&buf[stored..filled]);
            buf.truncate(stored);
            if stored > 0 {
                let whole = stored == request.len as usize;
                write.outstanding.add();
                let store = self.store(Arc::clone(&write), offset, buf, whole, budget);
                tasks.begin(store).await;
            }
            offset += stored as u64;
            left -= stored;
        }
        if write.outstanding.done() {
            tasks.begin(self.finish_write(write)).await;
        }
        Ok(())
    }

    async fn store(
        &self,
        write: Arc<Write<'_>>,
        offset: u64,
        buf: PooledBuf,
        whole: bool,
        budget: SemaphorePermit<'_>,
    ) {
        let through = whole && write.is_through();
        let len = buf.len();
        let stored = self.run(len, move |backend| {
            match through {
                true => backend.write_through(offset, &buf)?,
                false => backend.write(offset, &buf)?,
            }
            Ok(buf)
        });
        match stored.await {
            Ok(buf) => {
                self.shared.counters.written(len as u64);
                self.give_back(buf);
                write.stable.store(through, Ordering::Relaxed);
            }
            Err(error) => write.fail(error),
        }
        drop(budget);
        if write.outstanding.done() {
            self.finish_write(write).await;
        }
    }

    async fn finish_write(&self, write: Arc<Write<'_>>) {
        let mut result = write.error().map_or(Ok(()), Err);
        // A write in several parts is made stable once.
        if write.is_through() && !write.stable.load(Ordering::Relaxed) && result.is_ok() {
            result = self.run(0, Backend::flush).await;
        }
        let _ = self.send_result(&write.in_flight.request, result).await;
    }
}
