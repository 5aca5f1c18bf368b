//! Options: what a client asks for before transmission.

use super::fields::{Fields, join, split, text};
use super::hello::OPTION_MAGIC;
use super::{MAX_STRING, Malformed};

/// The numbers of options.
pub mod number {
    /// Ends the handshake with a name, without any way to answer an error.
    pub const EXPORT_NAME: u32 = 1;
    /// Ends the connection.
    pub const ABORT: u32 = 2;
    /// Lists the exports.
    pub const LIST: u32 = 3;
    /// Begins TLS.
    pub const STARTTLS: u32 = 5;
    /// Asks about an export.
    pub const INFO: u32 = 6;
    /// Asks about an export, and begins transmission.
    pub const GO: u32 = 7;
    /// Agrees on structured replies.
    pub const STRUCTURED_REPLY: u32 = 8;
    /// Lists metadata contexts.
    pub const LIST_META_CONTEXT: u32 = 9;
    /// Selects metadata contexts.
    pub const SET_META_CONTEXT: u32 = 10;
    /// Experimental, and here only for its name: the answer is that it is unknown.
    pub const EXTENDED_HEADERS: u32 = 11;
}

/// What precedes the data of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionHeader {
    /// Which option, of [`number`] or unknown.
    pub number: u32,
    /// How many bytes of data follow.
    pub len: u32,
}

impl OptionHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 16;

    /// Encodes the header.
    pub fn encode(self) -> [u8; Self::LEN] {
        join!(OPTION_MAGIC, self.number, self.len => Self::LEN)
    }

    /// Decodes the header.
    ///
    /// # Errors
    /// [`Malformed::Magic`]: the peer is out of step, and the connection has to be closed.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        split!(bytes => magic: u64, number: u32, len: u32);
        match magic {
            OPTION_MAGIC => Ok(Self { number, len }),
            other => Err(Malformed::Magic(other)),
        }
    }
}

