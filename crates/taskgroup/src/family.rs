//! Groups above and below a group.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use crate::Refused;
use crate::sync::Mutex;

/// A group as its child and its parent know it, whatever it returns.
pub(crate) trait Link: Send + Sync {
    /// A child has its first task.
    fn hold(&self) -> Result<(), Refused>;
    /// A child has none left.
    fn release(&self);
    /// The parent was cancelled, or dropped.
    fn cancel_from_above(self: Arc<Self>, dropped: bool);
    /// The groups below.
    fn children(&self) -> &Children;
    /// Whether the group at this address is this one or below it.
    fn contains(&self, address: usize) -> bool;
}

/// The group above, which forgets this one when it is gone.
pub(crate) struct Parent {
    pub(crate) link: Arc<dyn Link>,
    key: u64,
}

impl Parent {
    /// Enters a child in its parent's list.
    pub(crate) fn adopt(link: Arc<dyn Link>, child: Weak<dyn Link>) -> Self {
        let mut list = link.children().0.lock();
        let key = list.next;
        list.next += 1;
        list.links.insert(key, child);
        drop(list);
        Self { link, key }
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let forgotten = self.link.children().0.lock().links.remove(&self.key);
        drop(forgotten);
    }
}

/// The groups below, which none of this keeps.
#[derive(Default)]
pub(crate) struct Children(Mutex<List>);

#[derive(Default)]
struct List {
    next: u64,
    links: HashMap<u64, Weak<dyn Link>>,
}

impl Children {
    /// Those that live, upgraded outside the lock: to drop the last handle of one takes the lock again.
    pub(crate) fn living(&self) -> Vec<Arc<dyn Link>> {
        let links: Vec<Weak<dyn Link>> = self.0.lock().links.values().cloned().collect();
        links.iter().filter_map(Weak::upgrade).collect()
    }
}
