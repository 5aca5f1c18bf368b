//! A server by hand: it sends what it is told, and checks that what comes is a message.

use alts_nbd::client::{Client, Error, Settings};
use alts_nbd::wire::flags::{HandshakeFlags, TransmissionFlags};
use alts_nbd::wire::hello::{CLIENT_FLAGS_LEN, Hello};
use alts_nbd::wire::option::{OptionHeader, number};
use alts_nbd::wire::option_reply::{
    ExportInfo, Info, OptionError, ReplyType, encode_context, put_reply,
};
use alts_nbd::wire::request::Request;
use alts_nbd::wire::{BASE_ALLOCATION, option_reply::BlockSize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// The size of the export.
pub(crate) const SIZE: u64 = 1 << 30;
/// The id that `base:allocation` gets.
pub(crate) const CONTEXT: u32 = 7;

pub(crate) struct Server(pub(crate) UnixStream);

/// A connection, and a server at its other end that has sent its hello.
pub(crate) async fn pair() -> (UnixStream, Server) {
    let (near, far) = UnixStream::pair().unwrap();
    let mut server = Server(far);
    server.send(&Hello { flags: HandshakeFlags::ALL }.encode()).await;
    (near, server)
}

/// What this server says of its export.
pub(crate) fn export_info() -> ExportInfo {
    let flags = TransmissionFlags::ALL.without(TransmissionFlags::READ_ONLY);
    ExportInfo { size: SIZE, flags }
}

/// A client in transmission, with or without structured replies.
pub(crate) async fn connected(structured: bool) -> (Client, Server) {
    connected_with(structured, Settings::default()).await
}

pub(crate) async fn connected_with(structured: bool, settings: Settings) -> (Client, Server) {
    let (near, mut server) = pair().await;
    let client = tokio::spawn(Client::over(near, "disk", settings));
    server.agree(structured).await;
    (client.await.unwrap().unwrap(), server)
}

impl Server {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn flags(&mut self) {
        let mut flags = [0; CLIENT_FLAGS_LEN];
        self.0.read_exact(&mut flags).await.unwrap();
        assert_eq!(flags, [0, 0, 0, 3]);
    }

    /// The next option, and its data.
    pub(crate) async fn option(&mut self) -> (u32, Vec<u8>) {
        let mut header = [0; OptionHeader::LEN];
        self.0.read_exact(&mut header).await.unwrap();
        let header = OptionHeader::decode(&header).unwrap();
        let mut data = vec![0; header.len as usize];
        self.0.read_exact(&mut data).await.unwrap();
        (header.number, data)
    }

    pub(crate) async fn reply(&mut self, option: u32, reply: ReplyType, data: &[u8]) {
        let mut out = Vec::new();
        put_reply(&mut out, option, reply, data);
        self.send(&out).await;
    }

    /// The rest of a handshake, up to transmission.
    pub(crate) async fn agree(&mut self, structured: bool) {
        self.flags().await;
        loop {
            let (option, _) = self.option().await;
            match option {
                number::STRUCTURED_REPLY if !structured => {
                    self.reply(option, ReplyType::Error(OptionError::Unsupported), b"").await;
                    continue;
                }
                number::SET_META_CONTEXT => {
                    let context = encode_context(CONTEXT, BASE_ALLOCATION);
                    self.reply(option, ReplyType::MetaContext, &context).await;
                }
                number::GO => {
                    let info = Info::Export(export_info()).encode();
                    self.reply(option, ReplyType::Info, &info).await;
                    let sizes = BlockSize::new(512, 4096, 1 << 25).unwrap();
                    self.reply(option, ReplyType::Info, &Info::BlockSize(sizes).encode()).await;
                }
                _ => {}
            }
            self.reply(option, ReplyType::Ack, b"").await;
            if option == number::GO {
                return;
            }
        }
    }

    /// The next request, and its payload.
    pub(crate) async fn request(&mut self) -> (Request, Vec<u8>) {
        let mut bytes = [0; Request::LEN];
        self.0.read_exact(&mut bytes).await.unwrap();
        let request = Request::decode(&bytes).unwrap();
        let mut payload = vec![0; request.payload_len() as usize];
        self.0.read_exact(&mut payload).await.unwrap();
        (request, payload)
    }

    /// The client ends the connection, and says nothing before.
    pub(crate) async fn is_dropped(&mut self) {
        let mut rest = Vec::new();
        // Bytes that the client did not read any more make it a reset.
        let _ = self.0.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{rest:02x?}");
    }
}

/// The violation of an error.
#[track_caller]
pub(crate) fn violation(error: Error) -> alts_nbd::client::Violation {
    match error {
        Error::Violation(violation) => violation,
        other => panic!("not a violation: {other:?}"),
    }
}
