//! Why a stream or a connection ends.

use std::fmt;

/// An error code of `RST_STREAM` and GOAWAY (RFC 9113, section 7). Unknown ones are kept as they came.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl ErrorCode {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// The name that RFC 9113 gives it.
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($number => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    /// Nothing went wrong.
    NO_ERROR = 0;
    /// The peer broke the protocol.
    PROTOCOL_ERROR = 1;
    /// Something failed inside the sender.
    INTERNAL_ERROR = 2;
    /// The peer sent more than the window allowed.
    FLOW_CONTROL_ERROR = 3;
    /// Settings were not acknowledged in time.
    SETTINGS_TIMEOUT = 4;
    /// A frame came for a stream whose sender had finished.
    STREAM_CLOSED = 5;
    /// A frame has a size that its kind does not allow.
    FRAME_SIZE_ERROR = 6;
    /// The stream was not processed; the request can be sent again.
    REFUSED_STREAM = 7;
    /// The stream is no longer needed.
    CANCEL = 8;
    /// Compressed header fields cannot be decoded.
    COMPRESSION_ERROR = 9;
    /// The connection made for a CONNECT request failed.
    CONNECT_ERROR = 10;
    /// The peer causes more load than this side is willing to bear.
    ENHANCE_YOUR_CALM = 11;
    /// The transport is not secure enough.
    INADEQUATE_SECURITY = 12;
    /// HTTP/1.1 is asked for.
    HTTP_1_1_REQUIRED = 13;
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
