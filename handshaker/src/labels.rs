//! Keys from secrets by label: HKDF-Expand-Label of RFC 8446, section 7.1, under this protocol's prefix.

use ring::error::Unspecified;
use ring::hkdf;

/// The first part of every label that keys are derived with.
pub(crate) const LABEL_PREFIX: &[u8] = b"altsh1 ";

/// A secret, ready to be expanded. It holds a copy that *ring* does not wipe, so it is not kept.
pub(crate) struct Expander(hkdf::Prk);

/// The length of a key as *ring* wants it.
struct OutputLen(usize);

impl hkdf::KeyType for OutputLen {
    fn len(&self) -> usize {
        self.0
    }
}

impl Expander {
    pub(crate) fn of(secret: &[u8; 32]) -> Self {
        Self(hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret))
    }

    /// HKDF-Expand-Label into all of `out`.
    pub(crate) fn expand(&self, label: &str, context: &[u8], out: &mut [u8]) {
        let length = (out.len() as u16).to_be_bytes();
        let label_length = [(LABEL_PREFIX.len() + label.len()) as u8];
        let context_length = [context.len() as u8];
        let info =
            [&length[..], &label_length, LABEL_PREFIX, label.as_bytes(), &context_length, context];
        self.expand_info(&info, out).expect("every output is far below 255 blocks");
    }

    /// HKDF-Expand, over the concatenation of `info`.
    pub(crate) fn expand_info(&self, info: &[&[u8]], out: &mut [u8]) -> Result<(), Unspecified> {
        self.0.expand(info, OutputLen(out.len())).and_then(|okm| okm.fill(out))
    }
}
