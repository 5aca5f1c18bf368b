//! Every number and string of `altsh1`: what the specification (`PROTOCOL.md`) fixes, in one place. Code takes them from
//! here, and the order of the transcript too.

use ring::digest;

use crate::role::Role;
use crate::session::RecordProtocol;

/// The only version so far.
pub(super) const VERSION: u16 = 0x0001;

/// Bytes of SHA-256, of every secret of the schedule, and of a MAC.
pub(super) const HASH_LEN: usize = 32;

/// Length word and type word.
pub(super) const HEADER_LEN: usize = 8;

/// AES-GCM's tag.
pub(super) const TAG_LEN: usize = 16;

/// A whole frame, header included. Room for the longest chain with an RSA signature, and no more than one buffer of the
/// usual size.
pub(super) const MAX_FRAME: usize = 32_768;

/// A whole `ClientInit`. It comes from strangers, and offers are small: real ones have 121 to 220 bytes.
pub(super) const MAX_CLIENT_INIT: usize = 4_096;

/// The bytes of an alert's reason.
pub(super) const MAX_REASON: usize = 120;

/// A whole alert, sealed: header, code, reason with its length, tag.
pub(super) const MAX_ALERT: usize = HEADER_LEN + 2 + 1 + MAX_REASON + TAG_LEN;

/// Versions, suites and signature schemes in an offer.
pub(super) const MAX_NUMBERS: usize = 8;

/// Key shares in an offer. There is no second attempt, so a client may bet on two.
pub(super) const MAX_SHARES: usize = 2;

/// Record protocols in an offer.
pub(super) const MAX_RECORD_PROTOCOLS: usize = 8;

/// Application protocols in an offer.
pub(super) const MAX_APP_PROTOCOLS: usize = 4;

/// Bytes of a protocol's name.
pub(super) const MAX_NAME: usize = 64;

/// Certificates in a chain: a leaf and four intermediates.
pub(super) const MAX_CHAIN: usize = 5;

/// Bytes of one certificate.
pub(super) const MAX_CERTIFICATE: usize = 8 * 1024;

/// Bytes of a chain, the certificates' length prefixes included: leaves room in a frame for the rest of the message.
pub(super) const MAX_CHAIN_BYTES: usize = 24 * 1024;

/// Bytes of a signature that this side makes. RSA with 4,096 bits takes 512.
pub(super) const MAX_SIGNATURE: usize = 1_024;

/// Sealed messages are padded to a multiple of this, which hides how long the identity's name is.
pub(super) const PADDING_UNIT: usize = 512;

/// Bytes of a ticket. The longest name leaves no room for one, and then none is issued.
pub(super) const MAX_TICKET: usize = 1_024;

/// A whole `Ticket`: header, lifetime and ticket padded to three units, tag.
pub(super) const MAX_TICKET_FRAME: usize = HEADER_LEN + 3 * PADDING_UNIT + TAG_LEN;

/// The longest lifetime that a server may tell: a day, in seconds.
pub(super) const MAX_LIFETIME: u32 = 24 * 60 * 60;

/// Set in an extension's type when a peer that does not know it must give up.
pub(super) const EXTENSION_CRITICAL: u16 = 0x8000;

/// Both record layers end each direction with an authenticated empty record. The body is empty.
pub(super) const EXTENSION_CLOSE_NOTIFY: u16 = 0x0001;

/// A ticket, an answer to one, or the next one; each message has its own form.
pub(super) const EXTENSION_RESUMPTION: u16 = 0x0010;

/// What a frame holds: the second word of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum FrameKind {
    ClientInit = 0x41,
    ServerInit = 0x42,
    ServerFinished = 0x43,
    ClientFinished = 0x44,
    Ticket = 0x45,
    SealedAlert = 0x4E,
    Alert = 0x4F,
}

// The first part of every label that keys are derived with is in `labels.rs`: what tickets are sealed under has it, too.

pub(super) const LABEL_DERIVED: &str = "derived";
pub(super) const LABEL_KEY: &str = "key";
pub(super) const LABEL_IV: &str = "iv";
pub(super) const LABEL_ALERT_KEY: &str = "alert key";
pub(super) const LABEL_ALERT_IV: &str = "alert iv";
pub(super) const LABEL_FINISHED: &str = "finished";
pub(super) const LABEL_LOG_ID: &str = "log id";
pub(super) const LABEL_BINDER: &str = "binder";
pub(super) const LABEL_TICKET_KEY: &str = "ticket key";
pub(super) const LABEL_TICKET_IV: &str = "ticket iv";
/// The secret of a ticket that a full handshake issues.
pub(super) const LABEL_RESUMPTION: &str = "res";
/// The secret of a ticket that a resumed handshake issues.
pub(super) const LABEL_NEXT_RESUMPTION: &str = "res next";

