//! What is measured: the lines of the table.

/// Whose HTTP/2 it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Http2 {
    /// tonic's own.
    Hyper,
    Alts,
    /// None: the connection by itself.
    None,
}

/// What is under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Alts,
    /// tokio-rustls, with certificates on both sides.
    Tls,
}

/// Whose end is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Server,
    Client,
}

/// A line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) http2: Http2,
    pub(crate) transport: Transport,
    pub(crate) end: End,
    pub(crate) name: &'static str,
    /// On the command line of the process that measures it.
    pub(crate) argument: &'static str,
}

pub(crate) const ROWS: [Row; 10] = [
    row(Http2::Hyper, Transport::Tcp, End::Server, "tonic on hyper, plain TCP", "hyper-tcp"),
    row(Http2::Hyper, Transport::Alts, End::Server, "tonic on hyper, ALTS", "hyper-alts"),
    row(Http2::Hyper, Transport::Tls, End::Server, "tonic on hyper, mutual TLS", "hyper-tls"),
    row(Http2::Hyper, Transport::Tcp, End::Client, "tonic on hyper, TCP, client", "hyper-client"),
    row(Http2::Alts, Transport::Tcp, End::Server, "alts::http2, plain TCP", "own-tcp"),
    row(Http2::Alts, Transport::Alts, End::Server, "alts::http2, ALTS", "own-alts"),
    row(Http2::Alts, Transport::Tls, End::Server, "alts::http2, mutual TLS", "own-tls"),
    row(Http2::Alts, Transport::Tcp, End::Client, "alts::http2, TCP, client", "own-client"),
    row(Http2::None, Transport::Tcp, End::Server, "a socket alone", "socket"),
    row(Http2::None, Transport::Tls, End::Server, "a socket with mutual TLS alone", "tls"),
];

const fn row(
    http2: Http2,
    transport: Transport,
    end: End,
    name: &'static str,
    argument: &'static str,
) -> Row {
    Row { http2, transport, end, name, argument }
}

impl Row {
    pub(crate) fn called(argument: &str) -> Self {
        let row = ROWS.into_iter().find(|row| row.argument == argument);
        row.unwrap_or_else(|| panic!("no row is called {argument}"))
    }
}
