//! What becomes of what jobs print.

/// Where a worker's stdout goes. It never carries the protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stdout {
    /// With stderr into the tail that errors show.
    #[default]
    Captured,
    /// Nowhere.
    Discarded,
    /// Where this process's stdout goes.
    Inherited,
}
