//! What is served, as the command line says it.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use alts::handshaker::cli::AllowedPeer;
use alts_nbd::backend::{
    Backend, FileBackend, FileOptions, MemoryBackend, OverlayBackend, SliceBackend,
};
use alts_nbd::export::{Export, Strategy};

use crate::sizes::Size;

/// How `--export` is written.
pub(crate) const EXPORT_HELP: &str = "\
Exports:
  NAME=file:PATH[,OPTION...]     a file or a block device
  NAME=memory:SIZE[,OPTION...]   memory, gone when the server ends
  The first export is also the one that clients get who ask for none. \",,\" stands for a comma.

Options of an export:
  ro                     refuse writes
  direct                 pass the page cache by, where a request is aligned to 512 bytes (files)
  overlay                keep changes in memory until the server ends, and leave the file as it is
  from=SIZE, size=SIZE   serve this part only
  description=TEXT       what clients show to people
  single                 do not announce that several connections may be used at a time
  allow=RULE             show it only to clients with this identity; can be repeated (--listen-alts)
  strategy=chunked:SIZE  move requests in pieces of SIZE (default, 256k; 4k to 1M)
  strategy=whole         one buffer for each request
  strategy=hold:SIZE     the same, and each connection keeps one of up to SIZE
  strategy=unbuffered    none where it can be avoided: memory (where it is the default), files in the page cache that are read
";

/// One `--export`.
#[derive(Clone, Debug)]
pub(crate) struct ExportSpec {
    pub(crate) name: String,
    source: Source,
    options: Vec<ExportOption>,
}

#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Memory(Size),
}

#[derive(Clone, Debug)]
enum ExportOption {
    ReadOnly,
    Direct,
    Overlay,
    From(Size),
    Size(Size),
    Description(String),
    Single,
    Allow(AllowedPeer),
    Strategy(Strategy),
}

impl FromStr for ExportSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A doubled comma is part of the text.
        let text = text.replace(",,", "\0");
        let mut parts = text.split(',').map(|part| part.replace('\0', ","));
        let first = parts.next().unwrap_or_default();
        let form = || "not NAME=file:PATH or NAME=memory:SIZE".to_owned();
        let (name, source) = first.split_once('=').ok_or_else(form)?;
        let source = match source.split_once(':').ok_or_else(form)? {
            ("file", "") => return Err("file: needs a path".to_owned()),
            ("file", path) => Source::File(path.into()),
            ("memory", size) => Source::Memory(size.parse()?),
            (other, _) => return Err(format!("{other:?} is unknown: use file or memory")),
        };
        let options = parts.map(|part| option(&part)).collect::<Result<_, _>>()?;
        Ok(Self { name: name.to_owned(), source, options })
    }
}

fn option(text: &str) -> Result<ExportOption, String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    Ok(match (key, value) {
        ("ro", "") => ExportOption::ReadOnly,
        ("direct", "") => ExportOption::Direct,
        ("overlay", "") => ExportOption::Overlay,
        ("single", "") => ExportOption::Single,
        ("from", size) => ExportOption::From(size.parse()?),
        ("size", size) => ExportOption::Size(size.parse()?),
        ("description", text) => ExportOption::Description(text.to_owned()),
        ("allow", rule) => ExportOption::Allow(rule.parse()?),
        ("strategy", value) => ExportOption::Strategy(strategy(value)?),
        _ => return Err(format!("{text:?} is not an option of an export")),
    })
}

fn strategy(text: &str) -> Result<Strategy, String> {
    let (kind, size) = text.split_once(':').unwrap_or((text, ""));
    let size = || size.parse::<Size>().map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
    match (kind, text.contains(':')) {
        ("chunked", false) => Ok(Strategy::default()),
        ("chunked", true) => match size()? {
            piece @ Strategy::MIN_PIECE..=Strategy::MAX_PIECE if piece.is_power_of_two() => {
                Ok(Strategy::Chunked { piece })
            }
            _ => Err("a piece is a power of two from 4k to 1M".to_owned()),
        },
        ("whole", false) => Ok(Strategy::Whole),
        ("unbuffered", false) => Ok(Strategy::Unbuffered),
        ("hold", true) => Ok(Strategy::HoldLargest { most: size()? }),
        _ => {
            Err(format!("{text:?} is not a strategy: chunked:SIZE, whole, hold:SIZE or unbuffered"))
        }
    }
}

