//! Which metrics there are, and which names they take.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::error::RegisterError;
use crate::family::{Family, Shape};
use crate::kind::Kind;
use crate::{name, report};

/// Which metrics there are, and which names they take.
///
/// A metric has a part for each set of constant labels under which it was registered: the parts have the same shape, so
/// that together they are one metric to whoever scrapes, and no two of their series have the same labels.
#[derive(Debug)]
pub(super) struct Families {
    metrics: BTreeMap<String, Vec<Arc<Family>>>,
    /// Sample names, and the metric that has each.
    claimed: HashMap<String, String>,
    /// The parts again, by name and then by constant labels, so that reading them takes the lock only for a moment and
    /// allocates nothing.
    list: Arc<[Arc<Family>]>,
}

impl Families {
    pub(super) fn new() -> Self {
        let mut families =
            Self { metrics: BTreeMap::new(), claimed: HashMap::new(), list: Arc::new([]) };
        report::NAMES.iter().for_each(|name| families.claim(name, Kind::Counter));
        families
    }

    /// Every part of every metric, those of one metric one after the other.
    pub(super) fn list(&self) -> Arc<[Arc<Family>]> {
        Arc::clone(&self.list)
    }

    /// The parts of a metric that have these constant labels, among others.
    pub(super) fn parts(
        &self,
        name: &str,
        constant: &[(String, String)],
    ) -> impl Iterator<Item = &Arc<Family>> {
        let parts = self.metrics.get(name).map_or(&[][..], Vec::as_slice);
        parts.iter().filter(|family| family.is_within(constant))
    }

    /// The part of a metric that has exactly these constant labels, if it has the same shape.
    pub(super) fn existing(
        &self,
        name: &str,
        constant: &[(String, String)],
        shape: &Shape,
    ) -> Option<Result<Arc<Family>, RegisterError>> {
        let parts = self.metrics.get(name)?;
        let family = parts.iter().find(|family| *family.constant == *constant)?;
        let differs = |what| RegisterError::Differs { metric: name.to_owned(), what };
        Some(shape.difference(&family.shape).map_or(Ok(Arc::clone(family)), |w| Err(differs(w))))
    }

    /// Refuses a metric that would meet another one in either format.
    pub(super) fn check(
        &self,
        name: &str,
        constant: &[(String, String)],
        shape: &Shape,
    ) -> Result<(), RegisterError> {
        let taken = |sample: &str, owner: &str| {
            let (metric, sample, owner) = (name.to_owned(), sample.to_owned(), owner.to_owned());
            Err(RegisterError::Taken { metric, sample, owner })
        };
        if let Some(parts) = self.metrics.get(name) {
            if parts.iter().any(|family| *family.constant == *constant) {
                return taken(name, name);
            }
            let other = parts.first().expect("a metric has a part");
            let names = |labels: &[(String, String)]| -> Vec<String> {
                labels.iter().map(|(name, _)| name.clone()).collect()
            };
            let differs = |what| Err(RegisterError::Differs { metric: name.to_owned(), what });
            return match shape.difference(&other.shape) {
                Some(what) => differs(what),
                None if names(constant) != names(&other.constant) => {
                    differs("list of constant labels")
                }
                None => Ok(()),
            };
        }
        for sample in name::claims(name, shape.kind) {
            if let Some(owner) = self.claimed.get(&sample) {
                return taken(&sample, owner);
            }
        }
        Ok(())
    }

    /// Adds a part that [`check`](Self::check) let pass.
    pub(super) fn add(&mut self, family: Arc<Family>) {
        self.claim(&family.name, family.shape.kind);
        let parts = self.metrics.entry(family.name.clone()).or_default();
        parts.push(family);
        parts.sort_by(|a, b| a.constant.cmp(&b.constant));
        self.relist();
    }

    /// Removes the parts of a metric that have these constant labels, among others; for the caller to drop, since a
    /// callback is foreign code.
    pub(super) fn remove(&mut self, name: &str, constant: &[(String, String)]) -> Vec<Arc<Family>> {
        let Some(parts) = self.metrics.get_mut(name) else { return Vec::new() };
        let removed = parts.extract_if(.., |family| family.is_within(constant)).collect();
        if parts.is_empty() {
            self.metrics.remove(name);
            self.claimed.retain(|_, owner| owner != name);
        }
        self.relist();
        removed
    }

    fn claim(&mut self, name: &str, kind: Kind) {
        let claims = name::claims(name, kind);
        self.claimed.extend(claims.into_iter().map(|sample| (sample, name.to_owned())));
    }

    fn relist(&mut self) {
        self.list = self.metrics.values().flatten().cloned().collect();
    }
}
