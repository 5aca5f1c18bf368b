//! gRPC with tonic over ALTS: calls of every kind, who may call, what failures look like, and that nothing is held when idle.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "../../examples/grpc/echo.rs"]
mod echo;
#[path = "../../examples/grpc/service.rs"]
mod service;
#[path = "../support/mod.rs"]
mod support;

mod accepting;
mod authorization;
mod balance;
mod calls;
mod channel;
mod channels;
mod failures;
mod fixture;
mod handshakers;
mod identity;
mod interruptions;
mod resumption;
mod services;
mod shutdown;
mod statuses;
