//! The header field `grpc-timeout`: how long a caller waits for the end of a call.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const NAME: HeaderName = HeaderName::from_static("grpc-timeout");

/// Digits that a value has at most.
const DIGITS: usize = 8;

/// The timeout that a request asks for. `None` also where the value is not one: gRPC's servers ignore such a field.
pub(crate) fn of(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(&NAME)?.as_bytes();
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    Some(match unit {
        b'H' => Duration::from_secs(number * 3_600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The field's value for a timeout: as exact as eight digits allow, rounded up, so that the other side never ends a call first.
pub(crate) fn value(timeout: Duration) -> HeaderValue {
    const UNITS: [(u128, char); 6] = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
        (3_600_000_000_000, 'H'),
    ];
    let nanos = timeout.as_nanos();
    let most = 10_u128.pow(DIGITS as u32) - 1;
    let fits = UNITS.into_iter().map(|(unit, name)| (nanos.div_ceil(unit), name));
    let (number, unit) =
        fits.into_iter().find(|(number, _)| *number <= most).unwrap_or((most, 'H'));
    HeaderValue::try_from(format!("{number}{unit}"))
        .unwrap_or(HeaderValue::from_static("99999999H"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(NAME, HeaderValue::from_str(value).unwrap());
        of(&headers)
    }

    #[test]
    fn values_of_others() {
        assert_eq!(parsed("1H"), Some(Duration::from_secs(3_600)));
        assert_eq!(parsed("99999999M"), Some(Duration::from_secs(99_999_999 * 60)));
        assert_eq!(parsed("0n"), Some(Duration::ZERO));
        assert_eq!(parsed("2999912u"), Some(Duration::from_micros(2_999_912)));
        for wrong in ["", "1", "S", "123456789S", "-1S", "1.5S", "1 S", "1s"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn values_are_never_shorter_than_the_timeout() {
        for (timeout, expected) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_001), "100001u"),
            (Duration::from_secs(10), "10000000u"),
            (Duration::from_secs(1_000_000), "1000000S"),
            (Duration::MAX, "99999999H"),
        ] {
            let value = value(timeout);
            assert_eq!(value, expected);
            assert!(timeout == Duration::MAX || parsed(expected) >= Some(timeout));
        }
    }
}
