//! All metrics of a program.

mod builder;
mod families;
mod reading;
mod shortcuts;

use std::fmt;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use builder::Builder;
use families::Families;

use crate::definition::Definition;
use crate::error::RegisterError;
use crate::family::{Constant, Family, Shape};
use crate::kind::Kind;
use crate::{name, report};

/// All metrics of a program, or of a part of it; clones are the same registry.
///
/// Registration refuses whatever would spoil a scrape, so that what is registered can always be read. Names are given
/// without the registry's prefix and are exposed with it; constant labels are exposed with every series, and are not
/// named when a value is read back.
///
/// ```
/// use tidegate_telemetry::{Format, Registry};
///
/// let registry = Registry::new();
/// let depth = registry.gauge("queue_depth", "Jobs that wait.")?;
/// depth.set(7.0);
/// assert_eq!(registry.value("queue_depth"), Some(7.0));
/// assert_eq!(
///     registry.render(Format::Text),
///     "# HELP queue_depth Jobs that wait.\n# TYPE queue_depth gauge\nqueue_depth 7\n",
/// );
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
///
/// A part of a program gets a scope: the same registry under a prefix or with a label of its own. It registers and reads
/// back by short names, and does not need to know where it stands.
///
/// ```
/// # use tidegate_telemetry::{Format, Registry};
/// # let registry = Registry::new();
/// for shard in ["a", "b"] {
///     let scope = registry.with_prefix("cache")?.with_label("shard", shard)?;
///     scope.counter("hits_total", "Hits.")?.inc();
///     assert_eq!(scope.value("hits_total"), Some(1.0));
/// }
/// assert_eq!(registry.value_of("cache_hits_total", &[("shard", "b")]), Some(1.0));
/// assert_eq!(registry.sum("cache_hits_total"), Some(2.0));
/// assert!(registry.render(Format::Text).ends_with("cache_hits_total{shard=\"a\"} 1\ncache_hits_total{shard=\"b\"} 1\n"));
/// # Ok::<(), tidegate_telemetry::RegisterError>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
    prefix: Arc<str>,
    constant: Constant,
}

/// What all scopes of a registry have in common.
struct Shared {
    created: bool,
    families: RwLock<Families>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::with_created(false)
    }

    /// A registry with a prefix, constant labels or created timestamps.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn with_created(created: bool) -> Self {
        let shared = Shared { created, families: RwLock::new(Families::new()) };
        Self { shared: Arc::new(shared), prefix: "".into(), constant: Arc::new([]) }
    }

    /// The same registry, for metrics whose names begin with `prefix` and a `_`, after the prefix that this scope has; an empty
    /// one changes nothing.
    ///
    /// Rendering, [`encode`](Self::encode), [`snapshot`](Self::snapshot) and [`expire`](Self::expire) are about the whole
    /// registry in every scope; registering, reading back by name and [`unregister`](Self::unregister) are about the scope.
    ///
    /// # Errors
    ///
    /// No metric's name can begin like that.
    pub fn with_prefix(&self, prefix: &str) -> Result<Self, RegisterError> {
        if prefix.is_empty() {
            return Ok(self.clone());
        }
        let prefix = format!("{}{prefix}_", self.prefix);
        name::check_metric(&format!("{prefix}x"), Kind::Gauge)?;
        Ok(Self { prefix: prefix.into(), ..self.clone() })
    }

    /// The same registry, for metrics whose series all have this label, besides those that this scope has.
    ///
    /// A metric can be registered once for each value of the label, provided that it has the same kind, labels and bounds
    /// each time; its description is that of the first value. See [`with_prefix`](Self::with_prefix) for what a scope is.
    ///
    /// # Errors
    ///
    /// The label's name cannot be used, or the scope has the label.
    pub fn with_label(
        &self,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, RegisterError> {
        let label = (name.into(), value.into());
        let constant: Constant = self.constant.iter().cloned().chain([label]).collect();
        // Our own reports have the label `metric`.
        name::check_labels(report::OVERFLOW.name, Kind::Counter, &constant, &["metric"])?;
        Ok(Self { constant, ..self.clone() })
    }

    /// Describes a metric with more than a name and a help text, to be registered by the last call of the chain.
    pub fn define(&self, name: impl Into<String>, help: impl Into<String>) -> Definition<'_> {
        Definition::new(self, name.into(), help.into())
    }

    /// Removes a metric with all its series in this scope; whether there was one. Handles go on working, but nobody
    /// reads them.
    pub fn unregister(&self, name: &str) -> bool {
        let name = self.full_name(name);
        let mut families = self.families_mut();
        let removed = families.remove(&name, &self.constant);
        // The last drop of a family may drop a callback, which is foreign code.
        drop(families);
        !removed.is_empty()
    }

    pub(crate) fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(crate) fn constant(&self) -> &Constant {
        &self.constant
    }

    /// Adds a metric to this scope, or refuses it; with `reuse`, hands back the one that is there.
    pub(crate) fn add(
        &self,
        name: &str,
        shape: &Shape,
        reuse: bool,
        make: impl FnOnce() -> Option<Family>,
    ) -> Result<Arc<Family>, RegisterError> {
        let mut families = self.families_mut();
        if reuse && let Some(existing) = families.existing(name, &self.constant, shape) {
            return existing;
        }
        families.check(name, &self.constant, shape)?;
        let family = make().ok_or_else(|| RegisterError::Exhausted { metric: name.to_owned() })?;
        let family = Arc::new(family);
        families.add(Arc::clone(&family));
        Ok(family)
    }

    fn families(&self) -> RwLockReadGuard<'_, Families> {
        self.shared.families.read().expect("nothing panics while the lock is held")
    }

    fn families_mut(&self) -> RwLockWriteGuard<'_, Families> {
        self.shared.families.write().expect("nothing panics while the lock is held")
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.families().list();
        f.debug_struct("Registry")
            .field("prefix", &self.prefix)
            .field("constant", &self.constant)
            .field("metrics", &list.iter().map(|family| &family.name).collect::<Vec<_>>())
            .finish()
    }
}
