//! HTTP/2 whose idle connections hold no memory.

pub mod hpack;
