//! An identity from the SPIFFE Workload API, against an agent of these tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

mod agent;
mod authority;
mod bad_answers;
mod choice;
mod life;
#[path = "../../src/identity/workload_api/messages.rs"]
mod messages;
mod programs;
mod rotation;
mod trust;
