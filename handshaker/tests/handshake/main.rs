//! Whole handshakes through the public interface: undisturbed, in every way that the two ends may fail to agree, and with
//! somebody on the path.

mod agreement;
mod alerts;
mod frames;
#[path = "../identity/log.rs"]
mod log;
mod misplaced;
mod misuse;
mod mutation;
mod peers;
mod refusals;
mod resumption;
