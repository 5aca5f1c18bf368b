//! What this thread logs, with the span that it is in.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

thread_local! {
    /// What this thread has logged, while a test wants to know.
    static LINES: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    /// The spans that this thread is in, the innermost last.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

/// One for all threads of the process, since whether an event is of interest is found out once.
#[derive(Default)]
struct Lines(Mutex<HashMap<Id, Span>>);

struct Span {
    metadata: &'static Metadata<'static>,
    fields: Fields,
}

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
            write!(self.others, " {}={value:?}", field.name()).unwrap();
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("alts")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let mut spans = self.0.lock().unwrap();
        let id = Id::from_u64(spans.len() as u64 + 1);
        spans.insert(id.clone(), Span { metadata: attributes.metadata(), fields });
        id
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut spans = self.0.lock().unwrap();
        values.record(&mut spans.get_mut(span).unwrap().fields);
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        LINES.with_borrow_mut(|lines| {
            let Some(lines) = lines else { return };
            let mut fields = Fields::default();
            event.record(&mut fields);
            let Fields { message, others } = fields;
            let contextual = ENTERED.with_borrow(|entered| entered.last().cloned());
            let span = event.parent().cloned().or(contextual);
            let spans = self.0.lock().unwrap();
            let within = span.map_or_else(String::new, |id| {
                let Span { metadata, fields } = &spans[&id];
                format!(" {}{}:", metadata.name(), fields.others)
            });
            let level = event.metadata().level();
            lines.push(format!("{level}{within} {message}{others}"));
        });
    }

    fn enter(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(span.clone()));
    }

    fn exit(&self, span: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            let last = entered.iter().rposition(|id| id == span).unwrap();
            entered.remove(last);
        });
    }

    fn current_span(&self) -> Current {
        let Some(id) = ENTERED.with_borrow(|entered| entered.last().cloned()) else {
            return Current::none();
        };
        let metadata = self.0.lock().unwrap()[&id].metadata;
        Current::new(id, metadata)
    }
}

/// Begins to keep what this thread logs: level, spans with their fields, message, and fields.
pub(crate) fn keep() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Lines::default()).unwrap();
    });
    // Another thread may have found an event to be of no interest while the subscriber was being installed.
    tracing::callsite::rebuild_interest_cache();
    LINES.set(Some(Vec::new()));
}

/// The lines since the last call.
pub(crate) fn take() -> Vec<String> {
    LINES.with_borrow_mut(|lines| std::mem::take(lines.as_mut().unwrap()))
}
