//! Spans of tasks, where the feature `tracing` is on. Without it a task carries its name and nothing else.

#[cfg(feature = "tracing")]
pub(crate) use on::span;

#[cfg(not(feature = "tracing"))]
pub(crate) fn span<N: crate::child::Name>(name: N, _index: u32) -> N {
    name
}

#[cfg(feature = "tracing")]
mod on {
    use std::sync::Arc;

    use tracing::Span;

    use crate::child::Name;

    /// A name, and the span that is entered while its task is polled.
    pub(crate) struct Spanned<N> {
        name: N,
        span: Span,
    }

    /// The span's parent is the span in which the task is spawned.
    pub(crate) fn span<N: Name>(name: N, index: u32) -> Spanned<N> {
        let span = match name.get() {
            Some(name) => tracing::info_span!("task", index, name = &*name),
            None => tracing::info_span!("task", index),
        };
        Spanned { name, span }
    }

    impl<N: Name> Name for Spanned<N> {
        fn get(&self) -> Option<Arc<str>> {
            self.name.get()
        }

        fn within<R>(&self, work: impl FnOnce() -> R) -> R {
            self.span.in_scope(work)
        }
    }
}
