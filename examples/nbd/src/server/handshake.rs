//! The handshake over a stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::{ConnectionError, Shared};
use crate::export::Exports;
#[cfg(not(feature = "tls"))]
use crate::negotiation::TlsMode;
use crate::negotiation::{Admission, Agreed, Negotiation, Next};
use crate::wire::hello::CLIENT_FLAGS_LEN;
use crate::wire::option::OptionHeader;

/// How a handshake ended.
pub(super) enum Outcome<S> {
    Aborted,
    Plain(S, Agreed),
    #[cfg(feature = "tls")]
    Secured(Box<tokio_rustls::server::TlsStream<S>>, Agreed),
}

/// What comes after the options of one stream.
enum End {
    Close,
    Transmit(Agreed),
    StartTls,
}

impl Shared {
    pub(super) async fn handshake<S>(
        &self,
        stream: S,
        exports: &Exports,
    ) -> Result<Outcome<S>, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = self.negotiate(stream, exports);
        match timeout(self.settings.handshake_timeout, handshake).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ConnectionError::HandshakeTimeout),
        }
    }

    async fn negotiate<S>(
        &self,
        mut stream: S,
        exports: &Exports,
    ) -> Result<Outcome<S>, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        #[cfg(feature = "tls")]
        let tls = self.tls_mode();
        #[cfg(not(feature = "tls"))]
        let tls = TlsMode::Unavailable;
        let mut negotiation = Negotiation::new(exports, tls);
        stream.write_all(&Negotiation::hello()).await?;
        stream.flush().await?;
        let mut flags = [0; CLIENT_FLAGS_LEN];
        stream.read_exact(&mut flags).await?;
        negotiation.client_flags(flags)?;
        match self.options(&mut stream, &mut negotiation).await? {
            End::Close => Ok(Outcome::Aborted),
            End::Transmit(agreed) => Ok(Outcome::Plain(stream, agreed)),
            End::StartTls => self.secure(stream, negotiation).await,
        }
    }

    #[cfg(feature = "tls")]
    async fn secure<S>(
        &self,
        stream: S,
        negotiation: Negotiation<'_>,
    ) -> Result<Outcome<S>, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(tls) = &self.settings.tls else {
            return Err(io::Error::from(io::ErrorKind::Unsupported).into());
        };
        // Nothing was read ahead: plaintext that the client sent after the option is read as TLS, and fails.
        let mut stream = Box::new(tls.acceptor.accept(stream).await?);
        let mut negotiation = negotiation.secured();
        match self.options(&mut stream, &mut negotiation).await? {
            End::Close => Ok(Outcome::Aborted),
            End::Transmit(agreed) => Ok(Outcome::Secured(stream, agreed)),
            End::StartTls => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn secure<S>(
        &self,
        _stream: S,
        _negotiation: Negotiation<'_>,
    ) -> Result<Outcome<S>, ConnectionError> {
        // The negotiation was told that there is none.
        std::future::ready(Err(io::Error::from(io::ErrorKind::Unsupported).into())).await
    }

    async fn options<S>(
        &self,
        stream: &mut S,
        negotiation: &mut Negotiation<'_>,
    ) -> Result<End, ConnectionError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let (mut data, mut out) = (Vec::new(), Vec::new());
        loop {
            let mut header = [0; OptionHeader::LEN];
            match stream.read_exact(&mut header).await {
                // A client may close the connection between two options.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Ok(End::Close);
                }
                result => result?,
            };
            let header = OptionHeader::decode(&header)?;
            let next = match negotiation.admit(header, &mut out)? {
                Admission::Skip => {
                    skip(stream, header.len).await?;
                    Next::Option
                }
                Admission::Read => {
                    // It grows with what arrives, not with what was announced.
                    data.clear();
                    let read =
                        (&mut *stream).take(header.len.into()).read_to_end(&mut data).await?;
                    if read < header.len as usize {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                    negotiation.option(header.number, &data, self.is_draining(), &mut out)?
                }
            };
            stream.write_all(&out).await?;
            stream.flush().await?;
            out.clear();
            match next {
                Next::Option => {}
                Next::StartTls => return Ok(End::StartTls),
                Next::Transmit(agreed) => return Ok(End::Transmit(agreed)),
                Next::Close => {
                    stream.shutdown().await?;
                    return Ok(End::Close);
                }
            }
        }
    }
}

/// Reads data away without holding them.
async fn skip<S: AsyncRead + Unpin>(stream: &mut S, len: u32) -> io::Result<()> {
    let mut left = len as usize;
    let mut buf = [0; 512];
    while left > 0 {
        let piece = left.min(buf.len());
        match stream.read(&mut buf[..piece]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => left -= read,
        }
    }
    Ok(())
}
