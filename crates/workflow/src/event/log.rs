//! The last events, for readers that each go at their own pace.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use super::{Event, Next};

#[cfg(test)]
mod tests;

/// Keeps the last `capacity` events. They come in pieces, of one turn of the engine or a few, so that an event costs the engine
/// a place in a list and no lock, and a reader takes a whole piece at once: out of the log while there is no other reader,
/// so that its events are moved and nothing of them is copied.
#[derive(Debug)]
pub(crate) struct Log(Arc<Mutex<Kept>>);

/// Up to so many events of several turns are one piece.
const SMALL: usize = 64;

/// The memory of so many small pieces is kept at most.
const SPARE: usize = 8;

#[derive(Debug)]
struct Kept {
    /// In the order of their events.
    pieces: VecDeque<Piece>,
    end: u64,
    capacity: u64,
    /// The memory of small pieces that were read, for those to come.
    spare: Vec<Vec<Event>>,
    waiting: Vec<Waker>,
    is_over: bool,
}

/// Events that were told together.
#[derive(Debug)]
struct Piece {
    /// The number of the first.
    first: u64,
    events: Events,
}

#[derive(Debug)]
enum Events {
    /// No reader has asked for them.
    New(Vec<Event>),
    /// Several readers may.
    Shared(Arc<[Event]>),
}

impl Piece {
    /// The number of the event after the last.
    fn end(&self) -> u64 {
        let len = match &self.events {
            Events::New(events) => events.len(),
            Events::Shared(events) => events.len(),
        };
        self.first + len as u64
    }

    /// Its events, for one reader of several.
    fn share(&mut self) -> Arc<[Event]> {
        if let Events::New(events) = &mut self.events {
            self.events = Events::Shared(Arc::from(std::mem::take(events)));
        }
        match &self.events {
            Events::Shared(events) => Arc::clone(events),
            Events::New(_) => unreachable!("it was shared above"),
        }
    }
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            pieces: VecDeque::new(),
            end: 0,
            capacity: u64::try_from(capacity).unwrap_or(u64::MAX),
            spare: Vec::new(),
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
        let (first, others) = self.0.lock().add(events);
        first.into_iter().chain(others).for_each(Waker::wake);
    }

    /// A reader of what comes from now on.
    pub(crate) fn subscribe(&self) -> Reader {
        // Counted before the lock is let go of: who is counted loses nothing that comes from then on.
        let kept = self.0.lock();
        Reader { kept: Arc::clone(&self.0), next: kept.end, held: Held::Nothing }
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
    /// Takes the events out of the list; answers with who waits for them: mostly one, and its place is kept.
    fn add(&mut self, events: &mut Vec<Event>) -> (Option<Waker>, Vec<Waker>) {
        let first = self.end;
        self.end += events.len() as u64;
        match self.pieces.back_mut() {
            Some(Piece { events: Events::New(last), .. }) if last.len() + events.len() <= SMALL => {
                last.append(events);
            }
            _ => {
                let piece = if events.len() < SMALL {
                    let spare = self.spare.pop();
                    let mut piece = spare.unwrap_or_else(|| Vec::with_capacity(SMALL));
                    piece.append(events);
                    piece
                } else {
                    // The next is probably as long.
                    let next = Vec::with_capacity(events.len());
                    let mut piece = std::mem::replace(events, next);
                    // None keeps room for many times its events.
                    if 2 * piece.len() < piece.capacity() {
                        piece.shrink_to_fit();
                    }
                    piece
                };
                self.pieces.push_back(Piece { first, events: Events::New(piece) });
            }
        }
        let oldest = self.oldest();
        while self.pieces.front().is_some_and(|piece| piece.end() <= oldest) {
            self.pieces.pop_front();
        }
        let waiting = self.waiting.pop();
        let is_alone = self.waiting.is_empty();
        (waiting, if is_alone { Vec::new() } else { std::mem::take(&mut self.waiting) })
    }

    /// The number of the oldest event that is kept.
    fn oldest(&self) -> u64 {
        self.end.saturating_sub(self.capacity)
    }

    /// The piece in which an event is, if it has come: for the only reader, or for one of several.
    fn take(&mut self, event: u64, is_alone: bool) -> Held {
        let after = self.pieces.partition_point(|piece| piece.first <= event);
        let Some(at) = after.checked_sub(1).filter(|at| event < self.pieces[*at].end()) else {
            return Held::Nothing;
        };
        if is_alone {
            // What comes before it was read.
            self.pieces.drain(..at);
            if let Some(Piece { first, events: Events::New(_) }) = self.pieces.front()
                && *first == event
                && let Some(Piece { events: Events::New(events), .. }) = self.pieces.pop_front()
            {
                return Held::Own(events.into());
            }
            return Held::Shared(self.pieces[0].first, self.pieces[0].share());
        }
        let piece = &mut self.pieces[at];
        Held::Shared(piece.first, piece.share())
    }
}

/// A place in the log.
#[derive(Debug)]
pub(crate) struct Reader {
    kept: Arc<Mutex<Kept>>,
    next: u64,
    held: Held,
}

/// What is being read.
#[derive(Debug)]
enum Held {
    Nothing,
    Own(VecDeque<Event>),
    /// With the number of its first event.
    Shared(u64, Arc<[Event]>),
}

impl Held {
    /// The event of this number.
    fn next(&mut self, event: u64) -> Option<Event> {
        match self {
            Self::Nothing => None,
            Self::Own(events) => events.pop_front(),
            Self::Shared(first, piece) => {
                let at = usize::try_from(event - *first).expect("a place in a list");
                piece.get(at).cloned()
            }
        }
    }
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

    /// Mostly there is more of the piece that is its own: that is worth a short way.
    #[inline]
    fn read(&mut self, cx: Option<&Context<'_>>) -> Poll<Option<Next>> {
        if let Held::Own(events) = &mut self.held
            && let Some(event) = events.pop_front()
        {
            self.next += 1;
            return Poll::Ready(Some(Next::Event(event)));
        }
        self.read_on(cx)
    }

    fn read_on(&mut self, cx: Option<&Context<'_>>) -> Poll<Option<Next>> {
        if let Some(event) = self.held.next(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Next::Event(event)));
        }
        let read = std::mem::replace(&mut self.held, Held::Nothing);
        let mut kept = self.kept.lock();
        if let Held::Own(memory) = read
            && memory.capacity() == SMALL
            && kept.spare.len() < SPARE
        {
            kept.spare.push(memory.into());
        }
        let lost = kept.oldest().saturating_sub(self.next);
        if lost > 0 {
            self.next += lost;
            return Poll::Ready(Some(Next::Lost(lost)));
        }
        // The log itself holds the other, unless it is gone.
        let is_alone = Arc::strong_count(&self.kept) <= 2 - usize::from(kept.is_over);
        self.held = kept.take(self.next, is_alone);
        if let Some(event) = self.held.next(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Next::Event(event)));
        }
        if kept.is_over {
            return Poll::Ready(None);
        }
        if let Some(cx) = cx
            && !kept.waiting.iter().any(|waker| waker.will_wake(cx.waker()))
        {
            kept.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
