//! Every event of `tracing` that a test causes.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span;

/// Keeps every event of every library as a line.
#[derive(Clone, Default)]
pub(crate) struct Lines(pub(crate) Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").unwrap();
    }
}

thread_local! {
    /// Who listens on this thread: each test has its own, with the server on it.
    static HERE: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// The subscriber of the whole process, since `tracing` remembers of a callsite that nobody listens when a thread
/// without a subscriber of its own comes by it first.
struct Everywhere;

impl tracing::Subscriber for Everywhere {
    fn enabled(&self, _metadata: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        HERE.with_borrow(|here| {
            if let Some(lines) = here {
                lines.0.lock().unwrap().push(line.0);
            }
        });
    }

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}

impl Lines {
    /// Listens on this thread from now on.
    pub(crate) fn listen() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing::subscriber::set_global_default(Everywhere).unwrap();
            tracing::callsite::rebuild_interest_cache();
        });
        let lines = Self::default();
        HERE.set(Some(lines.clone()));
        lines
    }

    /// The access log.
    pub(crate) fn access(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains("duration_us=")).cloned().collect()
    }
}
