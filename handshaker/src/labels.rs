//! Keys from secrets by label: HKDF-Expand-Label of RFC 8446, section 7.1, under this protocol's prefix.

use ring::error::Unspecified;
use ring::hmac;

/// The first part of every label that keys are derived with.
pub(crate) const LABEL_PREFIX: &[u8] = b"altsh1 ";

/// Bytes of an HMAC.
const TAG_LEN: usize = 32;
/// Room for the longest label with a hash as its context, and the counter: 72 bytes.
const MAX_INFO: usize = 80;

/// A secret, ready to be expanded. It holds a copy that *ring* does not wipe, so it is not kept.
pub(crate) struct Expander(hmac::Key);

impl Expander {
    pub(crate) fn of(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// HKDF-Expand-Label into all of `out`.
    pub(crate) fn expand(&self, label: &str, context: &[u8], out: &mut [u8]) {
        let length = (out.len() as u16).to_be_bytes();
        let label_length = [(LABEL_PREFIX.len() + label.len()) as u8];
        let context_length = [context.len() as u8];
        let parts =
            [&length[..], &label_length, LABEL_PREFIX, label.as_bytes(), &context_length, context];
        // One piece is hashed faster than many.
        let mut info = [0; MAX_INFO];
        let mut end = 0;
        for part in parts {
            info[end..end + part.len()].copy_from_slice(part);
            end += part.len();
        }
        self.expand_info(&mut info[..=end], out).expect("every output is far below 255 blocks");
    }

    /// HKDF-Expand into all of `out`. The last byte of `info` is the counter's place.
    pub(crate) fn expand_info(&self, info: &mut [u8], out: &mut [u8]) -> Result<(), Unspecified> {
        let mut done = 0;
        for counter in 1..=u8::MAX {
            *info.last_mut().expect("there is a place for the counter") = counter;
            let (before, rest) = out.split_at_mut(done);
            let tag = match before.last_chunk::<TAG_LEN>() {
                None => hmac::sign(&self.0, info),
                Some(last) => {
                    let mut context = hmac::Context::with_key(&self.0);
                    context.update(last);
                    context.update(info);
                    context.sign()
                }
            };
            let count = rest.len().min(TAG_LEN);
            rest[..count].copy_from_slice(&tag.as_ref()[..count]);
            done += count;
            if done == out.len() {
                return Ok(());
            }
        }
        Err(Unspecified)
    }
}
