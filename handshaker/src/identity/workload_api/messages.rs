//! The messages of `SpiffeWorkloadAPI` that are used, by the field numbers of `workloadapi.proto`.

use std::collections::BTreeMap;
use std::fmt;

use zeroize::Zeroize;

/// Asks for SVIDs.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct X509SvidRequest {}

/// Everything that the workload is and whom it trusts.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct X509SvidResponse {
    /// The first is the default.
    #[prost(message, repeated, tag = "1")]
    pub(super) svids: Vec<X509Svid>,
    /// Revocation lists, DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) crl: Vec<Vec<u8>>,
    /// Bundles of other trust domains, by the domain's SPIFFE ID.
    #[prost(btree_map = "string, bytes", tag = "3")]
    pub(super) federated_bundles: BTreeMap<String, Vec<u8>>,
}

/// One identity.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct X509Svid {
    /// Its name.
    #[prost(string, tag = "1")]
    pub(super) spiffe_id: String,
    /// The chain, DER, one certificate behind the other, the leaf first.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) chain: Vec<u8>,
    /// The leaf's key, PKCS#8.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) key: Vec<u8>,
    /// The authorities of its trust domain, DER, one behind the other.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) bundle: Vec<u8>,
    /// What it is for, by its operator.
    #[prost(string, tag = "5")]
    pub(super) hint: String,
}

impl fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("X509Svid")
            .field("spiffe_id", &self.spiffe_id)
            .field("key", &format_args!("{} bytes", self.key.len()))
            .field("hint", &self.hint)
            .finish_non_exhaustive()
    }
}

impl Drop for X509Svid {
    /// Wipes the key. What gRPC has copied into its buffers is out of reach.
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// Asks for bundles.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct X509BundlesRequest {}

/// Whom the workload trusts.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct X509BundlesResponse {
    /// Revocation lists, DER.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) crl: Vec<Vec<u8>>,
    /// Bundles, by the domain's SPIFFE ID.
    #[prost(btree_map = "string, bytes", tag = "2")]
    pub(super) bundles: BTreeMap<String, Vec<u8>>,
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    /// By the numbers of the published proto: a field is the number times eight plus two, a length, and the bytes.
    #[test]
    fn fields_have_the_published_numbers() {
        let svid = b"\x0a\x01i\x12\x01c\x1a\x01k\x22\x01b\x2a\x01h";
        let federated = b"\x0a\x01d\x12\x01f";
        let answer = [b"\x0a\x0f", &svid[..], b"\x12\x01l\x1a\x06", federated].concat();
        let read = X509SvidResponse::decode(&answer[..]).unwrap();
        let X509SvidResponse { svids, crl, federated_bundles } = &read;
        assert_eq!(svids[0].spiffe_id, "i");
        assert_eq!(svids[0].chain, b"c");
        assert_eq!(svids[0].key, b"k");
        assert_eq!(svids[0].bundle, b"b");
        assert_eq!(svids[0].hint, "h");
        assert_eq!(*crl, [b"l"]);
        assert_eq!(federated_bundles["d"], b"f");
        assert_eq!(read.encode_to_vec(), answer);

        let bundles = [b"\x0a\x01l\x12\x06", &federated[..]].concat();
        let read = X509BundlesResponse::decode(&bundles[..]).unwrap();
        assert_eq!((&*read.crl, &*read.bundles["d"]), (&[b"l".to_vec()][..], &b"f"[..]));
        assert_eq!(read.encode_to_vec(), bundles);
    }

    #[test]
    fn keys_are_not_printed() {
        let mut svid = X509Svid::default();
        svid.key = vec![0xab; 44];
        let printed = format!("{:?}", X509SvidResponse { svids: vec![svid], ..Default::default() });
        assert!(printed.contains("44 bytes"), "{printed}");
        assert!(!printed.contains("171") && !printed.contains("ab, "), "{printed}");
    }

    /// The memory is looked at from outside, as a debugger would. It is free then, and something else may be there already.
    #[cfg(target_os = "linux")]
    #[test]
    fn keys_are_wiped() {
        use std::os::unix::fs::FileExt;

        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut svid = X509Svid::default();
        svid.key = vec![0xab; 4_096];
        let address = svid.key.as_ptr().addr() as u64;
        let mut bytes = [0; 4_096];
        memory.read_exact_at(&mut bytes, address).unwrap();
        assert_eq!(bytes, [0xab; 4_096]);
        drop(svid);
        if memory.read_exact_at(&mut bytes, address).is_ok() {
            assert!(!bytes.windows(16).any(|window| window == [0xab; 16]));
        }
    }
}