/// An option with its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientOption<'a> {
    /// [`number::EXPORT_NAME`], with the name.
    ExportName(&'a str),
    /// [`number::ABORT`].
    Abort,
    /// [`number::LIST`].
    List,
    /// [`number::STARTTLS`].
    StartTls,
    /// [`number::INFO`].
    Info(InfoRequest<'a>),
    /// [`number::GO`].
    Go(InfoRequest<'a>),
    /// [`number::STRUCTURED_REPLY`].
    StructuredReply,
    /// [`number::LIST_META_CONTEXT`].
    ListMetaContext(ContextRequest<'a>),
    /// [`number::SET_META_CONTEXT`].
    SetMetaContext(ContextRequest<'a>),
    /// Any other number. Its data mean nothing.
    Unknown(u32),
}

impl<'a> ClientOption<'a> {
    /// Decodes the data of the option `number`.
    ///
    /// # Errors
    /// What is wrong with them. The data were delimited by the header, so the next option can be read all the same.
    pub fn decode(number: u32, data: &'a [u8]) -> Result<Self, Malformed> {
        let empty = |option| Fields::new(data).end().map(|()| option);
        match number {
            number::EXPORT_NAME => text(data).map(Self::ExportName),
            // Whatever is there is ignored.
            number::ABORT => Ok(Self::Abort),
            number::LIST => empty(Self::List),
            number::STARTTLS => empty(Self::StartTls),
            number::INFO => InfoRequest::decode(data).map(Self::Info),
            number::GO => InfoRequest::decode(data).map(Self::Go),
            number::STRUCTURED_REPLY => empty(Self::StructuredReply),
            number::LIST_META_CONTEXT => ContextRequest::decode(data).map(Self::ListMetaContext),
            number::SET_META_CONTEXT => ContextRequest::decode(data).map(Self::SetMetaContext),
            other => Ok(Self::Unknown(other)),
        }
    }
}

/// The data of `INFO` and `GO`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InfoRequest<'a> {
    /// The export's name; the empty one stands for the default export.
    pub name: &'a str,
    /// Two bytes for each information that is asked for.
    infos: &'a [u8],
}

impl<'a> InfoRequest<'a> {
    fn decode(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(data);
        let name = fields.long_string()?;
        let count = fields.u16()?;
        let infos = fields.bytes(usize::from(count) * 2)?;
        fields.end()?;
        Ok(Self { name, infos })
    }

    /// The numbers of the informations that are asked for, of [`info`](super::option_reply::info) or unknown.
    pub fn infos(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.infos.chunks_exact(2).map(|info| u16::from_be_bytes([info[0], info[1]]))
    }

    /// Whether this information is asked for.
    pub fn asks_for(&self, info: u16) -> bool {
        self.infos().any(|asked| asked == info)
    }
}

/// Encodes the data of `INFO` and `GO`.
pub fn encode_info_request(name: &str, infos: &[u16]) -> Vec<u8> {
    let mut data = Vec::with_capacity(6 + name.len() + infos.len() * 2);
    put_string(&mut data, name);
    data.extend((infos.len() as u16).to_be_bytes());
    data.extend(infos.iter().flat_map(|info| info.to_be_bytes()));
    data
}

/// The data of `LIST_META_CONTEXT` and `SET_META_CONTEXT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextRequest<'a> {
    /// The export's name.
    pub name: &'a str,
    /// How many queries there are. None lists everything, and selects nothing.
    pub count: u32,
    /// Checked: strings, one after another.
    queries: &'a [u8],
}

impl<'a> ContextRequest<'a> {
    fn decode(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(data);
        let name = fields.long_string()?;
        let count = fields.u32()?;
        let queries = fields.rest();
        // Each takes four bytes at least, so the data limit the loop.
        for _ in 0..count {
            fields.long_string()?;
        }
        fields.end()?;
        Ok(Self { name, count, queries })
    }

    /// The queries.
    pub fn queries(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut fields = Fields::new(self.queries);
        std::iter::from_fn(move || fields.long_string().ok())
    }
}

/// Encodes the data of `LIST_META_CONTEXT` and `SET_META_CONTEXT`.
pub fn encode_context_request(name: &str, queries: &[&str]) -> Vec<u8> {
    let mut data = Vec::new();
    put_string(&mut data, name);
    data.extend((queries.len() as u32).to_be_bytes());
    for query in queries {
        put_string(&mut data, query);
    }
    data
}

/// Whether a name may be sent as a string of the protocol.
pub fn is_valid_name(name: &str) -> bool {
    name.len() <= MAX_STRING && !name.contains('\0')
}

fn put_string(data: &mut Vec<u8>, string: &str) {
    data.extend((string.len() as u32).to_be_bytes());
    data.extend_from_slice(string.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let header = OptionHeader { number: number::GO, len: 12 };
        let bytes = header.encode();
        assert_eq!(bytes, *b"IHAVEOPT\0\0\0\x07\0\0\0\x0c");
        assert_eq!(OptionHeader::decode(&bytes), Ok(header));
        assert!(matches!(OptionHeader::decode(&[1; 16]), Err(Malformed::Magic(_))));
    }

    #[test]
    fn options_without_data_take_none() {
        for (number, option) in [
            (number::LIST, ClientOption::List),
            (number::STARTTLS, ClientOption::StartTls),
            (number::STRUCTURED_REPLY, ClientOption::StructuredReply),
        ] {
            assert_eq!(ClientOption::decode(number, b""), Ok(option));
            assert_eq!(ClientOption::decode(number, b"x"), Err(Malformed::Length));
        }
        assert_eq!(ClientOption::decode(number::ABORT, b"bye"), Ok(ClientOption::Abort));
        for unknown in [0, 4, number::EXTENDED_HEADERS, 12, u32::MAX] {
            assert_eq!(ClientOption::decode(unknown, b"?"), Ok(ClientOption::Unknown(unknown)));
        }
    }

    #[test]
    fn names() {
        let decode = |name: &'static [u8]| ClientOption::decode(number::EXPORT_NAME, name);
        assert_eq!(decode(b"disk"), Ok(ClientOption::ExportName("disk")));
        assert_eq!(decode(b""), Ok(ClientOption::ExportName("")));
        assert_eq!(decode(b"a\0"), Err(Malformed::String));
        assert_eq!(decode(&[0xc3]), Err(Malformed::String));
        assert_eq!(decode(&[b'x'; MAX_STRING + 1]), Err(Malformed::String));
    }

    #[test]
    fn every_length_of_an_info_request_is_checked() {
        let data = encode_info_request("disk", &[3, 1, 2]);
        assert_eq!(data, b"\0\0\0\x04disk\0\x03\0\x03\0\x01\0\x02");
        let Ok(ClientOption::Go(request)) = ClientOption::decode(number::GO, &data) else {
            panic!("{data:?} is a request")
        };
        assert_eq!(request.name, "disk");
        assert!(request.infos().eq([3, 1, 2]));
        assert!(request.asks_for(2) && !request.asks_for(0));
        for len in 0..data.len() {
            assert_eq!(ClientOption::decode(number::INFO, &data[..len]), Err(Malformed::Length));
        }
        let mut longer = data.clone();
        longer.push(0);
        assert_eq!(ClientOption::decode(number::GO, &longer), Err(Malformed::Length));
        let mut huge = data;
        huge[..4].fill(0xff);
        assert_eq!(ClientOption::decode(number::GO, &huge), Err(Malformed::Length));
    }

    #[test]
    fn every_length_of_a_context_request_is_checked() {
        fn decode(data: &[u8]) -> Result<ClientOption<'_>, Malformed> {
            ClientOption::decode(number::SET_META_CONTEXT, data)
        }

        let data = encode_context_request("disk", &["base:allocation", "x:"]);
        let Ok(ClientOption::SetMetaContext(request)) = decode(&data) else {
            panic!("{data:?} is a request")
        };
        assert_eq!((request.name, request.count), ("disk", 2));
        assert!(request.queries().eq(["base:allocation", "x:"]));
        for len in 0..data.len() {
            assert_eq!(decode(&data[..len]), Err(Malformed::Length), "{len}");
        }
        let mut more = data.clone();
        more[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
        assert_eq!(decode(&more), Err(Malformed::Length));
        more[8..12].copy_from_slice(&1_u32.to_be_bytes());
        assert_eq!(decode(&more), Err(Malformed::Length));
    }
}
