//! Frames that are wrong before anybody looks inside.

use alts_handshaker::{AlertCode, Error, ForeignProtocol, Role};

use crate::peers::{frame, refuses, waiting_for};

#[test]
fn frames_of_the_wrong_kind_in_every_state() {
    for awaited in 0x41..=0x44 {
        for kind in [0, 6, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x4d, 0x4e, 0x50, 0x0100_0041, 0x141]
        {
            // Where there are keys, a sealed alert may come; this one does not open.
            let alert = kind == 0x4e && awaited >= 0x43;
            if kind == awaited || alert {
                continue;
            }
            let bytes = frame(kind, &[0; 64]);
            refuses(awaited, &bytes, AlertCode::UnexpectedMessage);
            refuses(awaited, &bytes[..8], AlertCode::UnexpectedMessage);
            assert!({
                let mut side = waiting_for(awaited);
                side.feed(&bytes[..7]).is_empty() && side.end.is_none()
            });
        }
    }
}

#[test]
fn lengths_that_cannot_be() {
    for awaited in 0x41..=0x44_u32 {
        let header = |length: u32| [length.to_le_bytes(), awaited.to_le_bytes()].concat();
        for length in 0..4 {
            refuses(awaited, &header(length), AlertCode::DecodeError);
        }
        let max = if awaited == 0x41 { 4_092 } else { 32_764 };
        for length in [max + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 4, u32::MAX] {
            refuses(awaited, &header(length), AlertCode::TooLarge);
        }
        let mut side = waiting_for(awaited);
        side.feed(&header(max));
        assert!(side.end.is_none());
    }
}

#[test]
fn messages_of_no_length() {
    for (awaited, code) in [
        (0x41, AlertCode::DecodeError),
        (0x42, AlertCode::DecodeError),
        (0x43, AlertCode::DecryptError),
        (0x44, AlertCode::DecryptError),
    ] {
        refuses(awaited, &frame(awaited, &[]), code);
    }
}

#[test]
fn peers_that_speak_something_else() {
    for role in [Role::Client, Role::Server] {
        let foreign = |bytes: &[u8]| {
            let mut side = waiting_for(if role == Role::Client { 0x42 } else { 0x41 });
            assert_eq!(side.feed(bytes), [], "what we say would not be understood");
            side.error().clone()
        };
        let http2 = Error::Foreign(ForeignProtocol::Http2);
        assert_eq!(foreign(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http2);
        assert_eq!(foreign(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64"), http2);
        let tls = Error::Foreign(ForeignProtocol::Tls);
        assert_eq!(foreign(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), tls);
        assert_eq!(foreign(&[0x15, 3, 3, 0, 2, 2, 70]), tls);
    }
    // Later in the handshake these are just bad frames.
    refuses(0x44, b"PRI * HTTP/2.0\r\n", AlertCode::TooLarge);
    refuses(0x43, &[0x16, 3, 1, 2, 0, 1, 0, 1], AlertCode::TooLarge);
}
