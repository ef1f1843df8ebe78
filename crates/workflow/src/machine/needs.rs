//! Who needs whom: the needs of all tasks of a run in one list.

use super::End;

/// On which end of its need a task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    /// Only when it succeeded.
    Success,
    /// Whatever became of it.
    End,
    /// Only when it failed or timed out for good.
    Failure,
}

impl On {
    /// Whether the dependent may go on after this end.
    pub(super) fn admits(self, end: End) -> bool {
        match self {
            Self::Success => end == End::Succeeded,
            Self::End => true,
            Self::Failure => end.is_failure(),
        }
    }
}

/// An arrow of the graph, seen from the dependent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// The task that is needed.
    pub(crate) task: u32,
    pub(crate) on: On,
}

/// The needs of each task, by its place. A task costs no memory of its own for them, and all of them are dropped at once.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    spans: Vec<Span>,
    all: Vec<Need>,
}

/// Where the needs of a task are in the list.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Needs {
    pub(crate) fn get(&self, at: u32) -> &[Need] {
        let Span { start, end } = self.spans[at as usize];
        &self.all[start as usize..end as usize]
    }

    /// A further place, of a task that needs nobody.
    pub(crate) fn push(&mut self) {
        self.spans.push(Span { start: 0, end: 0 });
    }

    /// What the task of a place needs from now on.
    pub(crate) fn set(&mut self, at: u32, needs: &[Need]) {
        let start = number(self.all.len());
        self.all.extend_from_slice(needs);
        self.spans[at as usize] = Span { start, end: number(self.all.len()) };
    }

    /// A need more. The task's others go with it to the end of the list, if they are not there.
    pub(crate) fn add(&mut self, at: u32, need: Need) {
        let Span { start, end } = self.spans[at as usize];
        let moved = number(self.all.len());
        let start = if end == moved {
            start
        } else {
            self.all.extend_from_within(start as usize..end as usize);
            moved
        };
        self.all.push(need);
        self.spans[at as usize] = Span { start, end: number(self.all.len()) };
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a run has fewer than 2^32 arrows")
}

#[cfg(test)]
mod tests;
