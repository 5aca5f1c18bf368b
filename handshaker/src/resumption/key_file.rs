//! Ticket keys in a file: `name(16 hex digits) secret(64 hex digits) from(seconds since 1970)`, one key a line, the newest first.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ring::digest::{SHA256, digest};

use super::error::TicketKeysError;
use super::key_set::{KeySet, MAX_KEYS, NAME_LEN, TicketKey};
use crate::identity::FileContents;
use crate::watch::Watch;

/// For how long a key of a file seals, in seconds. Without it, a rotation that has stopped would go unnoticed for ever.
pub(super) const PERIOD: u64 = 24 * 60 * 60;

const SECRET_DIGITS: usize = 64;
const NAME_DIGITS: usize = 2 * NAME_LEN;
/// Digits of a time: enough until the year 33658.
const MAX_TIME_DIGITS: usize = 12;

/// A file of ticket keys, and what the last look found.
pub(super) struct KeyFile {
    path: PathBuf,
    seen: Mutex<Seen>,
    /// The log says that no key seals any more.
    is_old: AtomicBool,
    watch: Watch,
}

struct Seen {
    /// Of the contents that the keys in use came from, permissions included.
    digest: [u8; 32],
    /// What was wrong with the last look. The log says it already.
    fault: Option<TicketKeysError>,
}

impl KeyFile {
    /// Reads the file for the first time.
    pub(super) fn load(
        path: PathBuf,
        max_age: u64,
        now: u64,
    ) -> Result<(Self, KeySet), TicketKeysError> {
        let contents = read(&path)?;
        let set = key_set(&path, &contents, max_age)?;
        let seen = Seen { digest: content_digest(&contents), fault: None };
        let watch = Watch::default();
        let file = Self { path, seen: Mutex::new(seen), is_old: AtomicBool::new(false), watch };
        file.note_age(&set, now);
        Ok((file, set))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Starts a thread that has the keys look at the file again and again.
    pub(super) fn watch<K: Send + Sync + 'static>(
        &self,
        keys: &Arc<K>,
        interval: Duration,
        look: fn(&K, SystemTime),
    ) -> Result<(), TicketKeysError> {
        let started = self.watch.start(keys, "alts-ticket-keys", interval, look);
        started.map_err(|fault| TicketKeysError::Watcher(fault.to_string()))
    }

    /// The keys, if they are others than before. What is wrong is logged once.
    pub(super) fn changed(
        &self,
        max_age: u64,
        now: u64,
    ) -> Result<Option<KeySet>, TicketKeysError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self.look(&seen.digest, max_age);
        match (&found, &seen.fault) {
            (Err(fault), before) if before.as_ref() != Some(fault) => {
                tracing::warn!(%fault, "the ticket keys from before stay in use as long as they last");
            }
            (Ok(_), Some(_)) => {
                tracing::info!(file = %self.path.display(), "the file of ticket keys is valid again");
            }
            _ => {}
        }
        seen.fault = found.as_ref().err().cloned();
        Ok(found?.map(|(set, digest)| {
            seen.digest = digest;
            let keys = set.turns().len();
            tracing::info!(file = %self.path.display(), keys, "ticket keys reloaded");
            self.is_old.store(false, Ordering::Relaxed);
            self.note_age(&set, now);
            set
        }))
    }

    fn look(
        &self,
        before: &[u8; 32],
        max_age: u64,
    ) -> Result<Option<(KeySet, [u8; 32])>, TicketKeysError> {
        let contents = read(&self.path)?;
        let digest = content_digest(&contents);
        if digest == *before {
            return Ok(None);
        }
        Ok(Some((key_set(&self.path, &contents, max_age)?, digest)))
    }

    /// Says once that the newest key is too old to seal.
    pub(super) fn note_age(&self, set: &KeySet, now: u64) {
        let is_old = set.last_stop().is_none_or(|stop| stop <= now);
        if is_old && !self.is_old.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                file = %self.path.display(),
                "the newest ticket key is older than 24 hours: no tickets are issued until `alts ticket-keys rotate` makes a new one",
            );
        }
    }
}

