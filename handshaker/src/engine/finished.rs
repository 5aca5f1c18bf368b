//! `ServerFinished` and `ClientFinished`: the same message with different parameters. Each proves, with a certificate, a
//! signature and a MAC, that its sender saw the whole handshake as the receiver did. In a resumed handshake the MAC alone does,
//! since the secret of the ticket is in its key.

use super::codec::{Reader, put_u16, put_u32, vector16};
use super::extensions::{Extensions, Form};
use super::names;
use super::padding;
use super::protocol::{HASH_LEN, MAX_CERTIFICATE, MAX_CHAIN, MAX_CHAIN_BYTES};
use super::resumption::{Misplaced, Yes};
use crate::alert::AlertCode;
use crate::error::Error;
use crate::session::RpcVersions;

/// What a side states at the front of its message.
pub(super) trait Parameters<'a>: Sized {
    const MESSAGE: &'static str;

    fn load(reader: &mut Reader<'a>) -> Result<Self, Error>;

    fn encode(&self, out: &mut Vec<u8>);
}

/// The server's choices. RPC versions and frame size are its own, not a choice. `R` is the form of resumption: [`Yes`] in a full
/// handshake, a new ticket in a resumed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServerParameters<'a, R = Yes> {
    pub(super) record_protocol: &'a str,
    pub(super) app_protocol: &'a str,
    pub(super) rpc_versions: RpcVersions,
    /// 0 when not stated.
    pub(super) max_frame_size: u32,
    /// What the client may sign with.
    pub(super) signature_schemes: Vec<u16>,
    pub(super) extensions: Extensions<'a, R>,
}

impl<'a, R: Form<'a>> Parameters<'a> for ServerParameters<'a, R> {
    const MESSAGE: &'static str = "ServerFinished";

    fn load(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self {
            record_protocol: names::load_name(reader)?,
            app_protocol: names::load_name(reader)?,
            rpc_versions: names::load_rpc_versions(reader)?,
            max_frame_size: reader.u32()?,
            signature_schemes: names::load_numbers(reader, "signature schemes")?,
            extensions: Extensions::load(reader)?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        names::encode_name(out, self.record_protocol);
        names::encode_name(out, self.app_protocol);
        names::encode_rpc_versions(out, self.rpc_versions);
        put_u32(out, self.max_frame_size);
        names::encode_numbers(out, &self.signature_schemes);
        self.extensions.encode(out);
    }
}

/// The client has said everything in its first message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientParameters<'a> {
    pub(super) extensions: Extensions<'a, Misplaced>,
}

impl<'a> Parameters<'a> for ClientParameters<'a> {
    const MESSAGE: &'static str = "ClientFinished";

    fn load(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { extensions: Extensions::load(reader)? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.extensions.encode(out);
    }
}

/// A message that was opened, with the slices that the transcript takes.
#[derive(Debug)]
pub(super) struct Finished<'a, P> {
    pub(super) parameters: P,
    /// DER, leaf first.
    pub(super) chain: Vec<&'a [u8]>,
    pub(super) scheme: u16,
    pub(super) signature: &'a [u8],
    pub(super) mac: [u8; HASH_LEN],
    /// Parameters, chain and scheme as they were sent.
    pub(super) statement: &'a [u8],
    /// The signature with its length.
    pub(super) signature_item: &'a [u8],
}

impl<'a, P: Parameters<'a>> Finished<'a, P> {
    pub(super) fn load(plaintext: &'a [u8]) -> Result<Self, Error> {
        let reader = &mut Reader::new(P::MESSAGE, plaintext);
        let position = |reader: &Reader<'_>| plaintext.len() - reader.len();
        let parameters = P::load(reader)?;
        let chain = load_chain(reader)?;
        let scheme = reader.u16()?;
        let statement = &plaintext[..position(reader)];
        let signature = reader.vector16()?.rest();
        let signature_item = &plaintext[statement.len()..position(reader)];
        let mac = reader.array()?;
        padding::load(reader, plaintext.len())?;
        Ok(Self { parameters, chain, scheme, signature, mac, statement, signature_item })
    }
}

/// A message of a resumed handshake that was opened.
#[derive(Debug)]
pub(super) struct ShortFinished<'a, P> {
    pub(super) parameters: P,
    pub(super) mac: [u8; HASH_LEN],
    /// The parameters as they were sent.
    pub(super) statement: &'a [u8],
}

impl<'a, P: Parameters<'a>> ShortFinished<'a, P> {
    pub(super) fn load(plaintext: &'a [u8]) -> Result<Self, Error> {
        let reader = &mut Reader::new(P::MESSAGE, plaintext);
        let parameters = P::load(reader)?;
        let statement = &plaintext[..plaintext.len() - reader.len()];
        let mac = reader.array()?;
        padding::load(reader, plaintext.len())?;
        Ok(Self { parameters, mac, statement })
    }
}

fn load_chain<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, Error> {
    let chain = reader.vector16()?;
    if chain.len() > MAX_CHAIN_BYTES {
        return Err(too_large(format!("a certificate chain of {} bytes", chain.len())));
    }
    chain.list(MAX_CHAIN, |reader| {
        let certificate = reader.vector16()?.rest();
        if certificate.len() > MAX_CERTIFICATE {
            return Err(too_large(format!("a certificate of {} bytes", certificate.len())));
        }
        Ok(certificate)
    })
}

fn too_large(what: String) -> Error {
    Error::peer(AlertCode::TooLarge, what)
}

/// Writes what is signed: parameters, chain and scheme.
pub(super) fn encode_statement<'a>(
    out: &mut Vec<u8>,
    parameters: &impl Parameters<'a>,
    chain: &[impl AsRef<[u8]>],
    scheme: u16,
) {
    parameters.encode(out);
    vector16(out, |out| {
        for certificate in chain {
            vector16(out, |out| out.extend_from_slice(certificate.as_ref()));
        }
    });
    put_u16(out, scheme);
}

