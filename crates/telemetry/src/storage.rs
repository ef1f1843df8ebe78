//! What the series of a family hold their values in.

use std::cell::RefCell;
use std::fmt;
use std::thread::LocalKey;

use crate::family::{Heads, Writer};
use crate::series::Series;
use crate::snapshot::Value;
use crate::store::Seen;

/// What a series holds its value in.
pub(crate) trait Storage: fmt::Debug + Sized + Send + Sync + 'static {
    /// What all series of a family share.
    type Spec: Clone + Send + Sync;

    /// A new value at zero; `None` when the process has no cells left.
    fn make(spec: &Self::Spec) -> Option<Self>;

    /// Differs when the value was touched (for a gauge: when it changed).
    fn version(&self) -> u64;

    /// The value now.
    fn read(&self) -> Value;

    /// Appends the lines of a series.
    fn write(series: &Series<Self>, heads: &Heads, to: &mut Writer<'_>);

    /// How many values were left out because no series can hold them.
    fn invalid(spec: &Self::Spec) -> u64;

    /// The tables that the calling thread saw last.
    fn seen() -> &'static LocalKey<RefCell<Vec<Seen<Self>>>>;
}