/// Reads a file of ticket keys, which nobody but its owner may have access to.
pub(super) fn read(path: &Path) -> Result<FileContents, TicketKeysError> {
    /// All permissions of the group and of the rest of the world.
    const OTHERS: u32 = 0o077;

    let contents = FileContents::read(path).map_err(|fault| TicketKeysError::Read {
        path: path.to_owned(),
        message: fault.fault().to_string(),
    })?;
    match contents.mode() {
        mode if mode & OTHERS != 0 => Err(TicketKeysError::Shared { path: path.to_owned(), mode }),
        _ => Ok(contents),
    }
}

fn content_digest(contents: &FileContents) -> [u8; 32] {
    let mut output = [0; 32];
    output.copy_from_slice(digest(&SHA256, &contents.bytes).as_ref());
    output
}

fn key_set(path: &Path, contents: &FileContents, max_age: u64) -> Result<KeySet, TicketKeysError> {
    let keys = parse(&contents.bytes)
        .map_err(|Fault { line, fault }| TicketKeysError::malformed(path, line, fault))?;
    Ok(KeySet::in_turn(keys, PERIOD, max_age))
}

/// Where a text is not a file of ticket keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 1 on.
    pub(super) line: usize,
    pub(super) fault: &'static str,
}

/// The keys of a file, each with the time from which it seals.
pub(super) fn parse(text: &[u8]) -> Result<Vec<(TicketKey, u64)>, Fault> {
    let mut keys: Vec<(TicketKey, u64)> = Vec::with_capacity(MAX_KEYS);
    let mut rest = text;
    while !rest.is_empty() {
        let line = keys.len() + 1;
        let fault = |fault| Fault { line, fault };
        if keys.len() == MAX_KEYS {
            return Err(fault("there are more than 4 keys"));
        }
        let end = rest.iter().position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| fault("the line has no end; is it still being written?"))?;
        let (key, from) = parse_line(&rest[..end]).map_err(fault)?;
        for (other, other_from) in &keys {
            if from >= *other_from {
                return Err(fault("its time is not before that of the line above it"));
            }
            if key.name == other.name {
                return Err(fault("another key has the same name"));
            }
            if key.secret() == other.secret() {
                return Err(fault("another key has the same secret"));
            }
        }
        keys.push((key, from));
        rest = &rest[end + 1..];
    }
    if keys.is_empty() {
        return Err(Fault { line: 1, fault: "there is no key" });
    }
    Ok(keys)
}

fn parse_line(line: &[u8]) -> Result<(TicketKey, u64), &'static str> {
    let mut fields = line.split(|&byte| byte == b' ');
    let (Some(name), Some(secret), Some(time), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("it does not have three fields with a space between them");
    };
    let mut name_bytes = [0; NAME_LEN];
    if name.len() != NAME_DIGITS || !read_hex(name, &mut name_bytes) {
        return Err("the name does not have 16 hexadecimal digits, 0 to 9 and a to f");
    }
    let mut is_hex = secret.len() == SECRET_DIGITS;
    let key = TicketKey::written(name_bytes, |bytes| is_hex = is_hex && read_hex(secret, bytes));
    if !is_hex {
        return Err("the secret does not have 64 hexadecimal digits, 0 to 9 and a to f");
    }
    if key.is_zero() {
        return Err("the secret is all zeros");
    }
    let is_number = (1..=MAX_TIME_DIGITS).contains(&time.len())
        && time.iter().all(u8::is_ascii_digit)
        && (time[0] != b'0' || time.len() == 1);
    if !is_number {
        return Err("the time is not a whole number of seconds");
    }
    let from = time.iter().fold(0, |from, digit| from * 10 + u64::from(digit - b'0'));
    Ok((key, from))
}

/// Reads two digits for each byte of `out`, and nothing else.
fn read_hex(digits: &[u8], out: &mut [u8]) -> bool {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    out.iter_mut().zip(digits.chunks_exact(2)).all(|(byte, pair)| {
        match (value(pair[0]), value(pair[1])) {
            (Some(high), Some(low)) => {
                *byte = high << 4 | low;
                true
            }
            _ => false,
        }
    })
}
