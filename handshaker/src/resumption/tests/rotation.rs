//! Writing files of keys.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use super::authority::{HOUR, NOW, at};
use super::key_files::{KeyFile, line};
use super::*;
use crate::resumption::{DEFAULT_MAX_AGE, Rotated, TicketKeysError, rotate_key_file};

fn rotate(path: &Path, now: u64) -> Result<Rotated, TicketKeysError> {
    rotate_key_file(path, DEFAULT_MAX_AGE, at(now))
}

/// The names of the files in the directory of this one.
fn beside(path: &Path) -> Vec<String> {
    let directory = fs::read_dir(path.parent().unwrap()).unwrap();
    directory.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn times(path: &Path) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(' ').next_back().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_file_from_its_first_key_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ticket-keys");
    let rotated = rotate(&path, NOW).unwrap();
    assert_eq!(rotated, Rotated { from: NOW, keys: 1, cut_short: 0 });
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(beside(&path), ["ticket-keys"]);
    let keys = TicketKeys::load(&path, DEFAULT_MAX_AGE, at(NOW)).unwrap();
    let first = seal(&keys, SERVER, NOW).unwrap();

    // Every half hour: what sealed stays for an hour.
    let mut before = first;
    for n in 1..10 {
        let now = NOW + n * HOUR / 2;
        let rotated = rotate(&path, now).unwrap();
        assert_eq!((rotated.from, rotated.cut_short), (now + 60, 0));
        assert_eq!(rotated.keys as u64, (n + 1).min(4));
        assert_eq!(keys.reload_if_changed(at(now)), Ok(true));
        let (soon, later) =
            (seal(&keys, SERVER, now + 59).unwrap(), seal(&keys, SERVER, now + 60).unwrap());
        assert_eq!(soon[1..9], before[1..9]);
        assert_ne!(later[1..9], before[1..9]);
        assert_eq!(opens(&keys, SERVER, &before, now + 60), Ok(()));
        before = later;
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(beside(&path), ["ticket-keys"]);
}

#[test]
fn keys_that_have_ended_are_dropped() {
    let file = KeyFile::new(&[line(3, NOW - HOUR), line(2, NOW - 2 * HOUR)].concat());
    // The older one stopped sealing an hour ago.
    assert_eq!(rotate(&file.path, NOW - 1).unwrap().keys, 3);
    file.write(&[line(3, NOW - HOUR), line(2, NOW - 2 * HOUR)].concat());
    assert_eq!(rotate(&file.path, NOW), Ok(Rotated { from: NOW + 60, keys: 2, cut_short: 0 }));
    assert_eq!(times(&file.path), [NOW + 60, NOW - HOUR]);
    // Long ago.
    file.write(&line(2, 0));
    assert_eq!(rotate(&file.path, NOW).unwrap().keys, 1);
}

#[test]
fn who_rotates_too_often_is_told() {
    let lines: String = (0..4).map(|n| line(9 - n, NOW - 120 * u64::from(n))).collect();
    let file = KeyFile::new(&lines);
    assert_eq!(rotate(&file.path, NOW), Ok(Rotated { from: NOW + 60, keys: 4, cut_short: 1 }));
    assert_eq!(times(&file.path), [NOW + 60, NOW, NOW - 120, NOW - 240]);
    let text = fs::read(&file.path).unwrap();
    let error = rotate(&file.path, NOW + 59).unwrap_err();
    assert_eq!(error, TicketKeysError::NotInUseYet { path: file.path.clone(), seconds: 1 });
    assert!(error.to_string().ends_with(
        "the newest ticket key is used from 1 seconds from now on; rotate again after that, or remove the file to begin anew"
    ));
    assert_eq!(fs::read(&file.path).unwrap(), text);
    assert!(rotate(&file.path, NOW + 60).is_ok());
}

#[test]
fn what_cannot_be_rotated_stays_as_it_was() {
    let file = KeyFile::new("nonsense\n");
    assert!(matches!(rotate(&file.path, NOW), Err(TicketKeysError::Malformed { line: 1, .. })));
    assert_eq!(fs::read(&file.path).unwrap(), b"nonsense\n");
    file.write(&line(2, NOW - HOUR));
    fs::set_permissions(&file.path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(rotate(&file.path, NOW), Err(TicketKeysError::Shared { mode: 0o644, .. })));
    assert_eq!(fs::read_to_string(&file.path).unwrap(), line(2, NOW - HOUR));
    assert_eq!(beside(&file.path), ["ticket-keys"]);
    let nowhere = file.path.with_file_name("missing").join("ticket-keys");
    assert!(
        matches!(rotate(&nowhere, NOW), Err(TicketKeysError::Write { path, .. }) if path == nowhere)
    );
    let max_age = std::time::Duration::from_secs(59);
    let fault = rotate_key_file(&file.path, max_age, at(NOW)).unwrap_err();
    assert_eq!(fault, TicketKeysError::MaxAge(max_age));
}

#[test]
fn links_and_owners_stay() {
    let file = KeyFile::new(&line(2, NOW - HOUR));
    let link = file.path.with_file_name("link");
    symlink(&file.path, &link).unwrap();
    // Only root may give files away.
    let given = chown(&file.path, Some(12_345), Some(54_321)).is_ok();
    let before = fs::metadata(&file.path).unwrap();
    assert!(rotate(&link, NOW).is_ok());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    let after = fs::metadata(&file.path).unwrap();
    assert_ne!(before.ino(), after.ino(), "replaced, not written over");
    assert_eq!((before.uid(), before.gid()), (after.uid(), after.gid()));
    assert_eq!(given, after.uid() == 12_345);
    assert_eq!(times(&file.path), [NOW + 60, NOW - HOUR]);
}