impl ExportSpec {
    fn has(&self, option: fn(&ExportOption) -> bool) -> bool {
        self.options.iter().any(option)
    }

    /// Who may see it; empty for everybody.
    pub(crate) fn allowed(&self) -> Vec<AllowedPeer> {
        let allowed = self.options.iter().filter_map(|option| match option {
            ExportOption::Allow(rule) => Some(rule.clone()),
            _ => None,
        });
        allowed.collect()
    }

    /// Opens what it names.
    pub(crate) fn open(&self) -> Result<Export, String> {
        self.try_open().map_err(|fault| format!("--export {}: {fault}", self.name))
    }

    fn try_open(&self) -> Result<Export, String> {
        let read_only = self.has(|option| matches!(option, ExportOption::ReadOnly));
        let overlay = self.has(|option| matches!(option, ExportOption::Overlay));
        let mut backend: Arc<dyn Backend> = match &self.source {
            Source::Memory(size) => Arc::new(MemoryBackend::new(size.0)),
            Source::File(path) => {
                let mut options = FileOptions::default();
                options.read_only = read_only || overlay;
                options.direct = self.has(|option| matches!(option, ExportOption::Direct));
                let opened = FileBackend::open(path, options);
                Arc::new(
                    opened.map_err(|error| format!("cannot open {}: {error}", path.display()))?,
                )
            }
        };
        let (mut from, mut size) = (0, None);
        for option in &self.options {
            match option {
                ExportOption::From(at) => from = at.0,
                ExportOption::Size(bytes) => size = Some(bytes.0),
                _ => {}
            }
        }
        if from > 0 || size.is_some() {
            let end = size.map_or(Some(backend.size()), |size| from.checked_add(size));
            let end = end.ok_or("from= and size= are too large")?;
            backend = Arc::new(SliceBackend::new(backend, from..end).map_err(text)?);
        }
        if overlay {
            let changes = Arc::new(MemoryBackend::new(backend.size()));
            backend = Arc::new(OverlayBackend::new(backend, changes).map_err(text)?);
        }
        let mut export = Export::new(&self.name, backend).map_err(text)?;
        if matches!(self.source, Source::Memory(_)) {
            export = export.strategy(Strategy::Unbuffered);
        }
        for option in &self.options {
            export = match option {
                ExportOption::ReadOnly => export.read_only(),
                ExportOption::Description(about) => export.description(about).map_err(text)?,
                ExportOption::Single => export.single_connection(),
                ExportOption::Strategy(strategy) => export.strategy(*strategy),
                _ => export,
            };
        }
        Ok(export)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` needs")]
fn text(error: impl ToString) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports() {
        let spec: ExportSpec =
            "disk=memory:1M,ro,from=64k,size=128k,description=a,, b,strategy=chunked:64k"
                .parse()
                .unwrap();
        let export = spec.open().unwrap();
        assert_eq!((export.name(), export.text()), ("disk", "a, b"));
        assert_eq!((export.size(), export.is_read_only()), (128 << 10, true));
        assert!(spec.allowed().is_empty());
        let spec: ExportSpec = "=memory:1,allow=spiffe://a.example/x".parse().unwrap();
        assert_eq!((spec.name.as_str(), spec.allowed().len()), ("", 1));

        for bad in [
            "disk",
            "disk=",
            "disk=file:",
            "disk=tape:x",
            "disk=memory:x",
            "disk=memory:1,rw",
            "disk=memory:1,strategy=none",
            "disk=memory:1,strategy=chunked:3k",
            "disk=memory:1,strategy=hold",
        ] {
            assert!(bad.parse::<ExportSpec>().is_err(), "{bad}");
        }
        let beyond: ExportSpec = "disk=memory:1M,size=2M".parse().unwrap();
        assert!(beyond.open().unwrap_err().contains("does not lie within"));
        let missing: ExportSpec = "disk=file:/nonexistent/x".parse().unwrap();
        assert!(missing.open().unwrap_err().starts_with("--export disk: cannot open"));
    }
}
