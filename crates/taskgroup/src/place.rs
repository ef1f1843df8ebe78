//! A place under the limit, taken before the task exists.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

use crate::admission::Entry;
use crate::child::Inside;
use crate::shared::Waiting;
use crate::turn::{Grant, Turn, turn};
use crate::{Refused, Spawner};

/// A place in a group, for one task. Dropped without one, it goes to the next who waits.
///
/// In a group without a limit there is always one.
#[must_use = "a place that is dropped is given back"]
pub struct Place<T: Send + 'static, E: Send + 'static> {
    spawner: Spawner<T, E>,
    held: bool,
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for Place<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.spawner).finish()
    }
}

impl<T: Send + 'static, E: Send + 'static> Place<T, E> {
    /// Starts the task in this place, and gives its index.
    ///
    /// # Errors
    /// As [`Spawner::spawn`]: a place does not keep the group open.
    pub fn spawn<F>(mut self, task: F) -> Result<u32, Refused>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let index = self.spawner.start(task)?;
        self.held = false;
        Ok(index)
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for Place<T, E> {
    fn drop(&mut self) {
        if self.held {
            self.spawner.shared.give_place();
        }
    }
}

/// The wait for a place; made by [`Spawner::place`].
#[must_use = "nobody waits until this is polled"]
pub struct AwaitPlace<T: Send + 'static, E: Send + 'static> {
    spawner: Spawner<T, E>,
    state: State,
}

enum State {
    New,
    Waiting { ticket: u64, turn: Turn },
    Done,
}

impl Waiting for Grant {
    fn start(self: Box<Self>, _: &Handle) -> bool {
        self.give()
    }
}

impl<T: Send + 'static, E: Send + 'static> fmt::Debug for AwaitPlace<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AwaitPlace").field(&self.spawner).finish()
    }
}

impl<T: Send + 'static, E: Send + 'static> AwaitPlace<T, E> {
    pub(crate) fn new(spawner: Spawner<T, E>) -> Self {
        Self { spawner, state: State::New }
    }

    /// Asks once: `Ok(true)` with a place, `Ok(false)` in the queue.
    fn ask(&mut self) -> Result<bool, Refused> {
        let shared = &self.spawner.shared;
        let Some(places) = &shared.places else {
            return self.spawner.refusal().map_or(Ok(true), Err);
        };
        // The first poll tells who asks: a task of this very group holds a place while it waits.
        let holds = Inside::group() == Some(Arc::as_ptr(shared).addr());
        let (grant, turn) = turn();
        match places.enter(Box::new(grant), holds) {
            Entry::Now(_) => Ok(true),
            Entry::Later(ticket) => {
                self.state = State::Waiting { ticket, turn };
                Ok(false)
            }
            Entry::Closed(_) => Err(self.spawner.refusal().unwrap_or(Refused::Cancelled)),
            Entry::Deadlock(_) => Err(Refused::WouldDeadlock),
        }
    }

    fn place(&self) -> Place<T, E> {
        Place { spawner: self.spawner.clone(), held: true }
    }
}

impl<T: Send + 'static, E: Send + 'static> Future for AwaitPlace<T, E> {
    type Output = Result<Place<T, E>, Refused>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.state, State::New) {
            self.state = State::Done;
            match self.ask() {
                Ok(false) => {}
                Ok(true) => return Poll::Ready(Ok(self.place())),
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
        let State::Waiting { turn, .. } = &self.state else {
            panic!("a place is not waited for after it was given")
        };
        let Poll::Ready(given) = turn.poll(cx) else { return Poll::Pending };
        self.state = State::Done;
        // Refused in the queue: the group was cancelled.
        Poll::Ready(if given { Ok(self.place()) } else { Err(Refused::Cancelled) })
    }
}

impl<T: Send + 'static, E: Send + 'static> Drop for AwaitPlace<T, E> {
    fn drop(&mut self) {
        let State::Waiting { ticket, turn } = &self.state else { return };
        let shared = &self.spawner.shared;
        // First the turn, then the queue: a grant under way from here on fails, and goes to the next.
        if turn.give_up() {
            shared.give_place();
        } else if let Some(places) = &shared.places {
            places.give_up(*ticket);
        }
    }
}
