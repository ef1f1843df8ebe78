//! What a result was computed from.

mod encoder;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Serialize;

use crate::task::TaskError;

/// What a result was computed from: the kind of the computation, its version and its inputs.
#[derive(Debug, Clone)]
pub struct Key {
    /// BLAKE3: nobody finds two inputs of one digest.
    pub(super) digest: [u8; 32],
    pub(super) tags: Arc<[Arc<str>]>,
}

impl Key {
    /// A key of these. Raise the version when the computation changes: results of other versions are not found.
    ///
    /// Inputs that differ have different keys, also those whose type does not tell them apart: a `serde_json::Value`, a struct
    /// that leaves fields out. Maps are the same in whatever order their entries come, a `HashSet` is not.
    ///
    /// # Errors
    /// The inputs cannot be serialized.
    pub fn new(
        kind: &str,
        version: u32,
        inputs: &(impl Serialize + ?Sized),
    ) -> Result<Self, TaskError> {
        let bytes = encoder::encode(&(kind, version, inputs))
            .map_err(|error| TaskError::fatal(format!("no cache key of `{kind}`: {error}")))?;
        Ok(Self { digest: *blake3::hash(&bytes).as_bytes(), tags: Arc::default() })
    }

    /// What the result depends on besides, for [`ResultCache::invalidate_tag`](super::ResultCache::invalidate_tag). Tags do not tell keys apart.
    pub fn tags<T: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}
