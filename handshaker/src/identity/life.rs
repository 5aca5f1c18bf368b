//! How far an identity's life has gone.

use std::time::SystemTime;

use super::snapshot::Identity;
use super::validity::shown;

/// How much of its validity period an identity has used up. An issuer should have renewed it by the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Life {
    Young,
    /// 50 % or more.
    Half,
    /// 80 % or more.
    Late,
    Over,
}

impl Life {
    pub(super) fn of(identity: &Identity, now: SystemTime) -> Self {
        Self::between(identity.not_before(), identity.not_after(), now)
    }

    fn between(not_before: SystemTime, not_after: SystemTime, now: SystemTime) -> Self {
        if now > not_after {
            return Self::Over;
        }
        let whole = not_after.duration_since(not_before).unwrap_or_default();
        let lived = now.duration_since(not_before).unwrap_or_default();
        if lived >= whole / 5 * 4 {
            Self::Late
        } else if lived >= whole / 2 {
            Self::Half
        } else {
            Self::Young
        }
    }

    pub(super) fn log(self, identity: &Identity) {
        let (id, not_after) = (identity.id(), shown(identity.not_after()));
        match self {
            Self::Young => {}
            Self::Half => {
                tracing::warn!(%id, not_after, "half of the certificate's validity period is over; it should be renewed by now");
            }
            Self::Late => {
                tracing::warn!(%id, not_after, "80 % of the certificate's validity period is over, and it has not been renewed");
            }
            Self::Over => {
                tracing::error!(%id, not_after, "this side's certificate has expired; handshakes fail until it is renewed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn warnings_come_at_half_and_at_four_fifths_of_life() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let life = |seconds| {
            Life::between(
                start,
                start + Duration::from_secs(100),
                start + Duration::from_secs(seconds),
            )
        };
        assert_eq!(life(0), Life::Young);
        assert_eq!(life(49), Life::Young);
        assert_eq!(life(50), Life::Half);
        assert_eq!(life(79), Life::Half);
        assert_eq!(life(80), Life::Late);
        assert_eq!(life(100), Life::Late);
        assert_eq!(life(101), Life::Over);
    }
}
