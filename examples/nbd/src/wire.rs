//! The protocol's messages, without I/O and without state.
//!
//! Each message that has a fixed size decodes from an array and encodes into one. Messages of variable size decode from the
//! slice that their header announced, and every length inside is checked against it. Nothing here panics on a peer's bytes, and
//! nothing allocates in proportion to a number that a peer has sent.
//!
//! All integers are big-endian. The layouts and numbers are those of the protocol document of the NBD project (`doc/proto.md`),
//! for the fixed newstyle handshake; what that marks as experimental or withdrawn is left out.
//!
//! | here | messages |
//! | --- | --- |
//! | [`hello`] | the first bytes of both sides |
//! | [`option`], [`option_reply`] | the handshake |
//! | [`request`], [`reply`] | transmission |
//! | [`flags`], [`errno`] | what they share |

pub mod errno;
mod fields;
pub mod flags;
pub mod hello;
pub mod option;
pub mod option_reply;
pub mod reply;
pub mod request;

pub use errno::Errno;

/// The port that IANA assigned to NBD.
pub const DEFAULT_PORT: u16 = 10809;
/// The most bytes that any string of the protocol may have: names, descriptions, messages, names of contexts.
pub const MAX_STRING: usize = 4096;
/// The largest payload that must never be taken for an attack, whatever maximum was advertised: 32 MiB.
pub const PORTABLE_PAYLOAD: u32 = 1 << 25;
/// The one metadata context that the protocol itself defines.
pub const BASE_ALLOCATION: &str = "base:allocation";
/// The most extents in one block status chunk.
pub const MAX_EXTENTS: usize = 1 << 20;

/// Why bytes are not the message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// A number that identifies the kind of message is another one.
    Magic(u64),
    /// A length inside the message does not fit into the message, or leaves a rest.
    Length,
    /// A string is longer than [`MAX_STRING`], is not UTF-8, or contains NUL.
    String,
    /// A field has a value that the protocol forbids; the name of the field.
    Field(&'static str),
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Magic(found) => write!(f, "unknown magic number {found:#x}"),
            Self::Length => f.write_str("the lengths inside do not add up"),
            Self::String => {
                write!(f, "a string is not UTF-8, has NUL, or exceeds {MAX_STRING} bytes")
            }
            Self::Field(field) => write!(f, "the {field} is not allowed"),
        }
    }
}

impl std::error::Error for Malformed {}
