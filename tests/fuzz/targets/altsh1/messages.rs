//! Section 5: the messages, read and written.

use super::code::{DECODE_ERROR, ILLEGAL_PARAMETER, TOO_LARGE};

/// A body that is still to be read. Errors are numbers of alerts.
pub(crate) struct Body<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Body<'a> {
    pub(crate) fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], u16> {
        let taken = self.whole.get(self.at..self.at + len).ok_or(DECODE_ERROR)?;
        self.at += len;
        Ok(taken)
    }

    pub(super) fn number(&mut self, bytes: usize) -> Result<u32, u16> {
        Ok(self.take(bytes)?.iter().fold(0, |number, &byte| number << 8 | u32::from(byte)))
    }

    pub(super) fn vector(&mut self, prefix: usize) -> Result<&'a [u8], u16> {
        let len = self.number(prefix)?;
        self.take(len as usize)
    }

    pub(super) fn end(&self) -> Result<(), u16> {
        if self.at == self.whole.len() { Ok(()) } else { Err(DECODE_ERROR) }
    }

    /// How far it has been read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The zeros that end a sealed message: as few as fill the last 512 bytes.
    pub(super) fn padding(&mut self) -> Result<(), u16> {
        let padding = self.vector(2)?;
        self.end()?;
        let least = padding.len() < 512 && self.whole.len().is_multiple_of(512);
        if least && padding.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(DECODE_ERROR) }
    }

    /// A vector's elements: 1 to `most`.
    fn list<T>(
        &mut self,
        prefix: usize,
        most: usize,
        element: impl Fn(&mut Body<'a>) -> Result<T, u16>,
    ) -> Result<Vec<T>, u16> {
        let mut inner = Body::new(self.vector(prefix)?);
        let mut list = Vec::new();
        while inner.end().is_err() {
            if list.len() == most {
                return Err(DECODE_ERROR);
            }
            list.push(element(&mut inner)?);
        }
        if list.is_empty() { Err(DECODE_ERROR) } else { Ok(list) }
    }

    fn numbers(&mut self) -> Result<Vec<u16>, u16> {
        distinct(self.list(1, 8, |body| Ok(body.number(2)? as u16))?)
    }

    fn name(&mut self) -> Result<String, u16> {
        let name = self.vector(1)?;
        let good =
            (1..=64).contains(&name.len()) && name.iter().all(|byte| (0x21..0x7f).contains(byte));
        if good { Ok(String::from_utf8(name.to_vec()).unwrap()) } else { Err(DECODE_ERROR) }
    }

    fn rpc_versions(&mut self) -> Result<[u32; 4], u16> {
        Ok([self.number(4)?, self.number(4)?, self.number(4)?, self.number(4)?])
    }

    /// Types alone: of the only known one the data is checked here.
    fn extensions(&mut self) -> Result<Vec<u16>, u16> {
        let mut inner = Body::new(self.vector(2)?);
        let mut types: Vec<u16> = Vec::new();
        while inner.end().is_err() {
            let kind = inner.number(2)? as u16;
            let data = inner.vector(2)?;
            if types.last().is_some_and(|&last| last >= kind) {
                return Err(DECODE_ERROR);
            }
            if kind >= 0x8000 && types.contains(&(kind - 0x8000)) {
                return Err(ILLEGAL_PARAMETER);
            }
            if kind == 1 && !data.is_empty() {
                return Err(DECODE_ERROR);
            }
            types.push(kind);
        }
        Ok(types)
    }
}

fn distinct<T: PartialEq>(list: Vec<T>) -> Result<Vec<T>, u16> {
    let twice = (1..list.len()).any(|at| list[..at].contains(&list[at]));
    if twice { Err(ILLEGAL_PARAMETER) } else { Ok(list) }
}

/// Writes what [`Body`] reads.
#[derive(Default)]
pub(crate) struct Out(pub(crate) Vec<u8>);

impl Out {
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn number(&mut self, bytes: usize, number: u32) -> &mut Self {
        self.raw(&number.to_be_bytes()[4 - bytes..])
    }

    pub(crate) fn vector(&mut self, prefix: usize, content: &[u8]) -> &mut Self {
        self.number(prefix, content.len() as u32).raw(content)
    }

    pub(crate) fn numbers(&mut self, numbers: &[u16]) -> &mut Self {
        let content: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        self.vector(1, &content)
    }

    pub(crate) fn names(&mut self, names: &[&str]) -> &mut Self {
        let mut content = Self::default();
        for name in names {
            content.vector(1, name.as_bytes());
        }
        self.vector(2, &content.0)
    }

    pub(crate) fn extensions(&mut self, extensions: &[(u16, &[u8])]) -> &mut Self {
        let mut content = Self::default();
        for (kind, data) in extensions {
            content.number(2, u32::from(*kind)).vector(2, data);
        }
        self.vector(2, &content.0)
    }
}

