//! One rendering for all who asked before it began, away from the threads that serve.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use tokio::sync::Mutex;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::format::Format;
use crate::registry::Registry;

/// Renders one format of one registry.
#[derive(Debug)]
pub(super) struct Renderer {
    registry: Registry,
    format: Format,
    gzip: bool,
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When the last rendering began, and what it gave; kept only while others wait for it.
    last: Option<(Instant, Bytes)>,
    /// A rendering that nobody waited for to the end.
    running: Option<JoinHandle<Bytes>>,
}

impl Renderer {
    pub(super) fn new(registry: Registry, format: Format, gzip: bool) -> Self {
        Self { registry, format, gzip, waiting: AtomicUsize::new(0), state: Mutex::default() }
    }

    /// The registry as it was after this call began; `None` when that takes longer than `patience`.
    ///
    /// # Cancel safety
    ///
    /// A rendering that has begun is finished, and at most one runs at a time.
    pub(super) async fn render(&self, patience: Duration) -> Option<Bytes> {
        let _waiting = Waiting::new(&self.waiting);
        timeout(patience, self.shared(Instant::now())).await.ok()
    }

    async fn shared(&self, asked: Instant) -> Bytes {
        let mut state = self.state.lock().await;
        if let Some((began, bytes)) = &state.last
            && *began >= asked
        {
            let bytes = bytes.clone();
            self.forget_unless_awaited(&mut state);
            return bytes;
        }
        loop {
            // One that began before we asked is waited for, so that a slow one is never run twice at once.
            let (began, ours) =
                if state.running.is_some() { (None, false) } else { (Some(Instant::now()), true) };
            let (registry, format, gzip) = (self.registry.clone(), self.format, self.gzip);
            let running = state
                .running
                .get_or_insert_with(|| spawn_blocking(move || render(&registry, format, gzip)));
            let result = running.await;
            state.running = None;
            if let (Ok(bytes), Some(began), true) = (result, began, ours) {
                state.last = Some((began, bytes.clone()));
                self.forget_unless_awaited(&mut state);
                return bytes;
            }
        }
    }

    fn forget_unless_awaited(&self, state: &mut State) {
        // ORDERING: Relaxed; at worst somebody renders again, or the text is kept until the next scrape.
        if self.waiting.load(Ordering::Relaxed) <= 1 {
            state.last = None;
        }
    }
}

/// Counts one who waits.
struct Waiting<'w>(&'w AtomicUsize);

impl<'w> Waiting<'w> {
    fn new(count: &'w AtomicUsize) -> Self {
        // ORDERING: Relaxed; a hint.
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed; a hint.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn render(registry: &Registry, format: Format, gzip: bool) -> Bytes {
    let mut text = Vec::new();
    registry.encode(format, &mut text);
    if !gzip {
        return text.into();
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = packed.write_all(&text).and_then(|()| packed.finish());
    packed.expect("a vector takes every write").into()
}

#[cfg(test)]
mod tests;
