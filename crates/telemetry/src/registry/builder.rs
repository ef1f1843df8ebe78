//! A registry before it is there.

use crate::error::RegisterError;
use crate::registry::Registry;

/// Settings of a new registry; from [`Registry::builder`].
///
/// ```
/// use tidegate_telemetry::{Format, Registry};
///
/// let registry = Registry::builder().prefix("shop").label("zone", "eu").build()?;
/// registry.counter("orders_total", "Orders.")?.inc();
/// assert_eq!(registry.value("orders_total"), Some(1.0));
/// assert!(registry.render(Format::Text).ends_with("shop_orders_total{zone=\"eu\"} 1\n"));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Builder {
    prefix: Option<String>,
    constant: Vec<(String, String)>,
    created: bool,
}

impl Builder {
    /// Puts `prefix` and a `_` before the name of every metric.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Adds a label to every series.
    #[must_use]
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.constant.push((name.into(), value.into()));
        self
    }

    /// Writes in OpenMetrics when each counter and histogram was made, as a sample that ends in `_created`.
    ///
    /// Off unless asked for: a server that does not know them stores each as one more series.
    #[must_use]
    pub fn created_timestamps(mut self) -> Self {
        self.created = true;
        self
    }

    /// The registry.
    ///
    /// # Errors
    ///
    /// The prefix cannot begin a metric's name, or a label cannot be used.
    pub fn build(self) -> Result<Registry, RegisterError> {
        let root = Registry::with_created(self.created);
        let named = self.prefix.map_or(Ok(root.clone()), |prefix| root.with_prefix(&prefix))?;
        self.constant
            .into_iter()
            .try_fold(named, |scope, (name, value)| scope.with_label(name, value))
    }
}
