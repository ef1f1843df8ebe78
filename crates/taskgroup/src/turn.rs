//! A turn in the queue: what stands in it, and what its owner waits with.
//!
//! ```text
//!             Grant::give                 Turn::give_up
//!   waiting ──────────────► given            waiting ──► gone: a later `give` fails, the place goes to the next
//!      └──► refused: the grant was dropped   given ────► gone: the owner passes the place on
//! ```

use std::mem;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::Mutex;

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Given,
    Refused,
    Gone,
}

/// Stands in the queue. Dropped there, it refuses.
#[derive(Debug)]
pub struct Grant(Arc<Mutex<State>>);

/// Waits for what becomes of its [`Grant`].
#[derive(Debug)]
pub struct Turn(Arc<Mutex<State>>);

/// A grant and the turn that waits for it.
pub fn turn() -> (Grant, Turn) {
    let state = Arc::new(Mutex::new(State::Waiting(None)));
    (Grant(Arc::clone(&state)), Turn(state))
}

impl Grant {
    /// Gives the place; `false` when its owner gave up.
    pub fn give(self) -> bool {
        self.answer(State::Given)
    }

    fn answer(&self, answer: State) -> bool {
        let mut state = self.0.lock();
        let State::Waiting(waker) = &mut *state else { return false };
        let waker = waker.take();
        *state = answer;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.answer(State::Refused);
    }
}

impl Turn {
    /// Whether the place was given, once that is known.
    ///
    /// # Panics
    /// When called again after it told.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.0.lock();
        let (answer, old) = match mem::replace(&mut *state, State::Gone) {
            State::Waiting(old) => {
                *state = State::Waiting(Some(cx.waker().clone()));
                (Poll::Pending, old)
            }
            State::Given => (Poll::Ready(true), None),
            State::Refused => (Poll::Ready(false), None),
            State::Gone => panic!("a turn is not waited for after it was told"),
        };
        drop(state);
        drop(old);
        answer
    }

    /// Gives up. Whether a place had been given, which then has to be passed on.
    pub fn give_up(&self) -> bool {
        let before = mem::replace(&mut *self.0.lock(), State::Gone);
        matches!(before, State::Given)
    }
}
