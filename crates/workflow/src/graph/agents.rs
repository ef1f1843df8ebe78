//! The agents that the tasks of a graph name.

use std::sync::Arc;

use super::places::Places;

/// A task that names none.
const NONE: u32 = u32::MAX;

/// Among so many agents the one that is meant is looked for by its address first.
const FEW: usize = 16;

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
        // Who names one for each of many tasks mostly hands on the same text.
        let address = |of: &Arc<str>| Arc::as_ptr(of).cast::<u8>();
        let wanted = address(&name);
        let same = self.names.iter().take(FEW).position(|known| address(known) == wanted);
        if let Some(known) = same.and_then(|at| u32::try_from(at).ok()) {
            return known;
        }
        let names = &self.names;
        match self.places.get_or_add(&name, |at| &names[at as usize]) {
            Ok(known) => known,
            Err(new) => {
                self.names.push(name);
                new
            }
        }
    }
}
