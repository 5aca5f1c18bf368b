//! Keys in a file: what is taken, what is refused, and what happens while the file changes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use super::authority::{HOUR, NOW, at};
use super::log::logged;
use super::*;
use crate::resumption::key_file::parse;
use crate::resumption::{DEFAULT_MAX_AGE, TicketKeysError};

const DAY: u64 = 24 * HOUR;

/// A file in a directory of its own.
pub(super) struct KeyFile {
    _directory: TempDir,
    pub(super) path: PathBuf,
}

impl KeyFile {
    pub(super) fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ticket-keys");
        let file = Self { _directory: directory, path };
        file.write(text);
        file
    }

    pub(super) fn write(&self, text: &str) {
        fs::write(&self.path, text).unwrap();
        self.set_mode(0o600);
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(&self.path, Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn load(&self, now: u64) -> Result<Arc<TicketKeys>, TicketKeysError> {
        TicketKeys::load(&self.path, DEFAULT_MAX_AGE, at(now))
    }
}

/// A line whose name and secret are made of this byte.
pub(super) fn line(byte: u8, from: u64) -> String {
    let hex = format!("{byte:02x}");
    format!("{} {} {from}\n", hex.repeat(8), hex.repeat(32))
}

/// The byte of the key that sealed a ticket.
fn sealed_by(ticket: &[u8]) -> u8 {
    ticket[1]
}

#[test]
fn the_newest_key_that_is_in_use_seals() {
    let lines = [line(4, NOW + 60), line(3, NOW - HOUR), line(2, NOW - 2 * HOUR)].concat();
    let keys = KeyFile::new(&lines).load(NOW).unwrap();
    let by = |now| seal(&keys, SERVER, now).map(|ticket| sealed_by(&ticket));
    assert_eq!(by(NOW - 2 * HOUR - 1), None, "before the first of them");
    assert_eq!(by(NOW - 2 * HOUR), Some(2));
    assert_eq!(by(NOW - HOUR), Some(3));
    assert_eq!(by(NOW + 59), Some(3));
    assert_eq!(by(NOW + 60), Some(4));
    assert_eq!(by(NOW + 60 + DAY - 1), Some(4));
    assert_eq!(by(NOW + 60 + DAY), None);
}

#[test]
fn a_key_opens_for_max_age_after_the_next_took_over() {
    let file = KeyFile::new(&[line(3, NOW), line(2, NOW - HOUR)].concat());
    let keys = file.load(NOW).unwrap();
    let ticket = seal(&keys, SERVER, NOW - 1).unwrap();
    assert_eq!(sealed_by(&ticket), 2);
    assert_eq!(opens(&keys, SERVER, &ticket, NOW + HOUR - 1), Ok(()));
    assert_eq!(opens(&keys, SERVER, &ticket, NOW + HOUR), Err(Refused::UnknownKey));
    let shorter = TicketKeys::load(&file.path, Duration::from_secs(60), at(NOW)).unwrap();
    assert_eq!(opens(&shorter, SERVER, &ticket, NOW + 59), Ok(()));
    assert_eq!(opens(&shorter, SERVER, &ticket, NOW + 60), Err(Refused::UnknownKey));
}

#[test]
fn a_fleet_and_a_restarted_server_take_each_others_tickets() {
    let file = KeyFile::new(&[line(3, NOW + 60), line(2, NOW - HOUR)].concat());
    let (one, other) = (file.load(NOW).unwrap(), file.load(NOW).unwrap());
    let ticket = seal(&one, SERVER, NOW).unwrap();
    assert_eq!(opens(&other, SERVER, &ticket, NOW), Ok(()));
    // One whose clock is ahead already uses the next key.
    let ticket = seal(&one, SERVER, NOW + 61).unwrap();
    assert_eq!(sealed_by(&ticket), 3);
    assert_eq!(opens(&other, SERVER, &ticket, NOW), Ok(()));
    drop((one, other));
    assert_eq!(opens(&file.load(NOW).unwrap(), SERVER, &ticket, NOW), Ok(()));
}

#[test]
fn a_file_whose_newest_key_is_a_day_old_seals_no_more_and_says_so_once() {
    let file = KeyFile::new(&line(2, NOW - DAY));
    let mut keys = None;
    let said = "the newest ticket key is older than 24 hours";
    assert!(logged(|| keys = Some(file.load(NOW - 1).unwrap())).is_empty());
    let keys = keys.unwrap();
    let ticket = seal(&keys, SERVER, NOW - 1).unwrap();
    let log = logged(|| {
        assert_eq!(seal(&keys, SERVER, NOW), None);
        assert_eq!(seal(&keys, SERVER, NOW), None);
    });
    assert_eq!(log.matches(said).count(), 1, "{log}");
    assert!(log.contains("alts ticket-keys rotate"), "{log}");
    assert_eq!(opens(&keys, SERVER, &ticket, NOW + HOUR - 1), Ok(()));
    // When it is loaded, too; and after a new key has come and gone once more.
    assert_eq!(logged(|| drop(file.load(NOW))).matches(said).count(), 1);
    file.write(&[line(3, NOW), line(2, NOW - DAY)].concat());
    assert_eq!(keys.reload_if_changed(at(NOW)), Ok(true));
    assert!(seal(&keys, SERVER, NOW).is_some());
    let log = logged(|| assert_eq!(seal(&keys, SERVER, NOW + DAY), None));
    assert_eq!(log.matches(said).count(), 1, "{log}");
}

/// What is wrong with a text, and in which line.
fn fault(text: &[u8]) -> (usize, &'static str) {
    let Err(fault) = parse(text) else { panic!("{:?} is taken", String::from_utf8_lossy(text)) };
    (fault.line, fault.fault)
}

#[test]
fn texts_that_are_no_file_of_keys() {
    let good = line(2, NOW);
    assert!(parse(good.as_bytes()).is_ok());
    assert!(parse(line(2, 0).as_bytes()).is_ok());
    let (name, secret) = ("02".repeat(8), "02".repeat(32));
    let fields = "it does not have three fields with a space between them";
    let time = "the time is not a whole number of seconds";
    let bad_name = "the name does not have 16 hexadecimal digits, 0 to 9 and a to f";
    let bad_secret = "the secret does not have 64 hexadecimal digits, 0 to 9 and a to f";
    for (text, expected) in [
        (String::new(), "there is no key"),
        ("\n".to_owned(), fields),
        (format!("\n{good}"), fields),
        (format!("# the keys\n{good}"), bad_name),
        (good.replace(' ', "  "), fields),
        (good.replace(' ', "\t"), fields),
        (good.replace('\n', " \n"), fields),
        (format!(" {good}"), fields),
        (format!("{name} {secret}\n"), fields),
        (good.replace('\n', "\r\n"), time),
        (format!("{name} {secret} \n"), time),
        (format!("{name} {secret} -1\n"), time),
        (format!("{name} {secret} +1\n"), time),
        (format!("{name} {secret} 1.5\n"), time),
        (format!("{name} {secret} 01\n"), time),
        (format!("{name} {secret} 1000000000000\n"), time),
        (format!("{name} {secret} \u{0661}\n"), time),
        (format!("{} {secret} 1\n", &name[1..]), bad_name),
        (format!("{name}0 {secret} 1\n"), bad_name),
        (format!("{} {secret} 1\n", name.replace('2', "g")), bad_name),
        (format!("{name} {} 1\n", &secret[2..]), bad_secret),
        (format!("{name} {secret}00 1\n"), bad_secret),
        (format!("{name} {} 1\n", secret.replace('2', "A")), bad_secret),
        (format!("{name} {} 1\n", "0".repeat(64)), "the secret is all zeros"),
    ] {
        assert_eq!(fault(text.as_bytes()), (1, expected), "{text:?}");
    }
    assert_eq!(fault(&[0xff, 0xfe, b'\n']), (1, fields));
}

#[test]
fn lines_that_do_not_go_together() {
    let first = line(9, NOW);
    for (second, expected) in [
        (line(8, NOW), "its time is not before that of the line above it"),
        (line(8, NOW + 1), "its time is not before that of the line above it"),
        (line(9, NOW - 1), "another key has the same name"),
        (
            line(8, NOW - 1).replacen(&"08".repeat(32), &"09".repeat(32), 1),
            "another key has the same secret",
        ),
        ("\n".to_owned(), "it does not have three fields with a space between them"),
    ] {
        assert_eq!(fault(format!("{first}{second}").as_bytes()), (2, expected));
    }
    let four: String = (0..4).map(|n| line(9 - n, NOW - u64::from(n))).collect();
    assert_eq!(parse(four.as_bytes()).unwrap().len(), 4);
    let five = four + &line(5, NOW - 4);
    assert_eq!(fault(five.as_bytes()), (5, "there are more than 4 keys"));
}

#[test]
fn a_file_that_is_half_written() {
    let text = [line(3, NOW), line(2, NOW - HOUR)].concat();
    let whole = line(3, NOW).len();
    for length in (0..text.len()).filter(|&length| length != whole) {
        let half = &text.as_bytes()[..length];
        let (at, fault) = fault(half);
        let expected = match length {
            0 => "there is no key",
            _ => "the line has no end; is it still being written?",
        };
        assert_eq!((at, fault), (1 + length / whole, expected));
        let file = KeyFile::new(std::str::from_utf8(half).unwrap());
        let malformed = TicketKeysError::Malformed { path: file.path.clone(), line: at, fault };
        assert_eq!(file.load(NOW).unwrap_err(), malformed);
    }
}

#[test]
fn files_that_others_may_use_or_nobody_can_read() {
    let file = KeyFile::new(&line(2, NOW));
    for mode in [0o400, 0o600, 0o700] {
        file.set_mode(mode);
        assert!(file.load(NOW).is_ok(), "{mode:o}");
    }
    for mode in [0o604, 0o640, 0o620, 0o601, 0o666] {
        file.set_mode(mode);
        let expected = TicketKeysError::Shared { path: file.path.clone(), mode };
        assert_eq!(file.load(NOW).unwrap_err(), expected);
        assert!(expected.to_string().contains("make it 0600 or 0400"));
    }
    fs::remove_file(&file.path).unwrap();
    for path in [&file.path, file.path.parent().unwrap()] {
        let error = TicketKeys::load(path, DEFAULT_MAX_AGE, at(NOW)).unwrap_err();
        assert!(
            matches!(&error, TicketKeysError::Read { path: told, .. } if told == path),
            "{error}"
        );
    }
}

#[test]
fn while_a_file_is_bad_the_keys_from_before_stay() {
    let good = line(2, NOW);
    let file = KeyFile::new(&good);
    let keys = file.load(NOW).unwrap();
    let ticket = seal(&keys, SERVER, NOW).unwrap();
    let spoil: [(&str, &dyn Fn()); 5] = [
        ("it is gone", &|| fs::remove_file(&file.path).unwrap()),
        ("it is empty", &|| file.write("")),
        ("half of it is there", &|| file.write(&good[..40])),
        ("it is nonsense", &|| file.write("nonsense\n")),
        ("others may read it", &|| {
            file.write(&[line(3, NOW + 1), good.clone()].concat());
            file.set_mode(0o644);
        }),
    ];
    for (what, spoil) in spoil {
        spoil();
        let log = logged(|| {
            for _ in 0..3 {
                keys.reload_if_changed(at(NOW)).unwrap_err();
            }
        });
        assert_eq!(log.matches("WARN").count(), 1, "{what}: {log}");
        assert!(log.contains("the ticket keys from before stay in use"), "{log}");
        assert_eq!(opens(&keys, SERVER, &ticket, NOW), Ok(()), "{what}");
        assert_eq!(sealed_by(&seal(&keys, SERVER, NOW + 2).unwrap()), 2, "{what}");
    }
    // As long as they last.
    assert_eq!(seal(&keys, SERVER, NOW + DAY), None);
    assert_eq!(opens(&keys, SERVER, &ticket, NOW + DAY + HOUR), Err(Refused::UnknownKey));

    file.write(&good);
    let log = logged(|| assert_eq!(keys.reload_if_changed(at(NOW)), Ok(false)));
    assert!(log.contains("the file of ticket keys is valid again"), "{log}");
}

#[test]
fn a_changed_file_replaces_all_keys_at_once() {
    let file = KeyFile::new(&line(2, NOW));
    let keys = file.load(NOW).unwrap();
    let old = seal(&keys, SERVER, NOW).unwrap();
    assert_eq!(keys.reload_if_changed(at(NOW)), Ok(false));
    file.write(&[line(3, NOW + 1), line(2, NOW)].concat());
    assert_eq!(keys.reload_if_changed(at(NOW)), Ok(true));
    let new = seal(&keys, SERVER, NOW + 1).unwrap();
    assert_eq!((sealed_by(&old), sealed_by(&new)), (2, 3));
    assert_eq!(opens(&keys, SERVER, &old, NOW + 1), Ok(()));
    // What an owner does when keys were stolen.
    file.write(&line(4, NOW + 2));
    assert_eq!(keys.reload_if_changed(at(NOW)), Ok(true));
    for ticket in [old, new] {
        assert_eq!(opens(&keys, SERVER, &ticket, NOW + 2), Err(Refused::UnknownKey));
    }
}

#[test]
fn a_thread_looks_at_the_file() {
    let file = KeyFile::new(&line(2, NOW));
    let keys =
        TicketKeys::watch_every(&file.path, Duration::from_millis(1), DEFAULT_MAX_AGE).unwrap();
    assert_eq!(sealed_by(&seal(&keys, SERVER, NOW).unwrap()), 2);
    file.write(&line(3, NOW));
    while sealed_by(&seal(&keys, SERVER, NOW).unwrap()) != 3 {
        std::thread::yield_now();
    }
    // Without a rotation, and without a look at the file's age, either.
    assert!(TicketKeys::watch(file.path.with_extension("missing")).is_err());
    assert_eq!(TicketKeys::watch(&file.path).unwrap().max_age(), DEFAULT_MAX_AGE);
}

#[test]
fn nothing_shows_a_secret() {
    let file = KeyFile::new(&line(0xab, NOW));
    let shown = format!("{:?}", file.load(NOW).unwrap());
    assert!(shown.contains("abababababababab") && shown.contains("ticket-keys"), "{shown}");
    assert!(!shown.contains(&"ab".repeat(9)) && !shown.contains("171"), "{shown}");
    let log = logged(|| {
        let keys = file.load(NOW).unwrap();
        file.write(&line(0xcd, NOW + 1));
        assert_eq!(keys.reload_if_changed(at(NOW)), Ok(true));
        file.write(&line(0xcd, NOW)[1..]);
        keys.reload_if_changed(at(NOW)).unwrap_err();
    });
    assert!(log.contains("ticket keys reloaded") && !log.contains("cdcd"), "{log}");
}
