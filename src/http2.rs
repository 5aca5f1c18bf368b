//! HTTP/2 on ready: services and clients whose idle connections hold no buffers.

pub mod frame;