/// The label of a side's handshake secret.
pub(super) fn label_handshake(sender: Role) -> &'static str {
    match sender {
        Role::Server => "s hs",
        Role::Client => "c hs",
    }
}

/// The label of the record layer's keys: `"rec "` and the protocol's name, so that no two protocols share keys.
pub(super) fn label_record(protocol: RecordProtocol) -> &'static str {
    match protocol {
        RecordProtocol::Aes128GcmRekey => "rec ALTSRP_GCM_AES128_REKEY",
        RecordProtocol::Aes128Gcm => "rec ALTSRP_GCM_AES128",
    }
}

/// What a signature is made over besides the transcript. Not TLS 1.3's strings, so one key may serve both.
pub(super) fn signature_context(signer: Role) -> &'static str {
    match signer {
        Role::Server => "altsh1 server signature",
        Role::Client => "altsh1 client signature",
    }
}

/// Bytes before the context string of a signature.
pub(super) const SIGNATURE_PAD: [u8; 64] = [0x20; 64];

/// A hash of the transcript.
pub(super) type Hash = [u8; HASH_LEN];

/// A point in the transcript after something was hashed.
pub(super) trait Stage {
    /// The hash of everything up to here.
    fn hash(&self) -> Hash;
}

fn finish(context: &digest::Context) -> Hash {
    let mut hash = [0; HASH_LEN];
    hash.copy_from_slice(context.clone().finish().as_ref());
    hash
}

/// Makes one type per stage of the transcript. Only the next item can be added, and adding it consumes the stage.
macro_rules! transcript {
    ($first:ident; $($(#[$doc:meta])* $from:ident + $item:ident = $to:ident;)+) => {
        /// Nothing has been hashed.
        pub(super) struct $first(digest::Context);

        impl $first {
            pub(super) fn new() -> Self {
                Self(digest::Context::new(&digest::SHA256))
            }
        }

        /// Items and the stages that they lead to, for comparing with the specification.
        #[cfg(test)]
        pub(super) const TRANSCRIPT: &[(&str, &str)] =
            &[$((stringify!($item), stringify!($to))),+];

        $(
            $(#[$doc])*
            pub(super) struct $to(digest::Context);

            impl $from {
                pub(super) fn $item(mut self, bytes: &[u8]) -> $to {
                    self.0.update(bytes);
                    $to(self.0)
                }
            }

            impl Stage for $to {
                fn hash(&self) -> Hash {
                    finish(&self.0)
                }
            }
        )+
    };
}

// Bytes as they were on the wire, after unsealing, with the items' own length prefixes. Of the clear messages the whole
// frames; of the sealed ones neither header nor padding.
transcript! {
    Transcript;
    /// `ClientInit`, the whole frame.
    Transcript + client_init = Th0;
    /// `ServerInit`, the whole frame. The handshake secrets are bound to this.
    Th0 + server_init = Th1;
    /// The server's parameters, chain and signature scheme. What the server signs.
    Th1 + server_statement = Th2;
    /// The server's signature. What the server's MAC is over.
    Th2 + server_signature = Th3;
    /// The server's MAC.
    Th3 + server_mac = Th4;
    /// The client's parameters, chain and signature scheme. What the client signs.
    Th4 + client_statement = Th5;
    /// The client's signature. What the client's MAC is over.
    Th5 + client_signature = Th6;
    /// The client's MAC. The record layer's keys are bound to this.
    Th6 + client_mac = Th7;
}

/// The transcript of a `ClientInit` up to the binder of its ticket. What is before that is hashed once for both.
pub(super) struct Unbound(digest::Context);

impl Transcript {
    pub(super) fn up_to_binder(mut self, before: &[u8]) -> Unbound {
        self.0.update(before);
        Unbound(self.0)
    }
}

impl Unbound {
    /// The hash that the binder is over: of the frame with zeros in the binder's place. `after` is what follows it.
    pub(super) fn hash(&self, after: &[u8]) -> Hash {
        let mut unbound = self.0.clone();
        unbound.update(&[0; HASH_LEN]);
        unbound.update(after);
        finish(&unbound)
    }

    /// The frame as it is sent.
    pub(super) fn client_init(self, binder_and_after: &[u8]) -> Th0 {
        Transcript(self.0).client_init(binder_and_after)
    }
}

// A resumed handshake has neither chains nor signatures. What is absent adds nothing.

impl Th2 {
    /// The server's parameters alone were its statement.
    pub(super) fn no_server_signature(self) -> Th3 {
        Th3(self.0)
    }
}

impl Th5 {
    /// The client's parameters alone were its statement.
    pub(super) fn no_client_signature(self) -> Th6 {
        Th6(self.0)
    }
}
