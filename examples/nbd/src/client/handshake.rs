//! The handshake: options, one at a time.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::check::Violation;
use super::error::{Error, Usage};
use super::terms::Terms;
use crate::wire::BASE_ALLOCATION;
use crate::wire::flags::{ClientFlags, HandshakeFlags};
use crate::wire::hello::{Hello, encode_client_flags};
use crate::wire::option::{
    OptionHeader, encode_context_request, encode_info_request, is_valid_name, number,
};
use crate::wire::option_reply::{
    EXPORT_NAME_PADDING, ExportInfo, Info, OptionError, OptionReplyHeader, ReplyType,
    decode_context, decode_message, decode_server, info,
};

/// The most data of one reply to an option: two strings of 4,096 bytes, and room for what a later protocol adds.
pub const MAX_REPLY_DATA: u32 = 64 << 10;
/// The most data of all replies to one option: tens of thousands of exports.
pub const MAX_REPLIES_DATA: usize = 4 << 20;

/// A connection before transmission.
///
/// Nothing is read ahead, so that what follows belongs to whoever reads next: TLS, or transmission.
#[derive(Debug)]
pub struct Haggling<S> {
    stream: S,
    server: HandshakeFlags,
    structured: bool,
    out: Vec<u8>,
}

/// An export in a server's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The name.
    pub name: String,
    /// A text for people; often empty.
    pub description: String,
}

