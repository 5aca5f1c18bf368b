//! When a certificate is valid, and how X.509 writes times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::der::{Reader, tag};
use super::error::CertificateError;

/// The seconds in which a certificate, or a chain of them, is valid; both ends included, as X.509 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    /// Seconds since 1970.
    pub(super) not_before: u64,
    /// Seconds since 1970.
    pub(super) not_after: u64,
}

impl Validity {
    /// Reads the contents of a `Validity`.
    pub(super) fn load(mut fields: Reader<'_>) -> Option<Self> {
        let not_before = time(&mut fields)?;
        let not_after = time(&mut fields)?;
        fields.end()?;
        (not_before <= not_after).then_some(Self { not_before, not_after })
    }

    pub(super) fn check(self, now: SystemTime) -> Result<(), CertificateError> {
        let now = seconds(now);
        if now < self.not_before {
            return Err(CertificateError::NotYetValid);
        }
        if now > self.not_after {
            return Err(CertificateError::Expired);
        }
        Ok(())
    }

    /// When both are valid.
    pub(super) fn intersect(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }

    pub(super) fn end(self) -> SystemTime {
        // X.509 cannot express more than the year 9999.
        UNIX_EPOCH + Duration::from_secs(self.not_after)
    }

    pub(super) fn start(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.not_before)
    }
}

/// Whole seconds since 1970; earlier times, when no certificate was valid, count as 1970.
pub(crate) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `UTCTime` or `GeneralizedTime` in the one form that RFC 5280, section 4.1.2.5 allows for each.
pub(super) fn time(fields: &mut Reader<'_>) -> Option<u64> {
    let element = fields.element()?;
    let text = element.contents.strip_suffix(b"Z")?;
    let two = |at: usize| -> Option<u64> {
        let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        Some(digit(*text.get(at)?)? * 10 + digit(*text.get(at + 1)?)?)
    };
    let (year, rest) = match (element.tag, text.len()) {
        (tag::UTC_TIME, 12) => {
            let year = two(0)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, 2)
        }
        (tag::GENERALIZED_TIME, 14) => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let (month, day) = (two(rest)?, two(rest + 2)?);
    let (hour, minute, second) = (two(rest + 4)?, two(rest + 6)?, two(rest + 8)?);
    if year < 1970 || !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Some(((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// A time for a log, such as `2026-03-01T00:00:00Z`.
pub(super) fn shown(time: SystemTime) -> String {
    let seconds = seconds(time);
    let (mut days, second) = (seconds / 86_400, seconds % 86_400);
    // An upper bound, then down to the year and the month that have the day.
    let year = (1970..=1970 + days / 365)
        .rev()
        .find(|&year| days_since_1970(year, 1, 1) <= days)
        .unwrap_or(1970);
    days -= days_since_1970(year, 1, 1);
    let mut month = 1;
    while days >= days_in_month(year, month) {
        days -= days_in_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z", days + 1)
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// For dates from 1970 on.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let past = year - 1;
    // Leap days from the year 1 to the end of last year, less the 477 before 1970.
    let leap_days = past / 4 - past / 100 + past / 400 - 477;
    let months: u64 = (1..month).map(|month| days_in_month(year, month)).sum();
    (year - 1970) * 365 + leap_days + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: u8, text: &str) -> Option<u64> {
        let mut der = vec![tag, text.len() as u8];
        der.extend(text.bytes());
        time(&mut Reader::new(&der))
    }

    #[test]
    fn times_are_seconds_since_1970() {
        for (text, expected) in [
            ("19700101000000Z", 0),
            ("19991231235959Z", 946_684_799),
            ("20000229120000Z", 951_825_600),
            ("20260301000000Z", 1_772_323_200),
            ("21000228235959Z", 4_107_542_399),
            ("99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(read(tag::GENERALIZED_TIME, text), Some(expected), "{text}");
        }
        assert_eq!(read(tag::UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(read(tag::UTC_TIME, "491231235959Z"), Some(2_524_607_999));
    }

    #[test]
    fn times_are_shown_as_they_are_read() {
        for text in [
            "1970-01-01T00:00:00Z",
            "1999-12-31T23:59:59Z",
            "2000-02-29T12:00:00Z",
            "2026-03-01T00:00:00Z",
            "2100-02-28T23:59:59Z",
            "2100-03-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            let seconds = read(tag::GENERALIZED_TIME, &format!("{digits}Z")).unwrap();
            assert_eq!(shown(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn other_forms_of_time_are_refused() {
        for (tag, text) in [
            (tag::UTC_TIME, "500101000000Z"),
            (tag::UTC_TIME, "2601010000Z"),
            (tag::UTC_TIME, "260101000000"),
            (tag::UTC_TIME, "260101000000+0000"),
            (tag::UTC_TIME, "20260101000000Z"),
            (tag::GENERALIZED_TIME, "260101000000Z"),
            (tag::GENERALIZED_TIME, "20260101000000.5Z"),
            (tag::GENERALIZED_TIME, "20260001000000Z"),
            (tag::GENERALIZED_TIME, "20261301000000Z"),
            (tag::GENERALIZED_TIME, "20260100000000Z"),
            (tag::GENERALIZED_TIME, "20260229000000Z"),
            (tag::GENERALIZED_TIME, "21000229000000Z"),
            (tag::GENERALIZED_TIME, "20260101240000Z"),
            (tag::GENERALIZED_TIME, "20260101006000Z"),
            (tag::GENERALIZED_TIME, "20260101000060Z"),
            (tag::GENERALIZED_TIME, "2026010100000-Z"),
            (tag::OCTET_STRING, "20260101000000Z"),
        ] {
            assert_eq!(read(tag, text), None, "{text}");
        }
    }
}
