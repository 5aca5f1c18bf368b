//! Writing a file of ticket keys.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::error::TicketKeysError;
use super::key_file::{self, PERIOD, parse};
use super::key_set::{KeySet, MAX_KEYS, TicketKey, Turn};
use super::max_age_seconds;
use crate::identity::seconds;

/// How long a new key waits before it seals, in seconds, so that all servers of a fleet can open what the first of them seals.
const NOTICE: u64 = 60;

/// The length of a line, its end included, with the longest time.
const MAX_LINE: usize = 16 + 1 + 64 + 1 + 20 + 1;

/// What [`rotate_key_file`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotated {
    /// When the new key begins to seal, in seconds since 1970.
    pub from: u64,
    /// How many keys the file has now.
    pub keys: usize,
    /// How many keys were dropped while tickets under them may still be in use: those become void.
    pub cut_short: usize,
}

/// Puts a new key into a file of ticket keys, and drops those whose tickets have all ended. `max_age`: for how long a full handshake can
/// be resumed at the servers that use the file.
///
/// The new key seals from a minute on; in a file that is not there yet, at once. The file is replaced in one step, and only its owner,
/// who stays the same, may use it.
///
/// # Errors
///
/// The file that is there cannot be used, its newest key is not in use yet, or it cannot be replaced. It is then as it was.
pub fn rotate_key_file(
    path: &Path,
    max_age: Duration,
    now: SystemTime,
) -> Result<Rotated, TicketKeysError> {
    let max_age = max_age_seconds(max_age)?;
    let now = seconds(now);
    let write_error = |fault: &io::Error| TicketKeysError::Write {
        path: path.to_owned(),
        message: fault.to_string(),
    };
    // A link stays, and so do the file's owner and group.
    let target = match fs::canonicalize(path) {
        Ok(target) => Some(target),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
        Err(fault) => return Err(write_error(&fault)),
    };
    let Some(target) = target else {
        let set = KeySet::in_turn([(TicketKey::generate()?, now)], PERIOD, max_age);
        replace(path, &text(set.turns()), None).map_err(|fault| write_error(&fault))?;
        return Ok(Rotated { from: now, keys: 1, cut_short: 0 });
    };
    let owner = fs::metadata(&target).map_err(|fault| write_error(&fault))?;
    let contents = key_file::read(path)?;
    let mut keys = parse(&contents.bytes)
        .map_err(|fault| TicketKeysError::malformed(path, fault.line, fault.fault))?;
    let newest = keys.first().map_or(0, |&(_, from)| from);
    if newest > now {
        return Err(TicketKeysError::NotInUseYet { path: path.to_owned(), seconds: newest - now });
    }
    let from = now + NOTICE;
    keys.insert(0, (TicketKey::generate()?, from));
    let mut set = KeySet::in_turn(keys, PERIOD, max_age);
    set.drop_ended(now);
    let live = set.turns().len();
    let turns = &set.turns()[..live.min(MAX_KEYS)];
    replace(&target, &text(turns), Some(&owner)).map_err(|fault| write_error(&fault))?;
    Ok(Rotated { from, keys: turns.len(), cut_short: live - turns.len() })
}

fn text(turns: &[Turn]) -> Zeroizing<String> {
    // A text that grows would leave copies of secrets behind.
    let mut text = Zeroizing::new(String::with_capacity(turns.len() * MAX_LINE));
    for Turn { key, from, .. } in turns {
        let mut hex = |bytes: &[u8]| {
            for byte in bytes {
                for digit in [byte >> 4, byte & 0x0f] {
                    text.push(char::from_digit(digit.into(), 16).expect("half a byte is a digit"));
                }
            }
            text.push(' ');
        };
        hex(&key.name);
        hex(key.secret());
        writeln!(text, "{from}").expect("a text can always be written to");
    }
    text
}

/// Writes beside `path`, then renames: nobody ever reads half a file, and others can never read it, not even while it is being
/// written.
fn replace(path: &Path, text: &str, owner: Option<&Metadata>) -> io::Result<()> {
    let beside = {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", process::id()));
        PathBuf::from(name)
    };
    let mut file = create(&beside)?;
    let written = (|| {
        file.write_all(text.as_bytes())?;
        if let Some(owner) = owner {
            keep_owner(&file, owner)?;
        }
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if written.is_err() {
        // The first fault is the one to tell.
        drop(fs::remove_file(&beside));
    }
    written
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// A server that runs as the owner must be able to read the new file, whoever writes it.
#[cfg(unix)]
fn keep_owner(file: &File, owner: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};

    let new = file.metadata()?;
    if (new.uid(), new.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
fn keep_owner(_file: &File, _owner: &Metadata) -> io::Result<()> {
    Ok(())
}
