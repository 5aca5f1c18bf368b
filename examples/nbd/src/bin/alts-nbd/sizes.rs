//! Sizes with units.

use std::str::FromStr;

/// Bytes: `512`, `64k`, `10M`, `2G`, `1T`, with powers of 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not a size such as 512, 64k, 10M or 2G");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| form())?;
        let shift = match unit {
            "" => 0,
            "k" | "K" => 10,
            "M" => 20,
            "G" => 30,
            "T" => 40,
            _ => return Err(form()),
        };
        number.checked_mul(1 << shift).map(Self).ok_or_else(form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("512", 512), ("64k", 65_536), ("2G", 1 << 31)] {
            assert_eq!(text.parse(), Ok(Size(bytes)));
        }
        for bad in ["", "k", "1kb", "-1", "1.5M", "99999999T", "1 M"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
}
