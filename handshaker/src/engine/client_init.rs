//! `ClientInit`: everything the client offers.

use super::codec::{Reader, put_u16, put_u32, vector16};
use super::extensions::Extensions;
use super::names;
use super::protocol::{MAX_APP_PROTOCOLS, MAX_RECORD_PROTOCOLS, MAX_SHARES};
use super::resumption::Offer;
use crate::error::Error;
use crate::session::RpcVersions;

/// In the order of the wire. Lists are in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientInit<'a> {
    pub(super) versions: Vec<u16>,
    pub(super) random: [u8; 32],
    pub(super) suites: Vec<u16>,
    /// For some of the suites, in the same order.
    pub(super) shares: Vec<OfferedShare<'a>>,
    pub(super) signature_schemes: Vec<u16>,
    pub(super) record_protocols: Vec<&'a str>,
    pub(super) app_protocols: Vec<&'a str>,
    pub(super) rpc_versions: RpcVersions,
    /// 0 when not stated.
    pub(super) max_frame_size: u32,
    pub(super) extensions: Extensions<'a, Offer<'a>>,
}

/// A key share of a suite that the receiver may not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfferedShare<'a> {
    pub(super) suite: u16,
    pub(super) key: &'a [u8],
}

impl<'a> ClientInit<'a> {
    pub(super) fn load(body: &'a [u8]) -> Result<Self, Error> {
        let reader = &mut Reader::new("ClientInit", body);
        let versions = names::load_numbers(reader, "versions")?;
        let random = reader.array()?;
        let suites = names::load_numbers(reader, "suites")?;
        let shares = reader.vector16()?.list(MAX_SHARES, |reader| {
            Ok(OfferedShare { suite: reader.u16()?, key: reader.vector16()?.rest() })
        })?;
        check_shares(&suites, &shares)?;
        let init = Self {
            versions,
            random,
            suites,
            shares,
            signature_schemes: names::load_numbers(reader, "signature schemes")?,
            record_protocols: names::load_names(reader, MAX_RECORD_PROTOCOLS)?,
            app_protocols: names::load_names(reader, MAX_APP_PROTOCOLS)?,
            rpc_versions: names::load_rpc_versions(reader)?,
            max_frame_size: reader.u32()?,
            extensions: Extensions::load(reader)?,
        };
        reader.finish()?;
        Ok(init)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        names::encode_numbers(out, &self.versions);
        out.extend_from_slice(&self.random);
        names::encode_numbers(out, &self.suites);
        vector16(out, |out| {
            for share in &self.shares {
                put_u16(out, share.suite);
                vector16(out, |out| out.extend_from_slice(share.key));
            }
        });
        names::encode_numbers(out, &self.signature_schemes);
        names::encode_names(out, &self.record_protocols);
        names::encode_names(out, &self.app_protocols);
        names::encode_rpc_versions(out, self.rpc_versions);
        put_u32(out, self.max_frame_size);
        self.extensions.encode(out);
    }
}

/// Distinct suites, a subset of those offered, in their order.
fn check_shares(suites: &[u16], shares: &[OfferedShare<'_>]) -> Result<(), Error> {
    let mut offered = suites.iter();
    // The iterator goes on where it stopped, so this finds each share's suite only behind the one before.
    if shares.iter().all(|share| offered.any(|&suite| suite == share.suite)) {
        Ok(())
    } else {
        Err(Error::illegal("the key shares do not follow the offered suites"))
    }
}