/// Writes the signature; what is written enters the transcript.
pub(super) fn encode_signature(out: &mut Vec<u8>, signature: &[u8]) {
    vector16(out, |out| out.extend_from_slice(signature));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::protocol::PADDING_UNIT;
    use crate::engine::resumption::NewTicket;
    use crate::session::RpcVersion;

    fn server_parameters() -> ServerParameters<'static> {
        ServerParameters {
            record_protocol: "ALTSRP_GCM_AES128_REKEY",
            app_protocol: "grpc",
            rpc_versions: RpcVersions {
                max: RpcVersion { major: 2, minor: 3 },
                min: RpcVersion { major: 1, minor: 9 },
            },
            max_frame_size: 16_384,
            signature_schemes: vec![0x0807, 0x0403],
            extensions: Extensions::ours(true, None),
        }
    }

    fn message(chain: &[Vec<u8>], signature: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode_statement(&mut out, &server_parameters(), chain, 0x0807);
        encode_signature(&mut out, signature);
        out.extend_from_slice(&[0x11; HASH_LEN]);
        padding::encode(&mut out);
        out
    }

    fn load(plaintext: &[u8]) -> Result<Finished<'_, ServerParameters<'_>>, AlertCode> {
        Finished::load(plaintext).map_err(|error| error.alert().unwrap())
    }

    #[test]
    fn round_trip_with_every_padding() {
        for length in 0..1_100 {
            let chain = [vec![1; 300], vec![2; length]];
            let out = message(&chain, b"signature");
            assert_eq!(out.len() % PADDING_UNIT, 0);
            let finished = load(&out).unwrap();
            assert_eq!(finished.parameters, server_parameters());
            assert_eq!(finished.chain, chain);
            assert_eq!(finished.signature, b"signature");
            assert_eq!(finished.signature_item, b"\0\x09signature");
            assert_eq!(finished.mac, [0x11; HASH_LEN]);
            assert_eq!(finished.statement[finished.statement.len() - 2..], [8, 7]);
            assert!(out.starts_with(finished.statement));
        }
    }

    #[test]
    fn padding_is_zero_and_least() {
        let good = message(&[vec![1; 300]], b"signature");
        let mut bad = good.clone();
        *bad.last_mut().unwrap() = 1;
        assert_eq!(load(&bad).map(|_| ()), Err(AlertCode::DecodeError));

        // 512 more zeros, announced.
        let padding = good.iter().rev().take_while(|&&byte| byte == 0).count();
        let at = good.len() - padding - 2..good.len() - padding;
        let announced = usize::from(good[at.start]) << 8 | usize::from(good[at.start + 1]);
        assert_eq!(announced, padding, "the test finds the padding");
        let mut longer = good.clone();
        longer.resize(good.len() + PADDING_UNIT, 0);
        longer[at].copy_from_slice(&((padding + PADDING_UNIT) as u16).to_be_bytes());
        assert_eq!(load(&longer).map(|_| ()), Err(AlertCode::DecodeError));

        // 512 more zeros, not announced.
        let mut trailing = good.clone();
        trailing.resize(good.len() + PADDING_UNIT, 0);
        assert_eq!(load(&trailing).map(|_| ()), Err(AlertCode::DecodeError));
        assert_eq!(load(&good[..good.len() - 1]).map(|_| ()), Err(AlertCode::DecodeError));
    }

    type Short<'a> = ShortFinished<'a, ServerParameters<'a, NewTicket<'a>>>;

    #[test]
    fn short_messages() {
        let ticket = [7; 600];
        let new = NewTicket { lifetime: 60, ticket: &ticket };
        let ServerParameters { record_protocol, app_protocol, rpc_versions, .. } =
            server_parameters();
        let parameters = ServerParameters {
            record_protocol,
            app_protocol,
            rpc_versions,
            max_frame_size: 0,
            signature_schemes: vec![0x0807],
            extensions: Extensions::ours(false, Some(new)),
        };
        let mut out = Vec::new();
        parameters.encode(&mut out);
        let statement = out.len();
        out.extend_from_slice(&[0x22; HASH_LEN]);
        padding::encode(&mut out);
        let loaded = Short::load(&out).unwrap();
        assert_eq!(loaded.parameters, parameters);
        assert_eq!((loaded.mac, loaded.statement), ([0x22; HASH_LEN], &out[..statement]));

        // Neither form reads as the other.
        assert!(load(&out).is_err());
        assert!(Short::load(&message(&[vec![1; 300]], b"signature")).is_err());
        for at in 0..out.len() {
            assert!(Short::load(&out[..at]).is_err(), "{at}");
        }
        for at in out.len() - 3..out.len() {
            let mut changed = out.clone();
            changed[at] = 1;
            assert!(Short::load(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn chains_have_bounds() {
        let code = |chain: &[Vec<u8>]| load(&message(chain, b"s")).map(|_| ());
        assert_eq!(code(&[]), Err(AlertCode::DecodeError));
        assert_eq!(code(&vec![vec![1]; 5]), Ok(()));
        assert_eq!(code(&vec![vec![1]; 6]), Err(AlertCode::DecodeError));
        assert_eq!(code(&[vec![1; 8_192]]), Ok(()));
        assert_eq!(code(&[vec![1; 8_193]]), Err(AlertCode::TooLarge));
        let thirds = |last| [vec![1; 8_190], vec![2; 8_190], vec![3; last]];
        assert_eq!(code(&thirds(8_190)), Ok(()));
        assert_eq!(code(&thirds(8_191)), Err(AlertCode::TooLarge));
    }
}
