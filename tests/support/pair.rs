//! Two streams over one wire, in one task.

use alts::AltsStream;
use alts::connect::Settings;
use alts::pool::BufferPool;

use super::wire::{Control, Wire, wires};
use super::{Parties, settings};

pub(crate) struct Pair {
    pub(crate) near: AltsStream<Wire>,
    pub(crate) near_control: Control,
    pub(crate) far: AltsStream<Wire>,
    /// Of both.
    pub(crate) pool: BufferPool,
}

/// A connected pair, both ends with the same settings. The counts of the near end begin at zero.
pub(crate) async fn pair(change: impl FnOnce(&mut Settings)) -> Pair {
    let pool = BufferPool::new();
    let ((near, near_control), (far, _)) = wires(usize::MAX);
    let settings = settings(&pool, change);
    let (near, far) = Parties::new().pair_over(near, far, settings.clone(), settings).await;
    near_control.take_counts();
    Pair { near, near_control, far, pool }
}
