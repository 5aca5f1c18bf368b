//! Header compression for HTTP/2 ([RFC 7541](https://www.rfc-editor.org/rfc/rfc7541)).
//!
//! Both directions are made for connections of which most are idle. The [`Decoder`] stores the peer's dynamic table in as many
//! bytes as it has; [`encode`] uses none. Neither has I/O or knows what a header means.
//!
//! # Limits
//!
//! | what a peer may try | what stops it |
//! | --- | --- |
//! | fill the table | [`MAX_TABLE_SIZE`], or the `SETTINGS_HEADER_TABLE_SIZE` given to the decoder, with 4 bytes an entry; nothing if it inserts nothing |
//! | refer to a large entry many times | the limit on the header list, which is checked while decoding |
//! | Huffman codes that expand | to 8/5 of their size at most, one field at a time |
//! | integers without end | five octets |
//! | the size of a block | is the caller's to limit: decoding takes time in proportion to it |

mod decode;
pub mod encode;
mod huffman;
mod integer;
mod static_table;
mod table;

use std::fmt;

pub use decode::{Decoder, Listed};

/// The size of a dynamic table before anybody has said otherwise, in bytes as RFC 7541 counts them (section 4.1; RFC 9113,
/// section 6.5.2).
pub const DEFAULT_TABLE_SIZE: u32 = 4_096;
/// The largest dynamic table that a [`Decoder`] allows, in bytes: places in it are stored in 16 bits.
pub const MAX_TABLE_SIZE: u32 = 65_536;

/// Why a header block could not be decoded. All of these are the peer's fault and end the connection with `COMPRESSION_ERROR`
/// (RFC 9113, section 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HpackError {
    /// The block ends within a field.
    Truncated,
    /// An integer takes more than five octets after its prefix, or more than 32 bits.
    IntegerTooLarge,
    /// An index is 0, or beyond both tables.
    NoSuchEntry,
    /// A string is not a Huffman code: its padding is wrong, or it has the end-of-string symbol within.
    Huffman,
    /// A table size update exceeds the limit in force.
    SizeUpdateTooLarge,
    /// A table size update follows a field.
    SizeUpdateMisplaced,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a header block ends within a field",
            Self::IntegerTooLarge => "an integer in a header block is too large",
            Self::NoSuchEntry => "a header block refers to an entry that neither table has",
            Self::Huffman => "a string in a header block is not valid Huffman code",
            Self::SizeUpdateTooLarge => {
                "a header block sets the size of the dynamic table above the limit"
            }
            Self::SizeUpdateMisplaced => {
                "a header block changes the size of the dynamic table after its first field"
            }
        })
    }
}

impl std::error::Error for HpackError {}
