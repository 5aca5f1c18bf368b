//! A guide: how this crate is built, what it promises, and how to use it well.
//!
//! | page | answers |
//! | --- | --- |
//! | [`architecture`] | which layers there are, and what none of them may know |
//! | [`security`] | what is promised to whom, and what is not |
//! | [`buffers`] | what in a stack holds memory for idle connections, and what to use instead |
//! | [`migration`] | what to change in a program that uses tokio-rustls |
//! | [`identities`] | certificates from SPIRE, cert-manager, Vault, or a development authority |
//! | [`deployment`] | file permissions, limits, rotation, shutdown, what to watch |
//! | [`tuning`] | the settings that matter, and when to leave them alone |

#[doc = include_str!("guide/architecture.md")]
pub mod architecture {}

#[doc = include_str!("guide/security.md")]
pub mod security {}

#[doc = include_str!("guide/buffers.md")]
pub mod buffers {}

#[doc = include_str!("guide/migration.md")]
pub mod migration {}

#[doc = include_str!("guide/identities.md")]
pub mod identities {}

#[doc = include_str!("guide/deployment.md")]
pub mod deployment {}

#[doc = include_str!("guide/tuning.md")]
pub mod tuning {}
