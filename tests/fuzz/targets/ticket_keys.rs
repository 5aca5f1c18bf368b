//! Files of ticket keys, well made, damaged and half written, each after another: what is taken and what is not, in which line the fault
//! is, and which keys are in use then. Compared with a second reading of the form.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alts::handshaker::resumption::{DEFAULT_MAX_AGE, TicketKeys, TicketKeysError};

use crate::FEW;
use crate::choices::Choices;
use crate::edits::edit;

/// A time at which some of the keys below are in use.
const NOW: u64 = 1_800_000_000;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

/// Up to five lines, most of them good, and some of them damaged.
fn text(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut text = Vec::new();
    let mut from = NOW + 120;
    for n in 0..=choices.below(5) as u64 {
        // The dull choice is a key of its own that is older than the one before.
        let (name, secret) = (n + 1 - choices.below(2) as u64, n + 1 - choices.below(2) as u64);
        from -= [100, 0, 1, 3_600][choices.below(4)];
        text.extend(format!("{name:016x} {secret:064x} {from}\n").into_bytes());
    }
    edit(choices, &mut text);
    text
}

/// The keys' names in their order, or the line with the first fault.
fn read(text: &[u8]) -> Result<Vec<String>, usize> {
    let mut keys: Vec<(String, String, u64)> = Vec::new();
    let pieces: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    let (last, whole) = pieces.split_last().unwrap();
    for (at, line) in whole.iter().enumerate() {
        let key = (at < 4).then(|| read_line(line)).flatten().filter(|(name, secret, from)| {
            keys.iter()
                .all(|(other, shared, later)| other != name && shared != secret && later > from)
        });
        keys.push(key.ok_or(at + 1)?);
    }
    if !last.is_empty() || keys.is_empty() {
        return Err(keys.len() + 1);
    }
    Ok(keys.into_iter().map(|(name, ..)| name).collect())
}

fn read_line(line: &[u8]) -> Option<(String, String, u64)> {
    let line = std::str::from_utf8(line).ok()?;
    let (name, rest) = line.split_once(' ')?;
    let (secret, from) = rest.split_once(' ')?;
    let is_hex = |text: &str, length| {
        text.len() == length && text.chars().all(|digit| "0123456789abcdef".contains(digit))
    };
    let number: u64 = from.parse().ok()?;
    let is_good = is_hex(name, 16)
        && is_hex(secret, 64)
        && secret.chars().any(|digit| digit != '0')
        && number.to_string() == from
        && number < 1_000_000_000_000;
    is_good.then(|| (name.to_owned(), secret.to_owned(), number))
}

/// Puts a text in place of another.
fn write(path: &Path, text: &[u8]) {
    fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// Whether these are the keys in use, but for those that have ended. Names are all that is shown of them.
#[track_caller]
fn assert_in_use(keys: &TicketKeys, names: &[String]) {
    let shown = format!("{keys:?}");
    let found: Vec<_> =
        shown.match_indices("key: ").map(|(at, _)| &shown[at + 5..at + 21]).collect();
    assert_eq!(found, *names);
}

#[track_caller]
fn assert_fault(error: TicketKeysError, line: usize) {
    match error {
        TicketKeysError::Malformed { line: found, .. } => assert_eq!(found, line),
        other => panic!("{other}"),
    }
}

fn story(input: &[u8], path: &Path) {
    let mut choices = Choices::new(input);
    let first = text(&mut choices);
    write(path, &first);
    let (keys, mut in_use) = match (TicketKeys::load(path, DEFAULT_MAX_AGE, now()), read(&first)) {
        (Ok(keys), Ok(names)) => (keys, names),
        (Err(error), Err(line)) => return assert_fault(error, line),
        (loaded, model) => panic!("{loaded:?}, {model:?} of {:?}", String::from_utf8_lossy(&first)),
    };
    assert_in_use(&keys, &in_use);
    let mut before = first;
    while !choices.are_over() {
        let next = text(&mut choices);
        write(path, &next);
        match (keys.reload_if_changed(now()), read(&next)) {
            (Ok(changed), Ok(names)) => {
                assert_eq!(changed, next != before);
                (in_use, before) = (names, next);
            }
            (Err(error), Err(line)) => assert_fault(error, line),
            (loaded, model) => {
                panic!("{loaded:?}, {model:?} of {:?}", String::from_utf8_lossy(&next))
            }
        }
        assert_in_use(&keys, &in_use);
    }
}

#[test]
fn ticket_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    bolero::check!(name = "ticket_keys")
        .with_iterations(FEW)
        .with_max_len(400)
        .for_each(|input: &[u8]| story(input, &path));
}
