//! How long to wait before the agent is asked again.

use std::time::Duration;

/// The first pause: a standard asks for a new connection at once, and an agent that restarts must not be flooded.
const FIRST: Duration = Duration::from_millis(100);
/// The longest. An agent that comes back is found after so long at the latest.
const LONGEST: Duration = Duration::from_secs(30);
/// A stream that lasted for so long ended for a new reason: the pauses begin again.
const LASTING: Duration = LONGEST;

/// Doubles from pause to pause, up to the longest.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { next: FIRST }
    }

    /// The pause after a stream that lasted for `lasted`. `random` is any byte: of the workloads of a machine, not all ask at the
    /// same time when their agent comes back.
    pub(super) fn pause(&mut self, lasted: Duration, random: u8) -> Duration {
        if lasted >= LASTING {
            self.next = FIRST;
        }
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST);
        whole / 2 + whole * u32::from(random) / 512
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new();
        let mut pauses = vec![];
        for _ in 0..12 {
            pauses.push(backoff.pause(Duration::ZERO, 0));
        }
        assert_eq!(pauses[0], FIRST / 2);
        assert!(pauses.windows(2).all(|pair| pair[1] == (pair[0] * 2).min(LONGEST / 2)));
        assert_eq!(pauses.last(), Some(&(LONGEST / 2)));
        assert_eq!(backoff.pause(LASTING, 0), FIRST / 2);
        assert_eq!(backoff.pause(Duration::ZERO, 0), FIRST);
    }

    #[test]
    fn no_pause_is_longer_than_the_longest_and_none_shorter_than_half() {
        for random in 0..=u8::MAX {
            let mut backoff = Backoff { next: LONGEST };
            let pause = backoff.pause(Duration::ZERO, random);
            assert!((LONGEST / 2..LONGEST).contains(&pause), "{random}: {pause:?}");
        }
    }
}