/// The last reply to an option.
enum Last {
    Ack,
    Error(OptionError, String),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Haggling<S> {
    /// Exchanges the first messages.
    ///
    /// # Errors
    /// [`Error::Oldstyle`] for a server without options, or the error that says that the other side does not speak NBD.
    pub async fn begin(mut stream: S) -> Result<Self, Error> {
        let mut hello = [0; Hello::LEN];
        stream.read_exact(&mut hello).await.map_err(|error| received(&error))?;
        let server = Hello::decode(&hello)?.flags;
        let flags = ClientFlags::NONE
            .with_if(ClientFlags::FIXED_NEWSTYLE, server.contains(HandshakeFlags::FIXED_NEWSTYLE))
            .with_if(ClientFlags::NO_ZEROES, server.contains(HandshakeFlags::NO_ZEROES));
        let out = encode_client_flags(flags).to_vec();
        Ok(Self { stream, server, structured: false, out })
    }

    /// Whether the server answers options. One that does not can only be asked for an export.
    pub fn is_fixed(&self) -> bool {
        self.server.contains(HandshakeFlags::FIXED_NEWSTYLE)
    }

    /// Agrees on structured replies, if the server has them.
    pub async fn structured_replies(&mut self) -> Result<bool, Error> {
        if self.is_fixed() && !self.structured {
            let last = self.ask(number::STRUCTURED_REPLY, &[], |_, _| Ok(false)).await?;
            self.structured = match last {
                Last::Ack => true,
                // Nothing else will work either.
                Last::Error(OptionError::TlsRequired, _) => {
                    return last.into_result(number::STRUCTURED_REPLY).map(|()| false);
                }
                Last::Error(..) => false,
            };
        }
        Ok(self.structured)
    }

    /// What the server exports.
    ///
    /// # Errors
    /// [`Error::Option`] if the server does not tell.
    pub async fn list(&mut self) -> Result<Vec<Listed>, Error> {
        self.needs_options(number::LIST)?;
        let mut listed = Vec::new();
        let last = self.ask(number::LIST, &[], |reply, data| {
            if reply != ReplyType::Server {
                return Ok(false);
            }
            let (name, description) = decode_server(data)?;
            listed.push(Listed { name: name.to_owned(), description: description.to_owned() });
            Ok(true)
        });
        last.await?.into_result(number::LIST)?;
        Ok(listed)
    }

    /// The metadata contexts of an export: all that the server lists.
    ///
    /// # Errors
    /// [`Error::Option`] if the server does not tell; it does not without structured replies.
    pub async fn contexts(&mut self, name: &str) -> Result<Vec<String>, Error> {
        self.needs_options(number::LIST_META_CONTEXT)?;
        let data = encode_context_request(valid(name)?, &[]);
        let mut contexts = Vec::new();
        let last = self.ask(number::LIST_META_CONTEXT, &data, |reply, data| {
            if reply == ReplyType::MetaContext {
                contexts.push(decode_context(data)?.1.to_owned());
            }
            Ok(reply == ReplyType::MetaContext)
        });
        last.await?.into_result(number::LIST_META_CONTEXT)?;
        Ok(contexts)
    }

    /// Asks about an export.
    ///
    /// # Errors
    /// [`Error::Option`]: among others, there is no such export.
    pub async fn info(&mut self, name: &str) -> Result<Terms, Error> {
        self.needs_options(number::INFO)?;
        let (last, terms) = self.ask_about(number::INFO, name, None).await?;
        last.into_result(number::INFO)?;
        terms.ok_or(Violation::NoExportInfo.into())
    }

    /// Opens an export, with structured replies and `base:allocation` if the server has them. What follows on the stream is
    /// transmission.
    ///
    /// # Errors
    /// [`Error::Option`]: among others, there is no such export. A server that does not answer options closes the connection.
    pub async fn open(mut self, name: &str) -> Result<(S, Terms), Error> {
        valid(name)?;
        let mut allocation = None;
        if self.structured_replies().await? {
            allocation = self.select_allocation(name).await?;
        }
        if self.is_fixed() {
            match self.ask_about(number::GO, name, allocation).await? {
                (Last::Ack, Some(terms)) => return Ok((self.stream, terms)),
                (Last::Ack, None) => return Err(Violation::NoExportInfo.into()),
                (Last::Error(OptionError::Unsupported, _), _) => {}
                (last, _) => last.into_result(number::GO)?,
            }
        }
        self.open_by_name(name, allocation).await
    }

    /// Ends the connection.
    pub async fn abort(mut self) -> Result<(), Error> {
        self.put(number::ABORT, &[]);
        self.send().await?;
        self.stream.shutdown().await.map_err(|error| sent(&error))
    }

    /// Has the server begin TLS. The stream is ready for a TLS client then, and the handshake goes on with
    /// [`secured`](BeforeTls::secured).
    ///
    /// # Errors
    /// [`Error::Option`] if the server does not want to.
    pub async fn start_tls(mut self) -> Result<BeforeTls<S>, Error> {
        self.needs_options(number::STARTTLS)?;
        let last = self.ask(number::STARTTLS, &[], |_, _| Ok(false)).await?;
        last.into_result(number::STARTTLS)?;
        Ok(BeforeTls { stream: self.stream, server: self.server })
    }

    async fn select_allocation(&mut self, name: &str) -> Result<Option<u32>, Error> {
        let data = encode_context_request(name, &[BASE_ALLOCATION]);
        let mut id = None;
        let last = self.ask(number::SET_META_CONTEXT, &data, |reply, data| {
            if reply != ReplyType::MetaContext {
                return Ok(false);
            }
            let (found, context) = decode_context(data)?;
            if context == BASE_ALLOCATION {
                id = Some(found);
            }
            Ok(true)
        });
        let last = last.await?;
        Ok(id.filter(|_| matches!(last, Last::Ack)))
    }

    async fn ask_about(
        &mut self,
        option: u32,
        name: &str,
        allocation: Option<u32>,
    ) -> Result<(Last, Option<Terms>), Error> {
        let asked = [info::NAME, info::DESCRIPTION, info::BLOCK_SIZE];
        let data = encode_info_request(valid(name)?, &asked);
        let (mut export, mut block_size) = (None, None);
        let (mut canonical_name, mut description) = (None, None);
        let last = self.ask(option, &data, |reply, data| {
            if reply != ReplyType::Info {
                return Ok(false);
            }
            match Info::decode(data)? {
                Info::Export(info) => export = Some(info),
                Info::Name(text) => canonical_name = Some(text.to_owned()),
                Info::Description(text) => description = Some(text.to_owned()),
                Info::BlockSize(sizes) => block_size = Some(sizes),
                Info::Unknown(_) => {}
            }
            Ok(true)
        });
        let last = last.await?;
        let terms = export.map(|info| Terms {
            name: name.to_owned(),
            // nbdkit tells an empty one.
            canonical_name: canonical_name.filter(|text| !text.is_empty()),
            description: description.filter(|text| !text.is_empty()),
            info,
            told_block_size: block_size,
            structured: self.structured,
            allocation,
        });
        Ok((last, terms))
    }

    async fn open_by_name(
        mut self,
        name: &str,
        allocation: Option<u32>,
    ) -> Result<(S, Terms), Error> {
        self.put(number::EXPORT_NAME, name.as_bytes());
        self.send().await?;
        let mut info = [0; ExportInfo::LEN];
        self.stream.read_exact(&mut info).await.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Error::cut("the server ended the connection; most likely it has no such export")
            }
            _ => received(&error),
        })?;
        if !self.server.contains(HandshakeFlags::NO_ZEROES) {
            let mut padding = [0; EXPORT_NAME_PADDING];
            self.stream.read_exact(&mut padding).await.map_err(|error| received(&error))?;
        }
        let terms = Terms {
            name: name.to_owned(),
            canonical_name: None,
            description: None,
            info: ExportInfo::decode(&info),
            told_block_size: None,
            structured: self.structured,
            allocation,
        };
        Ok((self.stream, terms))
    }

    /// Sends an option and reads all replies to it. `each` takes those before the last, and says whether they answer this
    /// option.
    async fn ask(
        &mut self,
        option: u32,
        data: &[u8],
        mut each: impl FnMut(ReplyType, &[u8]) -> Result<bool, Error>,
    ) -> Result<Last, Error> {
        self.put(option, data);
        self.send().await?;
        let mut total = 0;
        loop {
            let mut header = [0; OptionReplyHeader::LEN];
            self.stream.read_exact(&mut header).await.map_err(|error| received(&error))?;
            let header = OptionReplyHeader::decode(&header)?;
            if header.option != option {
                return Err(Violation::WrongOption(header.option).into());
            }
            if header.len > MAX_REPLY_DATA {
                return Err(Violation::OptionReplyLength(header.len).into());
            }
            total += OptionReplyHeader::LEN + header.len as usize;
            if total > MAX_REPLIES_DATA {
                return Err(Violation::TooManyOptionReplies.into());
            }
            let mut data = vec![0; header.len as usize];
            self.stream.read_exact(&mut data).await.map_err(|error| received(&error))?;
            match header.reply {
                ReplyType::Ack => return Ok(Last::Ack),
                ReplyType::Error(error) => {
                    return Ok(Last::Error(error, decode_message(&data).to_owned()));
                }
                reply if each(reply, &data)? => {}
                reply => {
                    let reply = reply.code();
                    return Err(Violation::WrongOptionReply { option, reply }.into());
                }
            }
        }
    }

    fn needs_options(&self, option: u32) -> Result<(), Error> {
        match self.is_fixed() {
            true => Ok(()),
            false => Last::Error(OptionError::Unsupported, String::new()).into_result(option),
        }
    }

    fn put(&mut self, option: u32, data: &[u8]) {
        self.out.extend(OptionHeader { number: option, len: data.len() as u32 }.encode());
        self.out.extend_from_slice(data);
    }

    async fn send(&mut self) -> Result<(), Error> {
        self.stream.write_all(&self.out).await.map_err(|error| sent(&error))?;
        self.stream.flush().await.map_err(|error| sent(&error))?;
        self.out.clear();
        Ok(())
    }
}

