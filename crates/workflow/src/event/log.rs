//! The last events, for readers that each go at their own pace.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::{Event, Next};

/// Keeps the last `capacity` events. They come in pieces, one for each turn of the engine, so that an event costs the engine
/// a place in a list and no lock, and a reader takes a whole piece at once.
#[derive(Debug)]
pub(crate) struct Log(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Each with the number of its first event.
    pieces: VecDeque<(u64, Arc<[Event]>)>,
    end: u64,
    capacity: u64,
    waiting: Vec<Waker>,
    is_over: bool,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            pieces: VecDeque::new(),
            end: 0,
            capacity: u64::try_from(capacity).unwrap_or(u64::MAX),
            waiting: Vec::new(),
            is_over: false,
        })))
    }

    /// Whether anybody reads.
    pub(crate) fn is_read(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Takes the events out of the list.
    pub(crate) fn tell(&self, events: &mut Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let piece: Arc<[Event]> = events.drain(..).collect();
        let waiting = self.0.lock().add(piece);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// A reader of what comes from now on.
    pub(crate) fn subscribe(&self) -> Reader {
        let next = self.0.lock().end;
        Reader { kept: Arc::clone(&self.0), next, piece: None }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let mut kept = self.0.lock();
        kept.is_over = true;
        let waiting = std::mem::take(&mut kept.waiting);
        drop(kept);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Kept {
    /// Adds a piece; answers with who waits for it.
    fn add(&mut self, piece: Arc<[Event]>) -> Vec<Waker> {
        let first = self.end;
        self.end += piece.len() as u64;
        self.pieces.push_back((first, piece));
        let oldest = self.oldest();
        let is_old = |(first, piece): &(u64, Arc<[Event]>)| first + piece.len() as u64 <= oldest;
        while self.pieces.front().is_some_and(is_old) {
            self.pieces.pop_front();
        }
        std::mem::take(&mut self.waiting)
    }

    /// The number of the oldest event that is kept.
    fn oldest(&self) -> u64 {
        self.end.saturating_sub(self.capacity)
    }

    /// The piece in which an event is.
    fn piece(&self, event: u64) -> Option<&(u64, Arc<[Event]>)> {
        let after = self.pieces.partition_point(|(first, _)| *first <= event);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        (event < piece.0 + piece.1.len() as u64).then_some(piece)
    }
}

/// A place in the log.
#[derive(Debug)]
pub(crate) struct Reader {
    kept: Arc<Mutex<Kept>>,
    next: u64,
    /// What is being read, with the number of its first event.
    piece: Option<(u64, Arc<[Event]>)>,
}

impl Reader {
    /// The next event if one is there.
    pub(crate) fn try_next(&mut self) -> Option<Next> {
        match self.read(None) {
            Poll::Ready(next) => next,
            Poll::Pending => None,
        }
    }

    /// As `try_next`, waiting; `None` once the log is gone and all of it was read.
    pub(crate) async fn next(&mut self) -> Option<Next> {
        poll_fn(|cx| self.read(Some(cx))).await
    }

    fn read(&mut self, cx: Option<&Context<'_>>) -> Poll<Option<Next>> {
        if self.piece.is_none() {
            let mut kept = self.kept.lock();
            let lost = kept.oldest().saturating_sub(self.next);
            if lost > 0 {
                self.next += lost;
                return Poll::Ready(Some(Next::Lost(lost)));
            }
            self.piece = kept.piece(self.next).cloned();
            if self.piece.is_none() {
                if kept.is_over {
                    return Poll::Ready(None);
                }
                if let Some(cx) = cx
                    && !kept.waiting.iter().any(|waker| waker.will_wake(cx.waker()))
                {
                    kept.waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
        }
        let Some((first, piece)) = &self.piece else { return Poll::Pending };
        let at = usize::try_from(self.next - first).expect("a place in a list");
        let event = piece[at].clone();
        self.next += 1;
        if at + 1 == piece.len() {
            self.piece = None;
        }
        Poll::Ready(Some(Next::Event(event)))
    }
}
