//! `ServerInit`: what the server chose for the keys, in plaintext.

use super::codec::{Reader, put_u16, vector16};
use super::extensions::Extensions;
use super::resumption::Yes;
use crate::error::Error;

/// In the order of the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerInit<'a> {
    pub(super) version: u16,
    pub(super) random: [u8; 32],
    pub(super) suite: u16,
    pub(super) share: &'a [u8],
    pub(super) extensions: Extensions<'a, Yes>,
}

impl<'a> ServerInit<'a> {
    pub(super) fn load(body: &'a [u8]) -> Result<Self, Error> {
        let reader = &mut Reader::new("ServerInit", body);
        let init = Self {
            version: reader.u16()?,
            random: reader.array()?,
            suite: reader.u16()?,
            share: reader.vector16()?.rest(),
            extensions: Extensions::load(reader)?,
        };
        reader.finish()?;
        Ok(init)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_u16(out, self.version);
        out.extend_from_slice(&self.random);
        put_u16(out, self.suite);
        vector16(out, |out| out.extend_from_slice(self.share));
        self.extensions.encode(out);
    }
}
