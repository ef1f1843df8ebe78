//! The signs of life of a pool.

use super::error::StartError;

/// What [`ready`](super::ProcessPool::ready) and [`shutdown`](super::ProcessPool::shutdown) wait for.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse {
    pub(super) slots: usize,
    pub(super) alive: usize,
    pub(super) broken: Option<StartError>,
}
