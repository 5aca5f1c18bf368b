//! Messages and services of gRPC's interoperability tests, as generated.
#![expect(
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "the generator's style"
)]

include!("proto/generated.rs");
