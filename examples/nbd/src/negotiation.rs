//! The server's side of the handshake, without I/O.
//!
//! ```text
//!  hello ─► client flags ─► option header ─► admit: read its data, skip it, or close
//!                               ▲                │
//!                               └── answer ◄─────┘   ... until an option begins transmission or TLS, or ends
//! ```

use std::sync::Arc;

use crate::export::{Export, Exports};
use crate::wire::flags::{ClientFlags, HandshakeFlags};
use crate::wire::hello::{CLIENT_FLAGS_LEN, Hello, decode_client_flags};
use crate::wire::option::{ClientOption, ContextRequest, InfoRequest, OptionHeader, number};
use crate::wire::option_reply::{
    EXPORT_NAME_PADDING, Info, OptionError, ReplyType, encode_context, encode_server, fitting_text,
    info, put_reply,
};
use crate::wire::{BASE_ALLOCATION, MAX_STRING, Malformed};

/// The most bytes of data of an option that are looked at. A name of 4,096 bytes and 64 queries of 256 fit three times.
pub const MAX_OPTION_DATA: u32 = 64 << 10;
/// The most that are read away after a refusal. Above it the connection is closed.
pub const MAX_SKIPPED_DATA: u32 = 1 << 20;
/// The most queries for metadata contexts in one option.
pub const MAX_QUERIES: u32 = 64;
/// The most options of one connection. No client needs more than a dozen, but one that lists has two for each export.
pub const MAX_OPTIONS: u32 = 1024;
/// The most bytes of data that all options of one connection have together, which is as many options with the longest of names.
pub const MAX_ALL_DATA: u32 = MAX_OPTIONS * MAX_STRING as u32;

/// The id of `base:allocation`. Any number would do.
pub(crate) const ALLOCATION_ID: u32 = 1;

/// What a server does about TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsMode {
    /// There is none.
    #[default]
    Unavailable,
    /// A client may begin it.
    Offered,
    /// Nothing else is possible before a client has begun it.
    Required,
    /// It has begun.
    Established,
}

/// What was agreed on when transmission begins.
#[derive(Clone, Debug)]
pub struct Agreed {
    /// The export.
    pub export: Arc<Export>,
    /// Whether reads are answered in chunks.
    pub structured: bool,
    /// Whether the client has selected `base:allocation` of this export.
    pub allocation: bool,
}

/// What to do with the data of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Read them and call [`Negotiation::option`].
    Read,
    /// Read them away, then send what was added to the output.
    Skip,
}

/// What to do after an option, when the output is sent.
#[derive(Debug)]
pub enum Next {
    /// Read the next option.
    Option,
    /// Begin TLS, then negotiate from the start, without a hello.
    StartTls,
    /// Begin transmission.
    Transmit(Agreed),
    /// Close the connection.
    Close,
}

/// Why the connection has to be closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// The client does not speak the protocol.
    Malformed(Malformed),
    /// It asked by `EXPORT_NAME`, which has no error, for an export that does not exist.
    UnknownExport,
    /// It asked by `EXPORT_NAME` for something before TLS.
    TlsRequired,
    /// It asked by `EXPORT_NAME` while the server is shutting down.
    Shutdown,
    /// An option with more data than [`MAX_SKIPPED_DATA`].
    TooMuchData(u32),
    /// Options with more data together than [`MAX_ALL_DATA`].
    TooMuchInAll,
    /// More than [`MAX_OPTIONS`].
    TooManyOptions,
    /// An option other than `EXPORT_NAME` from a client that does not speak the fixed handshake.
    NotFixed,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(fault) => write!(f, "the client does not speak NBD: {fault}"),
            Self::UnknownExport => {
                f.write_str("the client asked for an export that does not exist")
            }
            Self::TlsRequired => f.write_str("the client asked for an export before TLS"),
            Self::Shutdown => f.write_str("the client asked for an export during shutdown"),
            Self::TooMuchData(len) => write!(f, "an option has {len} bytes of data"),
            Self::TooMuchInAll => {
                write!(f, "the options have more than {MAX_ALL_DATA} bytes of data together")
            }
            Self::TooManyOptions => {
                write!(f, "the client has sent more than {MAX_OPTIONS} options")
            }
            Self::NotFixed => f.write_str("the client sent options, but not the flag for them"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<Malformed> for Refused {
    fn from(fault: Malformed) -> Self {
        Self::Malformed(fault)
    }
}

/// The state of a handshake.
#[derive(Debug)]
pub struct Negotiation<'server> {
    exports: &'server Exports,
    tls: TlsMode,
    client: ClientFlags,
    options: u32,
    /// Bytes of their data.
    data: u32,
    structured: bool,
    /// The name for which `base:allocation` was selected.
    allocation: Option<Box<str>>,
}

