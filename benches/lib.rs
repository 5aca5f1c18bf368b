//! Benchmarks of `alts`.
