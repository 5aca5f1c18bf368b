//! How a pool is set up.

use std::time::Duration;

use super::class::Class;
use super::error::PoolConfigError;

/// 32 KiB: two records of ALTS' usual 16 KiB a read. Reads of 8 KiB cost a quarter more in bulk,
/// and larger ones gain little while they spread the data over more cache.
const DEFAULT_BUFFER_SIZE: usize = Class::USUAL.nominal();

/// 256 MiB, about 8,000 buffers of 32 KiB. A buffer is held only while bytes move, so this is 8,000
/// connections with data in the air at one moment, not 8,000 connections. Filled with buffers of
/// the smallest class alone it is 58,254 mappings, still below the 65,530 that Linux allows a
/// process.
const DEFAULT_CAP: usize = 256 << 20;

/// 1 MiB, 31 buffers of 32 KiB: more than the threads of most machines read into at once, and
/// nothing to miss in an idle process.
const DEFAULT_KEPT: usize = 1 << 20;

/// What happens to idle memory.
///
/// Idle buffers always count towards the cap, and are unmapped for a request that needs the room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Retention {
    /// Keep at most this many bytes idle and unmap what exceeds it at once, oldest use first.
    KeepUpTo(usize),
    /// Keep everything, and unmap what has not been used for this long (or up to a quarter longer).
    ///
    /// A thread named `alts-pool-idle` does this. It is started when the first buffer becomes idle
    /// and ends when it finds none, or with the pool. Where no thread can be started, buffers are
    /// unmapped at once.
    ReleaseAfter(Duration),
    /// Unmap every buffer when it comes back. Costs a mapping and its page faults for each read.
    NeverKeep,
}

impl Default for Retention {
    fn default() -> Self {
        Self::KeepUpTo(DEFAULT_KEPT)
    }
}

/// Describes a [`BufferPool`](super::BufferPool); [`build`](Self::build) checks it once.
#[derive(Clone, Debug)]
#[must_use]
pub struct BufferPoolBuilder {
    pub(super) buffer_size: usize,
    pub(super) cap: usize,
    pub(super) retention: Retention,
}

impl Default for BufferPoolBuilder {
    fn default() -> Self {
        Self { buffer_size: DEFAULT_BUFFER_SIZE, cap: DEFAULT_CAP, retention: Retention::default() }
    }
}

impl BufferPoolBuilder {
    /// The size that readers request by default, in bytes: a power of two from 4 KiB to 32 MiB, 32 KiB
    /// unless set. Buffers of the other sizes remain available.
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        self.buffer_size = bytes;
        self
    }

    /// The most bytes that buffers in use and idle ones may have together; 256 MiB unless set. At
    /// least one buffer of the chosen size.
    ///
    /// Each buffer counts with its class and the 512 bytes beyond it; the system rounds that up to
    /// whole pages once they are touched. On Linux a process has at most `vm.max_map_count`
    /// mappings, 65,530 unless raised, and in the worst case a buffer is one of them: raise that
    /// setting together with a cap beyond 2 GiB of 32 KiB buffers (see [the module](super#limits)).
    pub fn cap(mut self, bytes: usize) -> Self {
        self.cap = bytes;
        self
    }

    /// What happens to idle memory.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Checks the description and makes the pool, which holds no buffer yet.
    pub fn build(self) -> Result<super::BufferPool, PoolConfigError> {
        let class = checked_class(self.buffer_size, self.cap)?;
        if self.retention == Retention::ReleaseAfter(Duration::ZERO) {
            return Err(PoolConfigError::ReleaseAfterZero);
        }
        Ok(super::BufferPool::from_checked(&self, class))
    }
}

/// The class of this nominal size, if a pool of that cap has room for a buffer of it.
pub(super) fn checked_class(size: usize, cap: usize) -> Result<Class, PoolConfigError> {
    let class = Class::exactly(size).ok_or(PoolConfigError::BufferSize(size))?;
    if cap < class.capacity() {
        return Err(PoolConfigError::CapTooSmall { cap, least: class.capacity() });
    }
    Ok(class)
}
