//! Each task runs in a span of its own.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tidegate_taskgroup::TaskGroup;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down each new span with its fields, and what is entered and left.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<(u64, Vec<String>)>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a string takes it");
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().to_owned());
        span.record(&mut fields);
        let mut log = self.0.lock().expect("nobody panics under it");
        log.0 += 1;
        log.1.push(fields.0);
        Id::from_u64(log.0)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        self.0.lock().expect("nobody panics under it").1.push("event".to_owned());
    }

    fn enter(&self, span: &Id) {
        self.0.lock().expect("nobody panics under it").1.push(format!("enter {}", span.into_u64()));
    }

    fn exit(&self, span: &Id) {
        self.0.lock().expect("nobody panics under it").1.push(format!("exit {}", span.into_u64()));
    }
}

#[test]
fn each_task_is_polled_and_dropped_in_a_span_with_its_index_and_name() {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    // With a single subscriber, tracing asks the thread that comes to a span first whether anybody cares; another test's has none.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    tracing::subscriber::with_default(log.clone(), || {
        runtime.block_on(async {
            let group = TaskGroup::<(), ()>::new();
            group
                .named("fetch")
                .spawn(async {
                    tracing::info!("inside");
                    Ok(())
                })
                .unwrap();
            group.wait().await.unwrap();
        });
    });
    let log = log.0.lock().unwrap();
    let expected =
        ["task index=0 name=\"fetch\"", "enter 1", "event", "exit 1", "enter 1", "exit 1"];
    assert_eq!(log.1, expected);
}
