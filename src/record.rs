//! The ALTS record protocol: slices in, slices out, no I/O.
//!
//! A record on the wire:
//!
//! ```text
//! 0        4        8                      8 + P             24 + P
//! ├────────┼────────┼──────────────────────┼─────────────────┤
//! │ length │ type 6 │ ciphertext, P bytes  │ tag, 16 bytes   │     integers: u32, little-endian
//! └────────┴────────┴──────────────────────┴─────────────────┘
//!            ◄──────────── length ─────────────────────────►        length = 4 + P + 16
//! ```
//!
//! Nothing but the ciphertext is authenticated by the tag: a changed header is noticed because the tag then covers other
//! bytes. The record number is not sent; both ends count ([`Counter`]), and the number is the AES-GCM nonce. With
//! `ALTSRP_GCM_AES128_REKEY` each run of 65,536 numbers has an AES key of its own.
//!
//! [`Sealer`] and [`Opener`] are one direction each and share nothing.

mod aead;
mod counter;
mod error;
mod frame;
mod keys;
mod layout;
mod opener;
mod sealer;

pub use aead::AeadProvider;
pub use counter::Counter;
pub use error::RecordError;
pub use layout::{HEADER_LEN, MAX_LENGTH, MIN_LENGTH, OVERHEAD, RECORD_TYPE, TAG_LEN};
pub use opener::{Opened, Opener};
pub use sealer::Sealer;

pub(crate) use frame::Head;
pub(crate) use keys::{KeySlot, TrafficKeys};
pub(crate) use opener::open_record;
pub(crate) use sealer::seal_record;
