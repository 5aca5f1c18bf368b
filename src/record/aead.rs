//! AES-128-GCM, computed by *ring* or AWS-LC.

use ring::aead as by_ring;
use ring::error::Unspecified;

#[cfg(feature = "aws-lc-rs")]
use aws_lc_rs::aead as by_aws_lc;

use super::layout::TAG_LEN;

/// Length of an AES-128 key in bytes.
pub(super) const AES_KEY_LEN: usize = 16;
/// Length of GCM's nonce in bytes.
pub(super) const NONCE_LEN: usize = 12;

/// Whose AES-128-GCM protects records. What is on the wire does not depend on it, and the two sides of a connection need not
/// have the same.
///
/// The handshake's cryptography is *ring*'s in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AeadProvider {
    /// *ring*. Always there.
    #[default]
    Ring,
    /// AWS-LC, by way of aws-lc-rs. Much faster with large records on processors with AVX-512; takes a C compiler and a minute
    /// to build. Its expanded keys are on the heap of C.
    ///
    /// Only with the feature `aws-lc-rs`, which changes nothing else: who wants it has to choose it.
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs,
}

impl AeadProvider {
    /// All that this build has, the default first.
    pub const ALL: &'static [Self] = &[
        Self::Ring,
        #[cfg(feature = "aws-lc-rs")]
        Self::AwsLcRs,
    ];
}

/// An expanded key.
#[cfg_attr(
    feature = "aws-lc-rs",
    expect(clippy::large_enum_variant, reason = "the usual one is the large one")
)]
pub(super) enum AeadKey {
    Ring(by_ring::LessSafeKey),
    #[cfg(feature = "aws-lc-rs")]
    AwsLcRs(by_aws_lc::LessSafeKey),
}

impl AeadKey {
    pub(super) fn expand(provider: AeadProvider, key: &[u8; AES_KEY_LEN]) -> Self {
        match provider {
            AeadProvider::Ring => {
                let key = by_ring::UnboundKey::new(&by_ring::AES_128_GCM, key)
                    .expect("an AES-128 key is 16 bytes long");
                Self::Ring(by_ring::LessSafeKey::new(key))
            }
            #[cfg(feature = "aws-lc-rs")]
            AeadProvider::AwsLcRs => {
                let key = by_aws_lc::UnboundKey::new(&by_aws_lc::AES_128_GCM, key)
                    .expect("an AES-128 key is 16 bytes long");
                Self::AwsLcRs(by_aws_lc::LessSafeKey::new(key))
            }
        }
    }

    /// Seals `payload` where it is. `None` if it exceeds GCM's limit of 64 GiB.
    pub(super) fn seal_in_place(
        &self,
        nonce: [u8; NONCE_LEN],
        payload: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Option<()> {
        match self {
            Self::Ring(key) => {
                let nonce = by_ring::Nonce::assume_unique_for_key(nonce);
                let made =
                    key.seal_in_place_separate_tag(nonce, by_ring::Aad::empty(), payload).ok()?;
                tag.copy_from_slice(made.as_ref());
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = by_aws_lc::Nonce::assume_unique_for_key(nonce);
                let made =
                    key.seal_in_place_separate_tag(nonce, by_aws_lc::Aad::empty(), payload).ok()?;
                tag.copy_from_slice(made.as_ref());
            }
        }
        Some(())
    }

    /// Seals `payload` into `sealed`, which is just as long, without a copy in between where the provider can. `None` if it
    /// exceeds GCM's limit.
    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE_LEN],
        payload: &[u8],
        sealed: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Option<()> {
        match self {
            Self::Ring(_) => {
                sealed.copy_from_slice(payload);
                self.seal_in_place(nonce, sealed, tag)
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = by_aws_lc::Nonce::assume_unique_for_key(nonce);
                let aad = by_aws_lc::Aad::empty();
                key.seal_out_of_place_scatter(nonce, aad, payload, sealed, &[], tag).ok()
            }
        }
    }

    /// Opens the ciphertext and tag from `sealed` to the end of `buffer`, and puts the plaintext at the front of it.
    ///
    /// # Errors
    /// If the tag is wrong. What `buffer` holds then means nothing.
    pub(super) fn open_within(
        &self,
        nonce: [u8; NONCE_LEN],
        buffer: &mut [u8],
        sealed: usize,
    ) -> Result<(), Unspecified> {
        match self {
            Self::Ring(key) => {
                let nonce = by_ring::Nonce::assume_unique_for_key(nonce);
                key.open_within(nonce, by_ring::Aad::empty(), buffer, sealed..)?;
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLcRs(key) => {
                let nonce = by_aws_lc::Nonce::assume_unique_for_key(nonce);
                key.open_within(nonce, by_aws_lc::Aad::empty(), buffer, sealed..)
                    .map_err(|_| Unspecified)?;
            }
        }
        Ok(())
    }
}
