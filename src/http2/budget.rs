//! How much a peer may ask of this side that leads nowhere.

use std::time::Duration;

use super::frame::Violation;
use super::limits::{Bucket, CALM, CONTROL, RESETS};

/// A coarse clock: tenths of a second since a moment of the caller's choice.
pub(crate) type Tick = u32;
/// Ticks in a second.
pub(crate) const SECOND: Tick = 10;

/// A limit of time in ticks, rounded up: 6 years at most, so that two of them can be added.
pub(crate) fn ticks(duration: Duration) -> Tick {
    const MOST: Tick = Tick::MAX / 2;
    let tick = 1_000 / u128::from(SECOND);
    Tick::try_from(duration.as_millis().div_ceil(tick)).unwrap_or(MOST).min(MOST)
}

/// The two buckets of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    control: u32,
    resets: u16,
    /// The last bits of the tick. After each 109 minutes without a refill time counts from 0 again, which withholds a minute's at most.
    refilled: u16,
}

impl Budget {
    pub(crate) fn new(now: Tick) -> Self {
        Self { control: CONTROL.size, resets: RESETS.size as u16, refilled: now as u16 }
    }

    /// For what leads nowhere.
    pub(crate) fn charge_reset(&mut self, weight: u32, now: Tick) -> Result<(), Violation> {
        self.refill(now);
        let mut left = self.resets.into();
        let charged = charge(&mut left, weight, &RESETS);
        self.resets = left as u16;
        charged
    }

    /// For what carries nothing.
    pub(crate) fn charge_control(&mut self, weight: u32, now: Tick) -> Result<(), Violation> {
        self.refill(now);
        charge(&mut self.control, weight, &CONTROL)
    }

    /// A request was answered.
    pub(crate) fn answered(&mut self, control: u32) {
        self.resets = (self.resets + 1).min(RESETS.earned as u16);
        self.refund_control(control);
    }

    pub(crate) fn refund_control(&mut self, count: u32) {
        refund(&mut self.control, count, &CONTROL);
    }

    #[inline]
    fn refill(&mut self, now: Tick) {
        let passed = (now as u16).wrapping_sub(self.refilled);
        // Neither bucket takes longer than this to fill up, and products stay small.
        let passed = u32::from(passed).min(60 * SECOND);
        if passed == 0 {
            return;
        }
        self.refilled = now as u16;
        self.control = later(self.control, passed, &CONTROL);
        self.resets = later(self.resets.into(), passed, &RESETS) as u16;
    }
}

/// What a bucket has after so many ticks. What work has earned stays, and time adds nothing to it.
fn later(left: u32, passed: Tick, bucket: &Bucket) -> u32 {
    left.max((left + bucket.per_second * passed / SECOND).min(bucket.size))
}

fn charge(left: &mut u32, weight: u32, bucket: &Bucket) -> Result<(), Violation> {
    match left.checked_sub(weight) {
        Some(rest) => {
            *left = rest;
            Ok(())
        }
        None => Err(Violation::connection(CALM, bucket.exhausted)),
    }
}

fn refund(left: &mut u32, count: u32, bucket: &Bucket) {
    *left = left.saturating_add(count).min(bucket.earned);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_time_are_rounded_up_and_can_be_added() {
        assert_eq!(
            [0, 1, 100, 101].map(|millis| ticks(Duration::from_millis(millis))),
            [0, 1, 1, 2]
        );
        let longest_in_ticks = Duration::from_secs((Tick::MAX / SECOND).into());
        for long in [Duration::MAX, longest_in_ticks] {
            assert!(ticks(long).checked_add(ticks(long)).is_some(), "{long:?}");
        }
    }

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
    fn what_work_earns_is_kept_for_answers_that_come_later() {
        let mut budget = Budget::new(0);
        for _ in 0..20_000 {
            budget.refund_control(3);
        }
        for _ in 0..60_000 {
            budget.charge_control(1, SECOND).unwrap();
        }
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
