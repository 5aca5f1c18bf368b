//! How much is thrown.

use std::time::Duration;

/// Full size, or scaled down for `cargo test`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    full: bool,
    soak: u64,
}

impl Scale {
    pub(crate) fn new(full: bool, soak: Option<u64>) -> Self {
        Self { full, soak: soak.unwrap_or(if full { 600 } else { 5 }) }
    }

    pub(crate) fn parse(words: &[String]) -> Self {
        let soak = words[1].parse().expect("seconds");
        Self { full: words[0] == "full", soak }
    }

    pub(crate) fn arguments(self) -> [String; 2] {
        [self.name().to_owned(), self.soak.to_string()]
    }

    pub(crate) fn name(self) -> &'static str {
        if self.full { "full" } else { "short" }
    }

    pub(crate) fn is_full(self) -> bool {
        self.full
    }

    /// One of two sizes.
    pub(crate) fn of<T>(self, short: T, full: T) -> T {
        if self.full { full } else { short }
    }

    pub(crate) fn soak(self) -> Duration {
        Duration::from_secs(self.soak)
    }

    /// More than any scenario takes, on a slow machine too.
    pub(crate) fn patience(self) -> Duration {
        self.soak() + Duration::from_secs(60 * if self.full { 15 } else { 5 })
    }
}
