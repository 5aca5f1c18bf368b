//! How much a peer may ask of this side that leads nowhere.

use super::frame::Violation;
use super::limits::{Bucket, CALM, CONTROL, RESETS};

/// A coarse clock: tenths of a second since a moment of the caller's choice.
pub(crate) type Tick = u32;
/// Ticks in a second.
pub(crate) const SECOND: Tick = 10;

/// The two buckets of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    resets: u16,
    control: u16,
    refilled: Tick,
}

impl Budget {
    pub(crate) fn new(now: Tick) -> Self {
        Self { resets: RESETS.size, control: CONTROL.size, refilled: now }
    }

    /// For what leads nowhere.
    pub(crate) fn charge_reset(&mut self, weight: u16, now: Tick) -> Result<(), Violation> {
        self.refill(now);
        charge(&mut self.resets, weight, &RESETS)
    }

    /// For what carries nothing.
    pub(crate) fn charge_control(&mut self, weight: u16, now: Tick) -> Result<(), Violation> {
        self.refill(now);
        charge(&mut self.control, weight, &CONTROL)
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self, control: u16) {
        refund(&mut self.resets, 1, &RESETS);
        self.refund_control(control);
    }

    pub(crate) fn refund_control(&mut self, count: u16) {
        refund(&mut self.control, count, &CONTROL);
    }

    #[inline]
    fn refill(&mut self, now: Tick) {
        let passed = now.wrapping_sub(self.refilled);
        // Neither bucket takes longer than this to fill up, and products stay small.
        let passed = passed.min(60 * SECOND);
        if passed == 0 {
            return;
        }
        self.refilled = now;
        for (left, bucket) in [(&mut self.resets, &RESETS), (&mut self.control, &CONTROL)] {
            let back = u32::from(bucket.per_second) * passed / SECOND;
            refund(left, back.min(u32::from(u16::MAX)) as u16, bucket);
        }
    }
}

fn charge(left: &mut u16, weight: u16, bucket: &Bucket) -> Result<(), Violation> {
    match left.checked_sub(weight) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => Err(Violation::connection(CALM, bucket.exhausted)),
    }
}

fn refund(left: &mut u16, count: u16, bucket: &Bucket) {
    *left = left.saturating_add(count).min(bucket.size);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_used_up_and_refills_with_time() {
        let mut budget = Budget::new(5);
        for _ in 0..CONTROL.size {
            budget.charge_control(1, 5).unwrap();
        }
        assert_eq!(budget.charge_control(1, 5).unwrap_err().what, CONTROL.exhausted);
        for _ in 0..CONTROL.per_second {
            budget.charge_control(1, 5 + SECOND).unwrap();
        }
        budget.charge_control(1, 5 + SECOND).unwrap_err();
        budget.charge_reset(1, 5 + SECOND).unwrap();
        let later = 5 + 1_000 * SECOND;
        for _ in 0..CONTROL.size {
            budget.charge_control(1, later).unwrap();
        }
        budget.charge_control(1, later).unwrap_err();
    }

    #[test]
    fn work_gives_back() {
        let mut budget = Budget::new(0);
        for _ in 0..100_000 {
            budget.charge_reset(1, 0).unwrap();
            budget.charge_control(3, 0).unwrap();
            budget.answered(3);
        }
    }
}
