//! Which tables a thread saw last, so that it finds series in them without touching what other threads touch.

use std::sync::{Arc, Mutex};

use crate::series::Series;
use crate::table::Table;

/// The table of a store that a thread saw last, at the place of the store's id.
#[derive(Debug)]
pub(crate) struct Seen<M> {
    /// Of the table; 0 is none.
    generation: u64,
    table: Option<Arc<Table<Arc<Series<M>>>>>,
}

impl<M> Seen<M> {
    /// The table, if it is of this generation.
    #[inline]
    pub(super) fn table(&self, generation: u64) -> Option<&Table<Arc<Series<M>>>> {
        if self.generation != generation {
            return None;
        }
        self.table.as_deref()
    }

    /// Remembers the table of the store with this id, and lets go of those that have been superseded.
    pub(super) fn keep(all: &mut Vec<Self>, id: usize, table: &Arc<Table<Arc<Series<M>>>>) {
        if all.len() <= id {
            all.resize_with(id + 1, || Self { generation: 0, table: None });
        }
        if all[id].generation != table.generation {
            all[id] = Self { generation: table.generation, table: Some(Arc::clone(table)) };
            all.iter_mut().for_each(Self::let_go);
        }
    }

    fn let_go(&mut self) {
        if self.table.as_ref().is_some_and(|table| table.is_superseded()) {
            *self = Self { generation: 0, table: None };
        }
    }
}

/// Small numbers for stores, used again.
pub(super) static IDS: Ids = Ids { free: Mutex::new((0, Vec::new())) };

pub(super) struct Ids {
    free: Mutex<(usize, Vec<usize>)>,
}

impl Ids {
    pub(super) fn take(&self) -> usize {
        let mut ids = self.free.lock().expect("nothing panics while the lock is held");
        ids.1.pop().unwrap_or_else(|| {
            ids.0 += 1;
            ids.0 - 1
        })
    }

    pub(super) fn give(&self, id: usize) {
        self.free.lock().expect("nothing panics while the lock is held").1.push(id);
    }
}
