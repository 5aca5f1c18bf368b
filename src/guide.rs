//! A guide: how this crate is built, what it promises, and how to use it well.
//!
//! | page | answers |
//! | --- | --- |
//! | [`architecture`] | which layers there are, and what none of them may know |
//! | [`security`] | what is promised to whom, and what is not |
//! | [`buffers`] | what in a stack holds memory for idle connections, and what to use instead |
//! | [`grpc`] | tonic's services and clients, and gRPC's own ALTS peers |
//! | [`streams`] | many streams in one connection |
//! | [`tunnel`] | how to secure a program that cannot do it itself |
//! | [`migration`] | what to change in a program that uses tokio-rustls |
//! | [`identities`] | certificates from SPIRE, cert-manager, Vault, or a development authority |
//! | [`resumption`] | how clients that come again save the signatures, what that is worth, and to whom |
//! | [`deployment`] | file permissions, limits, rotation, shutdown, what to watch |
//! | [`operation`] | what an operator sees: counters, metrics for Prometheus, log lines |
//! | [`tuning`] | the settings that matter, and when to leave them alone |

#[doc = include_str!("guide/architecture.md")]
pub mod architecture {}

#[doc = include_str!("guide/security.md")]
pub mod security {}

#[doc = include_str!("guide/buffers.md")]
pub mod buffers {}

#[doc = include_str!("guide/grpc.md")]
pub mod grpc {}

#[doc = include_str!("guide/streams.md")]
pub mod streams {}

#[doc = include_str!("guide/tunnel.md")]
pub mod tunnel {}

#[doc = include_str!("guide/migration.md")]
pub mod migration {}

#[doc = include_str!("guide/identities.md")]
pub mod identities {}

#[doc = include_str!("guide/resumption.md")]
pub mod resumption {}

#[doc = include_str!("guide/deployment.md")]
pub mod deployment {}

#[doc = include_str!("guide/operation.md")]
pub mod operation {}

#[doc = include_str!("guide/tuning.md")]
pub mod tuning {}
