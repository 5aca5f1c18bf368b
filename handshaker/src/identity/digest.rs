//! SHA-256 digests, by which certificates and bundles are told apart.

use ring::digest::{Context, SHA256, digest};

/// A SHA-256 digest.
pub(super) type Digest = [u8; 32];

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut output = Digest::default();
    output.copy_from_slice(digest(&SHA256, bytes).as_ref());
    output
}

pub(super) fn finish(context: Context) -> Digest {
    let mut output = Digest::default();
    output.copy_from_slice(context.finish().as_ref());
    output
}

/// The digest of a list of texts, divided as they are.
pub(super) fn sha256_of_all<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Digest {
    let mut context = Context::new(&SHA256);
    for text in texts {
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text);
    }
    finish(context)
}
