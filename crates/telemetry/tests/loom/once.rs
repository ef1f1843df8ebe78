//! What std's cell of this name promises about memory, for a model: who sees it set sees what is in it.

use std::sync::OnceLock as Std;

use loom::sync::Mutex;
use loom::sync::atomic::{AtomicBool, Ordering};

/// std's cell, with its flag in loom's hands.
#[derive(Debug)]
pub(crate) struct OnceLock<T> {
    value: Std<T>,
    is_set: AtomicBool,
    setting: Mutex<()>,
}

/// So many cells that are not set.
pub(crate) fn empty<T, const N: usize>() -> [OnceLock<T>; N] {
    std::array::from_fn(|_| OnceLock::new())
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> Self {
        Self { value: Std::new(), is_set: AtomicBool::new(false), setting: Mutex::new(()) }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(Ordering::Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _setting = self.setting.lock().expect("nothing panics while it is held");
        self.value.set(value)?;
        self.is_set.store(true, Ordering::Release);
        Ok(())
    }

    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _setting = self.setting.lock().expect("nothing panics while it is held");
        let value = self.value.get_or_init(make);
        self.is_set.store(true, Ordering::Release);
        value
    }
}
