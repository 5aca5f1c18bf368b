//! Figures for people.

/// Bytes, with a unit where there is a round one.
pub(crate) fn bytes(count: u64) -> String {
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if count >= 1 << shift {
            let value = count as f64 / (1_u64 << shift) as f64;
            let digits = usize::from(!count.is_multiple_of(1 << shift));
            return format!("{value:.digits$} {unit}");
        }
    }
    format!("{count} B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        for (count, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (64 << 20, "64 MiB"),
            ((64 << 20) + (1 << 19), "64.5 MiB"),
            (1 << 40, "1 TiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }
}
