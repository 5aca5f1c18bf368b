//! Certificates and keys on their way from one process to another.

use std::io::{self, Read, Write};

/// The longest text that one process takes from the other, in bytes. Certificates and keys here have less than 1 KiB.
const MAX_LEN: u32 = 16 << 10;

/// What one side of a handshake needs, in PEM.
pub(crate) struct Pem {
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) authority: String,
}

impl Pem {
    pub(crate) fn send(&self, to: &mut impl Write) -> io::Result<()> {
        for pem in [&self.chain, &self.key, &self.authority] {
            to.write_all(&(pem.len() as u32).to_be_bytes())?;
            to.write_all(pem.as_bytes())?;
        }
        to.flush()
    }

    pub(crate) fn receive(from: &mut impl Read) -> io::Result<Self> {
        let mut pem = || {
            let mut len = [0; 4];
            from.read_exact(&mut len)?;
            let len = u32::from_be_bytes(len);
            if len > MAX_LEN {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no certificate"));
            }
            let mut pem = vec![0; len as usize];
            from.read_exact(&mut pem)?;
            String::from_utf8(pem).map_err(io::Error::other)
        };
        Ok(Self { chain: pem()?, key: pem()?, authority: pem()? })
    }
}
