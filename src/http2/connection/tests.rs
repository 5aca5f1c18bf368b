//! Two connections back to back.

mod model;
mod pair;
mod rules;
