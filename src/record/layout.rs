//! The sizes of a record on the wire.

/// Length and type, in bytes on the wire.
pub const HEADER_LEN: usize = 8;
/// The AES-GCM tag, in bytes.
pub const TAG_LEN: usize = 16;
/// What a record adds to its plaintext, in bytes.
pub const OVERHEAD: usize = HEADER_LEN + TAG_LEN;
/// The type word of every record (ALTS knows no other).
pub const RECORD_TYPE: u32 = 6;
/// The least length field: a type word and a tag, for an empty record.
pub const MIN_LENGTH: u32 = 4 + TAG_LEN as u32;
/// The greatest length field that is accepted: 1 MiB, as grpc-go has it. It is independent of what was negotiated, because
/// peers exceed that by a few bytes.
pub const MAX_LENGTH: u32 = 1 << 20;
