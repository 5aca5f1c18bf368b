//! SETTINGS: how the sender wants to be talked to.

use super::{
    DEFAULT_MAX_FRAME_SIZE, ErrorCode, Head, Kind, LARGEST_FRAME_SIZE, LARGEST_WINDOW, Violation,
    flag, u32_at,
};

/// One parameter (RFC 9113, section 6.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names are RFC 9113's")]
pub enum Setting {
    /// Bytes, as HPACK counts them.
    HeaderTableSize(u32),
    EnablePush(bool),
    MaxConcurrentStreams(u32),
    /// Bytes, at most 2^31 - 1.
    InitialWindowSize(u32),
    /// Bytes, from 2^14 to 2^24 - 1.
    MaxFrameSize(u32),
    /// Bytes of names and values, and 32 for each field.
    MaxHeaderListSize(u32),
    /// To be ignored by who does not know it.
    Unknown(u16, u32),
}

impl Setting {
    fn checked(id: u16, value: u32) -> Result<Self, Violation> {
        Ok(match id {
            1 => Self::HeaderTableSize(value),
            2 if value > 1 => {
                return Err(Violation::protocol("SETTINGS_ENABLE_PUSH is neither 0 nor 1"));
            }
            2 => Self::EnablePush(value == 1),
            3 => Self::MaxConcurrentStreams(value),
            4 if value > LARGEST_WINDOW => {
                return Err(Violation::connection(
                    ErrorCode::FLOW_CONTROL_ERROR,
                    "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31 - 1",
                ));
            }
            4 => Self::InitialWindowSize(value),
            5 if !(DEFAULT_MAX_FRAME_SIZE..=LARGEST_FRAME_SIZE).contains(&value) => {
                return Err(Violation::protocol("SETTINGS_MAX_FRAME_SIZE is out of its range"));
            }
            5 => Self::MaxFrameSize(value),
            6 => Self::MaxHeaderListSize(value),
            id => Self::Unknown(id, value),
        })
    }

    fn parts(self) -> (u16, u32) {
        match self {
            Self::HeaderTableSize(value) => (1, value),
            Self::EnablePush(value) => (2, value.into()),
            Self::MaxConcurrentStreams(value) => (3, value),
            Self::InitialWindowSize(value) => (4, value),
            Self::MaxFrameSize(value) => (5, value),
            Self::MaxHeaderListSize(value) => (6, value),
            Self::Unknown(id, value) => (id, value),
        }
    }
}

/// A SETTINGS frame (RFC 9113, section 6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settings<'p> {
    /// The receiver's settings are in force at the sender.
    Ack,
    /// The sender's settings: see [`iter`](Self::iter).
    Of(&'p [u8]),
}

impl<'p> Settings<'p> {
    /// Bytes of one parameter.
    const LEN: usize = 6;

    /// Reads a payload, and checks every parameter.
    pub fn parse(head: &Head, payload: &'p [u8]) -> Result<Self, Violation> {
        head.on_connection("SETTINGS on a stream")?;
        if head.has(flag::ACK) {
            return match payload {
                [] => Ok(Self::Ack),
                _ => Err(Violation::size("an acknowledgment of SETTINGS has a payload")),
            };
        }
        if !payload.len().is_multiple_of(Self::LEN) {
            return Err(Violation::size("SETTINGS are not a multiple of 6 bytes"));
        }
        for each in payload.chunks_exact(Self::LEN) {
            Setting::checked(u16::from_be_bytes([each[0], each[1]]), u32_at(each, 2))?;
        }
        Ok(Self::Of(payload))
    }

    /// The parameters, in the order in which they apply.
    pub fn iter(self) -> impl Iterator<Item = Setting> + use<'p> {
        let payload = match self {
            Self::Ack => &[],
            Self::Of(payload) => payload,
        };
        payload.chunks_exact(Self::LEN).filter_map(|each| {
            Setting::checked(u16::from_be_bytes([each[0], each[1]]), u32_at(each, 2)).ok()
        })
    }

    /// Appends a frame with these parameters.
    pub fn write(settings: &[Setting], out: &mut Vec<u8>) {
        let len = (settings.len() * Self::LEN) as u32;
        Head { len, kind: Kind::Settings, flags: 0, stream: 0 }.write(out);
        for setting in settings {
            let (id, value) = setting.parts();
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&value.to_be_bytes());
        }
    }

    /// Appends an acknowledgment.
    pub fn write_ack(out: &mut Vec<u8>) {
        Head { len: 0, kind: Kind::Settings, flags: flag::ACK, stream: 0 }.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_the_wire() {
        let settings = [
            Setting::HeaderTableSize(0),
            Setting::EnablePush(false),
            Setting::MaxConcurrentStreams(u32::MAX),
            Setting::InitialWindowSize(LARGEST_WINDOW),
            Setting::MaxFrameSize(LARGEST_FRAME_SIZE),
            Setting::MaxHeaderListSize(7),
            Setting::Unknown(0x99, 1),
        ];
        let mut out = Vec::new();
        Settings::write(&settings, &mut out);
        let (head, payload) = out.split_first_chunk().unwrap();
        let parsed = Settings::parse(&Head::parse(head), payload).unwrap();
        assert!(parsed.iter().eq(settings));
    }

    #[test]
    fn values_out_of_range() {
        for (setting, code) in [
            (Setting::Unknown(2, 2), ErrorCode::PROTOCOL_ERROR),
            (Setting::InitialWindowSize(1 << 31), ErrorCode::FLOW_CONTROL_ERROR),
            (Setting::MaxFrameSize(16_383), ErrorCode::PROTOCOL_ERROR),
            (Setting::MaxFrameSize(1 << 24), ErrorCode::PROTOCOL_ERROR),
        ] {
            let mut out = Vec::new();
            Settings::write(&[setting], &mut out);
            let (head, payload) = out.split_first_chunk().unwrap();
            assert_eq!(Settings::parse(&Head::parse(head), payload).unwrap_err().code, code);
        }
    }

    #[test]
    fn sizes() {
        let head = |flags| Head { len: 0, kind: Kind::Settings, flags, stream: 0 };
        assert_eq!(Settings::parse(&head(flag::ACK), &[]), Ok(Settings::Ack));
        for (flags, len) in [(flag::ACK, 6), (0, 5), (0, 7)] {
            let refused = Settings::parse(&head(flags), &vec![0; len]).unwrap_err();
            assert_eq!(refused.code, ErrorCode::FRAME_SIZE_ERROR);
        }
    }
}
