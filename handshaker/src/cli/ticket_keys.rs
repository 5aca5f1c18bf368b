//! The subcommand `ticket-keys`.

use std::error::Error;
use std::path::PathBuf;
use std::time::SystemTime;

use clap::{Args, Subcommand};

use super::PositiveDuration;
use crate::identity::seconds;
use crate::resumption::rotate_key_file;

/// Keeps the keys under which servers seal tickets, with which clients resume.
#[derive(Debug, Subcommand)]
pub enum TicketKeysCommand {
    /// Put a new key into a file of ticket keys, or make the file.
    ///
    /// The new key is used from a minute on, so that all servers that share the file have it by then; in a new file it is used at once.
    /// Keys whose tickets have all ended are dropped. Run this regularly, every half of the time for which handshakes can be resumed
    /// for instance: servers use no key for longer than 24 hours, and whoever steals a key can use it for as long as servers take it.
    ///
    /// Only the owner of the file can read it. Copy it to the servers of a fleet as any other secret, in one step. If keys were stolen,
    /// remove the file, run this, and copy the new file: all tickets are void then, and connections begin with full handshakes.
    Rotate(Rotate),
}

/// Arguments of `rotate`.
#[derive(Debug, Args)]
pub struct Rotate {
    /// The file. It has up to four keys.
    file: PathBuf,
    /// For how long after a full handshake the servers let clients resume: keys are kept for that time after their last use. 60s to 24h.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    max_age: PositiveDuration,
}

impl TicketKeysCommand {
    /// Carries it out.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Rotate(rotate) => rotate.run(),
        }
    }
}

impl Rotate {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let Self { file, max_age } = self;
        let now = SystemTime::now();
        let rotated = rotate_key_file(&file, max_age.0, now)?;
        let from = match rotated.from.saturating_sub(seconds(now)) {
            0 => "at once".to_owned(),
            wait => format!("in {wait} seconds"),
        };
        let keys = match rotated.keys {
            1 => "1 key".to_owned(),
            keys => format!("{keys} keys"),
        };
        println!("{}: {keys}, the new one in use {from}", file.display());
        if rotated.cut_short > 0 {
            eprintln!(
                "warning: {} of the keys that were dropped may still have tickets, which are void now; rotate at most every half of \
                 --max-age",
                rotated.cut_short
            );
        }
        Ok(())
    }
}
