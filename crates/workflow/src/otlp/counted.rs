//! How many spans have ended, and how many of them were sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter, SpanProcessor};

/// The counts of one exporter; they are read when it is shut down.
#[derive(Debug, Default)]
pub(super) struct Counts {
    ended: AtomicU64,
    sent: AtomicU64,
    why: OnceLock<String>,
}

impl Counts {
    /// Why something could not be sent; the first reason stays.
    pub(super) fn failed(&self, why: String) {
        drop(self.why.set(why));
    }

    /// How many ended and how many were sent, and why the first that was not could not be.
    pub(super) fn read(&self) -> (u64, u64, Option<String>) {
        // ORDERING: Relaxed; the thread that sends was joined by a channel before this is asked.
        let sent = self.sent.load(Ordering::Relaxed);
        let ended = self.ended.load(Ordering::Relaxed).max(sent);
        (ended, sent, self.why.get().cloned())
    }
}

/// A processor or an exporter, counted.
#[derive(Debug)]
pub(super) struct Counted<T> {
    of: T,
    counts: Arc<Counts>,
}

impl<T> Counted<T> {
    pub(super) fn new(of: T, counts: &Arc<Counts>) -> Self {
        Self { of, counts: Arc::clone(counts) }
    }
}

impl<P: SpanProcessor> SpanProcessor for Counted<P> {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        self.of.on_start(span, cx);
    }

    fn on_end(&self, span: SpanData) {
        // What is not sampled is not sent.
        if span.span_context.is_sampled() {
            // ORDERING: Relaxed; a count, read when nothing ends any more.
            self.counts.ended.fetch_add(1, Ordering::Relaxed);
        }
        self.of.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.of.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.of.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.of.set_resource(resource);
    }
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let sent = self.of.export(batch).await;
        match &sent {
            // ORDERING: Relaxed; see `Counts::read`.
            Ok(()) => drop(self.counts.sent.fetch_add(count, Ordering::Relaxed)),
            Err(error) => self.counts.failed(error.to_string()),
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.of.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.of.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.of.set_resource(resource);
    }
}
