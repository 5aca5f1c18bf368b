//! What is written to the log.

use std::cell::RefCell;
use std::fmt::{Debug, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    /// What this thread has logged, while someone wants to know.
    static LINES: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Writes a line for each event: level, message, and the fields as `name=value`. One for all threads of the process: whether
/// an event is of interest is found out once, by whichever thread logs it first, and a subscriber of another thread would not
/// be asked then.
struct Lines;

/// Fields, the message first.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            write!(self.others, " {}={value:?}", field.name()).expect("a string has room");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let mut fields = Fields::default();
            event.record(&mut fields);
            let Fields { message, others } = fields;
            let level = event.metadata().level();
            writeln!(lines, "{level} {message}{others}").expect("a string has room");
        });
    }

    fn enter(&self, _span: &Id) {}

    fn exit(&self, _span: &Id) {}
}

/// What `work` logs in this thread.
pub(crate) fn logged(work: impl FnOnce()) -> String {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Lines).expect("no other is installed");
    });
    // Another thread may have found an event to be of no interest while the subscriber was being installed.
    tracing::callsite::rebuild_interest_cache();
    LINES.set(Some(String::new()));
    work();
    LINES.take().expect("nobody else took them")
}