pub(crate) struct ClientInit {
    pub(crate) versions: Vec<u16>,
    pub(crate) shares: Vec<(u16, Vec<u8>)>,
    pub(crate) signature_schemes: Vec<u16>,
    pub(crate) record_protocols: Vec<String>,
    pub(crate) app_protocols: Vec<String>,
    pub(crate) rpc_versions: [u32; 4],
    pub(crate) max_frame_size: u32,
    pub(crate) extensions: Vec<u16>,
}

impl ClientInit {
    pub(crate) fn read(body: &[u8]) -> Result<Self, u16> {
        let body = &mut Body::new(body);
        let versions = body.numbers()?;
        body.take(32)?;
        let suites = body.numbers()?;
        let shares =
            body.list(2, 2, |body| Ok((body.number(2)? as u16, body.vector(2)?.to_vec())))?;
        let order: Option<Vec<_>> =
            shares.iter().map(|share| suites.iter().position(|&suite| suite == share.0)).collect();
        if !order.is_some_and(|order| order.is_sorted_by(|one, next| one < next)) {
            return Err(ILLEGAL_PARAMETER);
        }
        let init = Self {
            versions,
            shares,
            signature_schemes: body.numbers()?,
            record_protocols: distinct(body.list(2, 8, Body::name)?)?,
            app_protocols: distinct(body.list(2, 4, Body::name)?)?,
            rpc_versions: body.rpc_versions()?,
            max_frame_size: body.number(4)?,
            extensions: body.extensions()?,
        };
        body.end()?;
        Ok(init)
    }
}

pub(crate) struct ServerInit {
    pub(crate) version: u16,
    pub(crate) suite: u16,
    pub(crate) share: Vec<u8>,
    pub(crate) extensions: Vec<u16>,
}

impl ServerInit {
    pub(crate) fn read(body: &[u8]) -> Result<Self, u16> {
        let body = &mut Body::new(body);
        let version = body.number(2)? as u16;
        body.take(32)?;
        let init = Self {
            version,
            suite: body.number(2)? as u16,
            share: body.vector(2)?.to_vec(),
            extensions: body.extensions()?,
        };
        body.end()?;
        Ok(init)
    }
}

/// The parameters of `ServerFinished`.
pub(crate) struct ServerChoice {
    pub(crate) record_protocol: String,
    pub(crate) app_protocol: String,
    pub(crate) rpc_versions: [u32; 4],
    pub(crate) max_frame_size: u32,
    pub(crate) signature_schemes: Vec<u16>,
}

/// `ServerFinished` or `ClientFinished`.
pub(crate) struct Finished {
    /// A server's.
    pub(crate) choice: Option<ServerChoice>,
    pub(crate) extensions: Vec<u16>,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) scheme: u16,
    /// The items of the transcript.
    pub(crate) statement: Vec<u8>,
    pub(crate) signature_item: Vec<u8>,
    pub(crate) mac: Vec<u8>,
}

impl Finished {
    pub(crate) fn read(plaintext: &[u8], of_server: bool) -> Result<Self, u16> {
        let body = &mut Body::new(plaintext);
        let choice = match of_server {
            true => Some(ServerChoice {
                record_protocol: body.name()?,
                app_protocol: body.name()?,
                rpc_versions: body.rpc_versions()?,
                max_frame_size: body.number(4)?,
                signature_schemes: body.numbers()?,
            }),
            false => None,
        };
        let extensions = body.extensions()?;
        let mut peek = Body { whole: plaintext, at: body.at };
        if peek.vector(2)?.len() > 24_576 {
            return Err(TOO_LARGE);
        }
        let chain = body.list(2, 5, |body| match body.vector(2)? {
            certificate if certificate.len() > 8_192 => Err(TOO_LARGE),
            certificate => Ok(certificate.to_vec()),
        })?;
        let scheme = body.number(2)? as u16;
        let statement = plaintext[..body.at].to_vec();
        body.vector(2)?;
        let signature_item = plaintext[statement.len()..body.at].to_vec();
        let mac = body.take(32)?.to_vec();
        body.padding()?;
        Ok(Self { choice, extensions, chain, scheme, statement, signature_item, mac })
    }
}

/// Appends the least padding.
pub(crate) fn pad(plaintext: &mut Vec<u8>) {
    let zeros = (512 - (plaintext.len() + 2) % 512) % 512;
    plaintext.extend_from_slice(&(zeros as u16).to_be_bytes());
    plaintext.resize(plaintext.len() + zeros, 0);
}

/// An alert's body: its number, if it is well-formed.
pub(crate) fn read_alert(body: &[u8]) -> Option<u16> {
    let body = &mut Body::new(body);
    let code = body.number(2).ok()? as u16;
    let reason = body.vector(1).ok()?;
    body.end().ok()?;
    let good = reason.len() <= 120 && reason.iter().all(|byte| (0x20..0x7f).contains(byte));
    good.then_some(code)
}
