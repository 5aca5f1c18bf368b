//! HTTP/2 on ready: unmodified services and clients of tonic, raw frames, limits, and what is held when idle.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../examples/grpc/echo.rs"]
mod echo;
#[path = "../../examples/grpc/service.rs"]
mod service;
#[path = "../support/mod.rs"]
mod support;

mod batches;
mod calls;
mod fixture;
mod limits;
mod orderly;
mod placement;
mod raw;
mod waiting;