/// A connection whose next byte belongs to TLS.
#[derive(Debug)]
pub struct BeforeTls<S> {
    stream: S,
    server: HandshakeFlags,
}

impl<S> BeforeTls<S> {
    /// Performs a TLS handshake by `secure`, and goes on inside. What was agreed on before is forgotten.
    ///
    /// # Errors
    /// That of `secure`.
    pub async fn secured<T, F>(self, secure: impl FnOnce(S) -> F) -> Result<Haggling<T>, Error>
    where
        F: Future<Output = io::Result<T>>,
    {
        let stream = secure(self.stream).await;
        let stream = stream.map_err(|error| match error.kind() {
            // What is not the network's fault is what the other side has sent.
            io::ErrorKind::InvalidData => Error::Tls { message: error.to_string() },
            _ => Error::io("TLS with the server failed", &error),
        })?;
        Ok(Haggling { stream, server: self.server, structured: false, out: Vec::new() })
    }
}

impl Last {
    fn into_result(self, option: u32) -> Result<(), Error> {
        match self {
            Self::Ack => Ok(()),
            Self::Error(error, message) => Err(Error::Option { option, error, message }),
        }
    }
}

fn valid(name: &str) -> Result<&str, Error> {
    if is_valid_name(name) { Ok(name) } else { Err(Usage::Name.into()) }
}

fn received(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::cut("the server ended the connection during the handshake")
        }
        _ => Error::io("cannot receive from the server", error),
    }
}

fn sent(error: &io::Error) -> Error {
    Error::io("cannot send to the server", error)
}
