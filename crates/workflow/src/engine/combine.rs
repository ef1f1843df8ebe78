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

/// Nothing is taken any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Closed;

/// What is to be done after a turn.
#[must_use]
pub(crate) enum After<S> {
    Nothing,
    /// More has come. Another turn is due, unless somebody else takes it.
    More,
    /// It was closed meanwhile; this is for the caller to drop. Boxed, so that the other answers are small.
    Closed(Box<S>),
}

impl<S, M> Combine<S, M> {
    pub(crate) fn attach(&self, state: S) {
        *self.state.lock() = Some(Held { state, batch: Vec::new() });
    }

    /// Puts messages in, for the next turn, unless this is closed.
    pub(crate) fn put(&self, messages: impl IntoIterator<Item = M>) -> Result<(), Closed> {
        let mut inbox = self.inbox.lock();
        if inbox.is_closed {
            return Err(Closed);
        }
        inbox.messages.extend(messages);
        Ok(())
    }

    /// Works through what has come, unless somebody else does so. `work` empties the list.
    pub(crate) fn try_turn(&self, work: impl FnOnce(&mut S, &mut Vec<M>)) -> After<S> {
        match self.state.try_lock() {
            Some(mut state) => {
                self.work(&mut state, work);
                drop(state);
                self.after()
            }
            None => After::Nothing,
        }
    }

    /// Works through what has come, after whoever is at it. Not to be called from inside a turn.
    pub(crate) fn turn(&self, work: impl FnOnce(&mut S, &mut Vec<M>)) -> After<S> {
        let mut state = self.state.lock();
        self.work(&mut state, work);
        drop(state);
        self.after()
    }

    /// Takes nothing more. Gives out what has come and was not worked through, and the state unless somebody has it.
    pub(crate) fn close(&self) -> (Vec<M>, Option<S>) {
        let mut inbox = self.inbox.lock();
        inbox.is_closed = true;
        let messages = std::mem::take(&mut inbox.messages);
        drop(inbox);
        (messages, self.take())
    }

    fn work(&self, state: &mut Option<Held<S, M>>, work: impl FnOnce(&mut S, &mut Vec<M>)) {
        if let Some(held) = state {
            std::mem::swap(&mut self.inbox.lock().messages, &mut held.batch);
            work(&mut held.state, &mut held.batch);
            held.batch.shrink_to(MANY);
        }
    }

    fn after(&self) -> After<S> {
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
