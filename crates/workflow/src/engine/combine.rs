//! A state on which whoever brings a message works.
//!
//! There is no thread or task that owns it: who finds it free takes a turn with everything that has come, its own message
//! among it; who finds it taken leaves the message to the holder. This is flat combining (Hendler, Incze, Shavit and
//! Tzafrir, 2010) with a list in place of the publication records.
//!
//! 1. A message is put into the inbox before the state is tried for, and a holder looks into the inbox after it has let go:
//!    of the two, one sees the other.
//! 2. A state that is closed is taken out once: by who closes it, or by its holder after the turn. Closing it in the midst of
//!    a turn, even from inside that turn, blocks nobody.
//! 3. A turn that panics closes it, and whoever took that turn gets all that is left: no message lies about for ever.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sync::Mutex;

/// The memory of more messages than this is given back after their turn.
const MANY: usize = 512;

/// See the module.
pub(crate) struct Combine<S, M> {
    inbox: Mutex<Inbox<M>>,
    state: Mutex<Option<Held<S, M>>>,
}

struct Inbox<M> {
    messages: Vec<M>,
    is_closed: bool,
}

struct Held<S, M> {
    state: S,
    /// What is worked through; between turns its memory waits here.
    batch: Vec<M>,
}

impl<S, M> Default for Combine<S, M> {
    /// Without a state: what is put in waits for one.
    fn default() -> Self {
        let inbox = Inbox { messages: Vec::new(), is_closed: false };
        Self { inbox: Mutex::new(inbox), state: Mutex::new(None) }
    }
}

/// What is to be done after a turn.
#[must_use]
pub(crate) enum After<S, M> {
    Nothing,
    /// More has come. Another turn is due, unless somebody else takes it.
    More,
    /// It was closed meanwhile; this is for the caller to drop. Boxed, so that the other answers are small.
    Closed(Box<S>),
    /// The work has panicked.
    Broken(Box<Broken<S, M>>),
}

/// What is left when the work has panicked: nobody knows in what state that is, so nothing is taken any more.
pub(crate) struct Broken<S, M> {
    pub(crate) state: S,
    /// What was not worked through.
    pub(crate) messages: Vec<M>,
    pub(crate) panic: Box<dyn Any + Send>,
}

impl<S, M> Combine<S, M> {
    pub(crate) fn attach(&self, state: S) {
        *self.state.lock() = Some(Held { state, batch: Vec::new() });
    }

    /// Puts messages in, for the next turn. If this is closed, they come back.
    pub(crate) fn put<I: IntoIterator<Item = M>>(&self, messages: I) -> Result<(), I> {
        let mut inbox = self.inbox.lock();
        if inbox.is_closed {
            return Err(messages);
        }
        inbox.messages.extend(messages);
        Ok(())
    }

    /// Works through what has come, unless somebody else does so. `work` empties the list.
    pub(crate) fn try_turn(&self, work: impl FnOnce(&mut S, &mut Vec<M>)) -> After<S, M> {
        match self.state.try_lock() {
            Some(mut state) => {
                let worked = self.work(&mut state, work);
                drop(state);
                worked.map_or_else(After::Broken, |()| self.after())
            }
            None => After::Nothing,
        }
    }

    /// Works through what has come, after whoever is at it. Not to be called from inside a turn.
    pub(crate) fn turn(&self, work: impl FnOnce(&mut S, &mut Vec<M>)) -> After<S, M> {
        let mut state = self.state.lock();
        let worked = self.work(&mut state, work);
        drop(state);
        worked.map_or_else(After::Broken, |()| self.after())
    }

    /// Takes nothing more. Gives out what has come and was not worked through, and the state unless somebody has it.
    pub(crate) fn close(&self) -> (Vec<M>, Option<S>) {
        let mut inbox = self.inbox.lock();
        inbox.is_closed = true;
        let messages = std::mem::take(&mut inbox.messages);
        drop(inbox);
        (messages, self.take())
    }

    fn work(
        &self,
        state: &mut Option<Held<S, M>>,
        work: impl FnOnce(&mut S, &mut Vec<M>),
    ) -> Result<(), Box<Broken<S, M>>> {
        let Some(held) = state else { return Ok(()) };
        std::mem::swap(&mut self.inbox.lock().messages, &mut held.batch);
        let worked = catch_unwind(AssertUnwindSafe(|| work(&mut held.state, &mut held.batch)));
        held.batch.shrink_to(MANY);
        let Err(panic) = worked else { return Ok(()) };
        let Some(Held { state, batch: mut messages }) = state.take() else { return Ok(()) };
        let mut inbox = self.inbox.lock();
        inbox.is_closed = true;
        messages.append(&mut inbox.messages);
        Err(Box::new(Broken { state, messages, panic }))
    }

    fn after(&self) -> After<S, M> {
        let inbox = self.inbox.lock();
        let (is_closed, is_empty) = (inbox.is_closed, inbox.messages.is_empty());
        drop(inbox);
        match is_closed.then(|| self.take()).flatten() {
            Some(state) => After::Closed(Box::new(state)),
            None if is_empty => After::Nothing,
            None => After::More,
        }
    }

    fn take(&self) -> Option<S> {
        let held = self.state.try_lock()?.take();
        held.map(|held| held.state)
    }
}
