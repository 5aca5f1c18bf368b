//! What is wrong with a record, or with its keys.

use std::fmt;

use super::layout::{MAX_LENGTH, MIN_LENGTH, RECORD_TYPE};

/// The frame type of a sealed alert in the handshake `altsh1`. Who has no key for it cannot know that the peer wrote it.
const SEALED_ALERT: u32 = 0x4E;

/// Why a record cannot be opened or sealed. Except for [`KeyLength`](Self::KeyLength) and
/// [`NoRoom`](Self::NoRoom) these end the direction for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The length field leaves no room for the type word and a tag (it is below 20).
    TooShort {
        /// The length field.
        length: u32,
    },
    /// The length field exceeds 1 MiB.
    TooLong {
        /// The length field.
        length: u32,
    },
    /// The type word is not 6.
    WrongType {
        /// The type word.
        found: u32,
    },
    /// The tag does not fit: the record was altered, replayed, reordered, reflected, or sealed under another key.
    Authentication,
    /// The record counter has come to its end. It never wraps.
    CounterExhausted,
    /// The limit of 2^24 records under one key of `ALTSRP_GCM_AES128` is reached.
    KeyExhausted,
    /// A record arrived in a direction that the peer had closed.
    AfterClose,
    /// Bytes that are not exactly one record were given to be opened as one.
    NotOneRecord,
    /// The key material has the wrong length for the record protocol.
    KeyLength {
        /// What the protocol takes, in bytes.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// The output cannot hold the record.
    NoRoom {
        /// Bytes that the record takes.
        needed: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooShort { length } => {
                write!(f, "record length {length} is below the minimum of {MIN_LENGTH}")
            }
            Self::TooLong { length } => {
                write!(f, "record length {length} exceeds the limit of {MAX_LENGTH}")
            }
            Self::WrongType { found } => {
                write!(f, "record type {found:#010x} is not {RECORD_TYPE:#010x}")?;
                if found == SEALED_ALERT {
                    f.write_str(" but a handshake's alert: the peer may have refused this side")?;
                }
                Ok(())
            }
            Self::Authentication => f.write_str("record authentication failed"),
            Self::CounterExhausted => f.write_str("the record counter is exhausted"),
            Self::KeyExhausted => f.write_str("2^24 records were protected under one key"),
            Self::AfterClose => f.write_str("a record followed the authenticated close"),
            Self::NotOneRecord => f.write_str("the bytes are not exactly one record"),
            Self::KeyLength { expected, found } => {
                write!(f, "the record protocol takes {expected} bytes of key material, not {found}")
            }
            Self::NoRoom { needed } => write!(f, "the record needs {needed} bytes of output"),
        }
    }
}

impl std::error::Error for RecordError {}