impl<'server> Negotiation<'server> {
    /// A handshake with a client that sees these exports.
    pub fn new(exports: &'server Exports, tls: TlsMode) -> Self {
        let client = ClientFlags::NONE;
        Self { exports, tls, client, options: 0, data: 0, structured: false, allocation: None }
    }

    /// The handshake that goes on inside of TLS: all is forgotten but the client's flags.
    #[must_use]
    pub fn secured(self) -> Self {
        Self {
            client: self.client,
            options: self.options,
            data: self.data,
            ..Self::new(self.exports, TlsMode::Established)
        }
    }

    /// The first message.
    pub fn hello() -> [u8; Hello::LEN] {
        Hello { flags: HandshakeFlags::ALL }.encode()
    }

    /// The client's answer to it.
    ///
    /// # Errors
    /// Flags that were not offered.
    pub fn client_flags(&mut self, bytes: [u8; CLIENT_FLAGS_LEN]) -> Result<(), Refused> {
        self.client = decode_client_flags(bytes, HandshakeFlags::ALL)?;
        Ok(())
    }

    /// Decides what becomes of an option's data. A refusal is added to `out`.
    ///
    /// # Errors
    /// The connection has to be closed.
    pub fn admit(&mut self, header: OptionHeader, out: &mut Vec<u8>) -> Result<Admission, Refused> {
        self.options += 1;
        if self.options > MAX_OPTIONS {
            return Err(Refused::TooManyOptions);
        }
        if header.len > MAX_SKIPPED_DATA {
            return Err(Refused::TooMuchData(header.len));
        }
        self.data += header.len;
        if self.data > MAX_ALL_DATA {
            return Err(Refused::TooMuchInAll);
        }
        if header.number == number::EXPORT_NAME {
            return match header.len as usize {
                0..=MAX_STRING => Ok(Admission::Read),
                _ => Err(Refused::TooMuchData(header.len)),
            };
        }
        if !self.client.contains(ClientFlags::FIXED_NEWSTYLE) {
            return Err(Refused::NotFixed);
        }
        if header.len > MAX_OPTION_DATA {
            put_error(out, header.number, OptionError::TooBig, "too much data");
            return Ok(Admission::Skip);
        }
        Ok(Admission::Read)
    }

    /// Answers an option: adds the replies to `out` and says what comes then. `draining` refuses what would begin transmission.
    ///
    /// # Errors
    /// The connection has to be closed, and nothing is to be sent.
    pub fn option(
        &mut self,
        number: u32,
        data: &[u8],
        draining: bool,
        out: &mut Vec<u8>,
    ) -> Result<Next, Refused> {
        if self.tls == TlsMode::Required && !matches!(number, number::STARTTLS | number::ABORT) {
            if number == number::EXPORT_NAME {
                return Err(Refused::TlsRequired);
            }
            put_error(out, number, OptionError::TlsRequired, "begin TLS first");
            return Ok(Next::Option);
        }
        let option = match ClientOption::decode(number, data) {
            Ok(option) => option,
            Err(fault) if number == number::EXPORT_NAME => return Err(fault.into()),
            Err(fault) => {
                if number == number::SET_META_CONTEXT {
                    self.allocation = None;
                }
                put_error(out, number, OptionError::Invalid, &fault.to_string());
                return Ok(Next::Option);
            }
        };
        match option {
            ClientOption::ExportName(name) => return self.export_name(name, draining, out),
            ClientOption::Abort => {
                put_reply(out, number, ReplyType::Ack, &[]);
                return Ok(Next::Close);
            }
            ClientOption::List => {
                for export in self.exports.iter() {
                    let entry = encode_server(export.name(), export.text());
                    put_reply(out, number, ReplyType::Server, &entry);
                }
                put_reply(out, number, ReplyType::Ack, &[]);
            }
            ClientOption::StartTls => return Ok(self.start_tls(out)),
            ClientOption::Info(request) => {
                self.info(number, request, draining, out);
            }
            ClientOption::Go(request) => {
                if let Some(export) = self.info(number, request, draining, out) {
                    return Ok(Next::Transmit(self.agreed(export, request.name)));
                }
            }
            ClientOption::StructuredReply => {
                self.structured = true;
                put_reply(out, number, ReplyType::Ack, &[]);
            }
            ClientOption::ListMetaContext(request) => {
                self.contexts(number, request, request.count == 0, out);
            }
            ClientOption::SetMetaContext(request) => {
                self.allocation = None;
                if self.contexts(number, request, false, out) {
                    self.allocation = Some(request.name.into());
                }
            }
            ClientOption::Unknown(number) => {
                put_error(out, number, OptionError::Unsupported, "unknown option");
            }
        }
        Ok(Next::Option)
    }

