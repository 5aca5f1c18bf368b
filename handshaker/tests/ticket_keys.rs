//! The command that keeps files of ticket keys, and what a program makes of them.
#![cfg(all(unix, feature = "cli"))]
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use alts_handshaker::resumption::{DEFAULT_MAX_AGE, TicketKeys};

/// Whether it succeeded, and all that it said.
fn run(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_alts-handshaker"))
        .arg("ticket-keys")
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn a_file_is_made_and_rotated() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    let done = |said: &str| {
        let answer = run(directory.path(), &["rotate", "keys"]);
        assert_eq!(answer, (true, said.to_owned()));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    };
    done("keys: 1 key, the new one in use at once\n");
    let keys = TicketKeys::load(&file, DEFAULT_MAX_AGE, SystemTime::now()).unwrap();
    done("keys: 2 keys, the new one in use in 60 seconds\n");
    assert_eq!(keys.reload_if_changed(SystemTime::now()), Ok(true));

    let before = fs::read(&file).unwrap();
    let (good, said) = run(directory.path(), &["rotate", "keys"]);
    assert!(
        !good && said.starts_with("error: keys: the newest ticket key is used from "),
        "{said}"
    );
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn who_rotates_too_often_is_warned() {
    let directory = tempfile::tempdir().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let line = |n: u64| format!("{n:016x} {n:064x} {}\n", now - n * 100);
    fs::write(directory.path().join("keys"), (1..5).map(line).collect::<String>()).unwrap();
    fs::set_permissions(directory.path().join("keys"), Permissions::from_mode(0o600)).unwrap();
    let (good, said) = run(directory.path(), &["rotate", "keys"]);
    assert!(good && said.contains("warning: 1 of the keys that were dropped"), "{said}");
    assert!(said.contains("keys: 4 keys, the new one in use in 60 seconds"), "{said}");
}

#[test]
fn faults_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let fails = |arguments: &[&str], part: &str| {
        let (good, said) = run(directory.path(), arguments);
        assert!(!good && said.contains(part), "{arguments:?}: {said}");
    };
    fs::write(directory.path().join("open"), "").unwrap();
    fs::set_permissions(directory.path().join("open"), Permissions::from_mode(0o644)).unwrap();
    fails(&["rotate", "open"], "(mode 0644); make it 0600 or 0400");
    fs::set_permissions(directory.path().join("open"), Permissions::from_mode(0o600)).unwrap();
    fails(
        &["rotate", "open"],
        "open, line 1: there is no key; a line of ticket keys is NAME SECRET TIME",
    );
    fails(
        &["rotate", "missing/keys"],
        "missing/keys: the ticket keys cannot be written: No such file",
    );
    fails(&["rotate", "keys", "--max-age", "59s"], "give 60 seconds to 24 hours");
    fails(&["rotate", "keys", "--max-age", "25h"], "give 60 seconds to 24 hours");
    fails(&["rotate", "keys", "--max-age", "0"], "--max-age");
    fails(&["rotate"], "<FILE>");
    fails(&[], "rotate");
    assert!(!directory.path().join("keys").exists());
    let (good, said) = run(directory.path(), &["rotate", "--help"]);
    assert!(good && said.contains("24 hours") && said.contains("remove the file"), "{said}");
}

#[test]
fn a_program_keeps_the_keys_it_has() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("keys");
    assert!(run(directory.path(), &["rotate", "keys"]).0);
    let keys = TicketKeys::watch_every(&file, Duration::from_millis(1), DEFAULT_MAX_AGE).unwrap();
    fs::write(&file, "").unwrap();
    let error = keys.reload_if_changed(SystemTime::now()).unwrap_err();
    assert!(error.to_string().contains("there is no key"), "{error}");
    assert_eq!(keys.max_age(), DEFAULT_MAX_AGE);
}
