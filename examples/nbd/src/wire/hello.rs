//! The first bytes of both sides.

use super::Malformed;
use super::fields::{join, split};
use super::flags::{ClientFlags, HandshakeFlags};

/// `NBDMAGIC`.
pub const MAGIC: u64 = 0x4e42_444d_4147_4943;
/// `IHAVEOPT`, which also begins every option.
pub const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
/// What an oldstyle server sends instead of [`OPTION_MAGIC`].
pub const OLDSTYLE_MAGIC: u64 = 0x0000_4202_8186_1253;

/// A server's first message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// What the server is capable of.
    pub flags: HandshakeFlags,
}

impl Hello {
    /// Bytes on the wire.
    pub const LEN: usize = 18;

    /// Encodes the message.
    pub fn encode(self) -> [u8; Self::LEN] {
        join!(MAGIC, OPTION_MAGIC, self.flags.0 => Self::LEN)
    }

    /// Decodes the message. Flags that are not known stay in it: a client ignores them.
    ///
    /// # Errors
    /// [`Malformed::Magic`] if it is not an NBD server, or an oldstyle one ([`OLDSTYLE_MAGIC`]).
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        split!(bytes => magic: u64, option_magic: u64, flags: u16);
        match (magic, option_magic) {
            (MAGIC, OPTION_MAGIC) => Ok(Self { flags: HandshakeFlags(flags) }),
            (MAGIC, other) | (other, _) => Err(Malformed::Magic(other)),
        }
    }
}

/// Bytes of a client's first message.
pub const CLIENT_FLAGS_LEN: usize = 4;

/// Encodes a client's first message.
pub fn encode_client_flags(flags: ClientFlags) -> [u8; CLIENT_FLAGS_LEN] {
    flags.0.to_be_bytes()
}

/// Decodes a client's first message.
///
/// # Errors
/// [`Malformed::Field`] for a flag whose counterpart is not in `offered`: the server has to close the connection.
pub fn decode_client_flags(
    bytes: [u8; CLIENT_FLAGS_LEN],
    offered: HandshakeFlags,
) -> Result<ClientFlags, Malformed> {
    let flags = ClientFlags(u32::from_be_bytes(bytes));
    match flags.without(ClientFlags(offered.0.into())).is_empty() {
        true => Ok(flags),
        false => Err(Malformed::Field("client flags")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hello_and_its_answer() {
        let hello = Hello { flags: HandshakeFlags::ALL };
        let bytes = hello.encode();
        assert_eq!(bytes, *b"NBDMAGICIHAVEOPT\x00\x03");
        assert_eq!(Hello::decode(&bytes), Ok(hello));
        let mut old = bytes;
        old[8..16].copy_from_slice(&OLDSTYLE_MAGIC.to_be_bytes());
        assert_eq!(Hello::decode(&old), Err(Malformed::Magic(OLDSTYLE_MAGIC)));
        assert_eq!(Hello::decode(&[0; 18]), Err(Malformed::Magic(0)));

        for flags in 0..4 {
            let decoded = decode_client_flags([0, 0, 0, flags], HandshakeFlags::ALL);
            assert_eq!(decoded, Ok(ClientFlags(flags.into())));
        }
        for bad in [[0, 0, 0, 4], [0x80, 0, 0, 3], [0, 1, 0, 0]] {
            assert!(decode_client_flags(bad, HandshakeFlags::ALL).is_err());
        }
        assert!(decode_client_flags([0, 0, 0, 2], HandshakeFlags::FIXED_NEWSTYLE).is_err());
    }
}
