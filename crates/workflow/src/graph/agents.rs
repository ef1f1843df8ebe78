//! The agents that the tasks of a graph name.

use std::sync::Arc;

use super::places::Places;

/// A task that names none.
const NONE: u32 = u32::MAX;

/// Each name once, and whose each task is.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    names: Vec<Arc<str>>,
    places: Places,
    of: Vec<u32>,
}

impl Agents {
    pub(crate) fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    /// The number of the agent that the task of this place names.
    pub(crate) fn of(&self, place: u32) -> Option<usize> {
        let number = self.of[place as usize];
        (number != NONE).then_some(number as usize)
    }

    pub(crate) fn name_of(&self, place: u32) -> Option<&Arc<str>> {
        self.of(place).map(|number| &self.names[number])
    }

    /// A further place.
    pub(super) fn push(&mut self) {
        self.of.push(NONE);
    }

    pub(super) fn set(&mut self, place: u32, name: Option<Arc<str>>) {
        if let Some(name) = name {
            self.of[place as usize] = self.number(name);
        }
    }

    fn number(&mut self, name: Arc<str>) -> u32 {
        let names = &self.names;
        self.places.get_or_add(&name, |at| &names[at as usize]).unwrap_or_else(|new| {
            self.names.push(name);
            new
        })
    }
}