    fn agreed(&self, export: &Arc<Export>, name: &str) -> Agreed {
        let allocation = self.allocation.as_deref() == Some(name);
        Agreed { export: Arc::clone(export), structured: self.structured, allocation }
    }

    fn export_name(&self, name: &str, draining: bool, out: &mut Vec<u8>) -> Result<Next, Refused> {
        if draining {
            return Err(Refused::Shutdown);
        }
        let export = self.exports.find(name).ok_or(Refused::UnknownExport)?;
        out.extend(export.info(self.structured).encode());
        if !self.client.contains(ClientFlags::NO_ZEROES) {
            out.extend([0; EXPORT_NAME_PADDING]);
        }
        Ok(Next::Transmit(self.agreed(export, name)))
    }

    fn start_tls(&self, out: &mut Vec<u8>) -> Next {
        let (error, text) = match self.tls {
            TlsMode::Offered | TlsMode::Required => {
                put_reply(out, number::STARTTLS, ReplyType::Ack, &[]);
                return Next::StartTls;
            }
            TlsMode::Established => (OptionError::Invalid, "TLS has begun before"),
            TlsMode::Unavailable => (OptionError::Unsupported, "this server has no TLS"),
        };
        put_error(out, number::STARTTLS, error, text);
        Next::Option
    }

    /// Answers `INFO` and `GO`, and returns the export if there is one.
    fn info(
        &self,
        number: u32,
        request: InfoRequest<'_>,
        draining: bool,
        out: &mut Vec<u8>,
    ) -> Option<&'server Arc<Export>> {
        if draining {
            put_error(out, number, OptionError::Shutdown, "the server is shutting down");
            return None;
        }
        let Some(export) = self.exports.find(request.name) else {
            put_unknown(out, number, request.name);
            return None;
        };
        let mut put = |info: Info<'_>| put_reply(out, number, ReplyType::Info, &info.encode());
        if request.asks_for(info::NAME) {
            put(Info::Name(export.name()));
        }
        if request.asks_for(info::DESCRIPTION) && !export.text().is_empty() {
            put(Info::Description(export.text()));
        }
        // A client that has not asked need not obey, so only one that has asked is told of a minimum.
        if request.asks_for(info::BLOCK_SIZE) {
            put(Info::BlockSize(export.block_size()));
        }
        put(Info::Export(export.info(self.structured)));
        put_reply(out, number, ReplyType::Ack, &[]);
        Some(export)
    }

    /// Answers a request for contexts, and says whether `base:allocation` was among them.
    fn contexts(
        &self,
        number: u32,
        request: ContextRequest<'_>,
        all: bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let lists = number == number::LIST_META_CONTEXT;
        if !self.structured && !lists {
            put_error(out, number, OptionError::Invalid, "agree on structured replies first");
            return false;
        }
        if self.exports.find(request.name).is_none() {
            put_unknown(out, number, request.name);
            return false;
        }
        if request.count > MAX_QUERIES {
            put_error(out, number, OptionError::TooBig, "too many queries");
            return false;
        }
        let matches = |query| query == BASE_ALLOCATION || (lists && query == "base:");
        let found = all || request.queries().any(matches);
        if found {
            let id = if lists { 0 } else { ALLOCATION_ID };
            put_reply(out, number, ReplyType::MetaContext, &encode_context(id, BASE_ALLOCATION));
        }
        put_reply(out, number, ReplyType::Ack, &[]);
        found
    }
}

fn put_error(out: &mut Vec<u8>, option: u32, error: OptionError, text: &str) {
    put_reply(out, option, ReplyType::Error(error), fitting_text(text).as_bytes());
}

fn put_unknown(out: &mut Vec<u8>, option: u32, name: &str) {
    put_error(out, option, OptionError::UnknownExport, &format!("there is no export {name:?}"));
}
