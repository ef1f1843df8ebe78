//! The pools for work that must not run on the runtime's workers, started when first asked for.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_pools::Offload;

/// The orchestrator's CPU and blocking pool. Without a task that asks for them there are no threads.
#[derive(Debug, Default)]
pub(crate) struct Pools(Mutex<Option<Arc<Offload>>>);

impl Pools {
    /// The pools, started now if they were not.
    pub(crate) fn get(&self) -> io::Result<Arc<Offload>> {
        let mut pools = self.0.lock();
        match &*pools {
            Some(pools) => Ok(Arc::clone(pools)),
            None => Ok(Arc::clone(pools.insert(Arc::new(Offload::new()?)))),
        }
    }
}
