//! What is served.

mod strategy;

use std::fmt;
use std::sync::Arc;

use crate::backend::{Backend, Capabilities};
use crate::wire::MAX_STRING;
use crate::wire::flags::TransmissionFlags;
use crate::wire::option::is_valid_name;
use crate::wire::option_reply::{BlockSize, ExportInfo};

pub use strategy::Strategy;

/// A backend under a name.
#[derive(Clone)]
pub struct Export {
    name: Box<str>,
    description: Box<str>,
    backend: Arc<dyn Backend>,
    capabilities: Capabilities,
    size: u64,
    block_size: BlockSize,
    strategy: Strategy,
    multi_conn: bool,
}

/// Why an export cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportError {
    /// The name or the description exceeds 4,096 bytes or contains NUL.
    Text,
    /// The minimum block is not a power of two of at most 64 KiB.
    BlockSize,
    /// The size exceeds what offsets of the system express, 2^63 - 1.
    Size,
    /// Another export has this name.
    Duplicate,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => {
                write!(f, "a name or a description exceeds {MAX_STRING} bytes or has NUL")
            }
            Self::BlockSize => f.write_str("the minimum block is not a power of two up to 64 KiB"),
            Self::Size => f.write_str("the size exceeds 2^63 - 1 bytes"),
            Self::Duplicate => f.write_str("another export has the same name"),
        }
    }
}

impl std::error::Error for ExportError {}

impl Export {
    /// `backend` as `name`. The empty name is the one that clients ask for if they are told none.
    ///
    /// # Errors
    /// A name that is not allowed, or a backend whose sizes are not.
    pub fn new(name: &str, backend: Arc<dyn Backend>) -> Result<Self, ExportError> {
        if !is_valid_name(name) {
            return Err(ExportError::Text);
        }
        let (capabilities, size) = (backend.capabilities(), backend.size());
        if size > i64::MAX.cast_unsigned() {
            return Err(ExportError::Size);
        }
        let minimum = capabilities.minimum_block;
        let default = BlockSize::DEFAULT;
        let block_size = BlockSize::new(minimum, default.preferred.max(minimum), default.maximum)
            .map_err(|_| ExportError::BlockSize)?;
        Ok(Self {
            name: name.into(),
            description: "".into(),
            backend,
            capabilities,
            size: size - size % u64::from(minimum),
            block_size,
            strategy: Strategy::default(),
            multi_conn: true,
        })
    }

    /// A text for people, which clients show.
    ///
    /// # Errors
    /// A text that exceeds 4,096 bytes or contains NUL.
    pub fn description(mut self, text: &str) -> Result<Self, ExportError> {
        self.description = is_valid_name(text).then_some(text.into()).ok_or(ExportError::Text)?;
        Ok(self)
    }

    /// Refuses writes, whatever the backend is capable of.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.capabilities.write = false;
        self
    }

    /// How memory for requests is chosen; [`Strategy::default`] unless set.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Does not announce that several connections may be used at a time. The backends of this package all allow it: a flush
    /// covers whatever was answered on any connection.
    #[must_use]
    pub fn single_connection(mut self) -> Self {
        self.multi_conn = false;
        self
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text for people.
    pub fn text(&self) -> &str {
        &self.description
    }

    /// Bytes that are served: whole blocks of the backend.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What requests have to keep to.
    pub fn block_size(&self) -> BlockSize {
        self.block_size
    }

    /// Whether writes are refused.
    pub fn is_read_only(&self) -> bool {
        !self.capabilities.write
    }

    pub(crate) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(crate) fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    pub(crate) fn chosen_strategy(&self) -> Strategy {
        self.strategy
    }

    /// What a client is told.
    pub(crate) fn info(&self, structured: bool) -> ExportInfo {
        type Flags = TransmissionFlags;
        let can = &self.capabilities;
        let flags = Flags::HAS_FLAGS | Flags::FLUSH | Flags::FUA | Flags::CACHE;
        let flags = flags
            .with_if(Flags::READ_ONLY, !can.write)
            .with_if(Flags::ROTATIONAL, can.rotational)
            .with_if(Flags::TRIM | Flags::WRITE_ZEROES, can.write)
            .with_if(Flags::FAST_ZERO, can.write && can.fast_zero)
            .with_if(Flags::DF, structured)
            .with_if(Flags::CAN_MULTI_CONN, self.multi_conn);
        ExportInfo { size: self.size, flags }
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("name", &self.name)
            .field("size", &self.size)
            .field("capabilities", &self.capabilities)
            .field("strategy", &self.strategy)
            .finish_non_exhaustive()
    }
}

/// The exports that a client sees, in order.
#[derive(Clone, Debug, Default)]
pub struct Exports(Vec<Arc<Export>>);

impl Exports {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    ///
    /// # Errors
    /// If another has the same name.
    pub fn add(&mut self, export: Export) -> Result<(), ExportError> {
        if self.0.iter().any(|other| other.name == export.name) {
            return Err(ExportError::Duplicate);
        }
        self.0.push(Arc::new(export));
        Ok(())
    }

    /// Those of which `sees` says so: what a client with a certain identity sees.
    #[must_use]
    pub fn visible(&self, mut sees: impl FnMut(&Export) -> bool) -> Self {
        Self(self.0.iter().filter(|export| sees(export)).cloned().collect())
    }

    /// The export of that name. The empty name stands for the first one, too.
    pub fn find(&self, name: &str) -> Option<&Arc<Export>> {
        let first = || self.0.first().filter(|_| name.is_empty());
        self.0.iter().find(|export| &*export.name == name).or_else(first)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Export>> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::MemoryBackend;

    fn memory(name: &str) -> Export {
        Export::new(name, Arc::new(MemoryBackend::new(1 << 20))).unwrap()
    }

    #[test]
    fn flags_tell_what_is_possible() {
        let export = memory("disk");
        assert_eq!(export.info(true).flags.0, 0xded);
        assert_eq!(export.info(false).flags.0, 0xd6d);
        assert_eq!(export.read_only().info(true).flags.0, 0x58f);
        assert_eq!(memory("disk").single_connection().info(true).flags.0, 0xced);
    }

    #[test]
    fn names() {
        let mut exports = Exports::new();
        assert!(exports.find("").is_none());
        exports.add(memory("a")).unwrap();
        exports.add(memory("b")).unwrap();
        assert_eq!(exports.add(memory("a")), Err(ExportError::Duplicate));
        assert_eq!(exports.find("b").unwrap().name(), "b");
        assert_eq!(exports.find("").unwrap().name(), "a");
        assert!(exports.find("c").is_none());
        let some = exports.visible(|export| export.name() == "b");
        assert!(some.find("a").is_none());
        assert_eq!(some.find("").unwrap().name(), "b");
        let long = "x".repeat(MAX_STRING + 1);
        let backend = Arc::new(MemoryBackend::new(1));
        assert_eq!(Export::new(&long, backend).unwrap_err(), ExportError::Text);
    }
}
