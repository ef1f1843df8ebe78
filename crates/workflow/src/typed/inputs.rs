//! What a typed task may come after, and how an attempt reads it.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::Handle;
use crate::context::{Context, InputError, Missing};

/// What a task comes after: nothing, a [`Handle`] by reference, an [`Optional`] one, a slice or `Vec` of handles, a `Vec` of
/// optional ones, or a tuple of up to eight of these. Nobody else can implement it.
#[diagnostic::on_unimplemented(
    message = "a task cannot come after a `{Self}`",
    label = "neither a handle nor a group of handles",
    note = "give `&handle`, `handle.optional()`, `handles` or `&handles` of a `Vec`, or a tuple of these: `(&fetch, &rules)`"
)]
pub trait Inputs {
    /// What the work gets: `Arc<T>` for a handle, `Option<Arc<T>>` for an optional one, a `Vec` of these for several, a tuple for
    /// a tuple.
    type Values: Send + 'static;

    /// Names what is needed, and gives what reads it.
    #[doc(hidden)]
    fn bind(self, needs: &mut Needs) -> Reader<Self::Values>;
}

/// Reads the inputs in an attempt.
pub(crate) type Reader<V> = Box<dyn Fn(&Context) -> Result<V, InputError> + Send + Sync>;

/// The ids of what a task comes after.
#[derive(Debug, Default)]
pub struct Needs {
    pub(crate) required: Vec<Arc<str>>,
    pub(crate) optional: Vec<Arc<str>>,
}

impl Needs {
    pub(crate) fn of<I: Inputs>(inputs: I) -> (Self, Reader<I::Values>) {
        let mut needs = Self::default();
        let read = inputs.bind(&mut needs);
        // A task may be read at several places and is needed once; what has to succeed is not wanted as well.
        let mut seen = HashSet::new();
        for ids in [&mut needs.required, &mut needs.optional] {
            ids.retain(|id| seen.insert(Arc::clone(id)));
        }
        (needs, read)
    }
}

/// A task that may also fail; see [`Handle::optional`].
pub struct Optional<'h, T>(pub(super) &'h Handle<T>);

impl<T> fmt::Debug for Optional<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Optional").field(self.0).finish()
    }
}

impl Inputs for () {
    type Values = ();

    fn bind(self, _: &mut Needs) -> Reader<()> {
        Box::new(|_| Ok(()))
    }
}

impl<T: Send + Sync + 'static> Inputs for &Handle<T> {
    type Values = Arc<T>;

    fn bind(self, needs: &mut Needs) -> Reader<Arc<T>> {
        let id = Arc::clone(&self.id);
        needs.required.push(Arc::clone(&id));
        Box::new(move |cx| cx.input(&id))
    }
}

impl<T: Send + Sync + 'static> Inputs for Optional<'_, T> {
    type Values = Option<Arc<T>>;

    fn bind(self, needs: &mut Needs) -> Reader<Option<Arc<T>>> {
        let id = Arc::clone(&self.0.id);
        needs.optional.push(Arc::clone(&id));
        Box::new(move |cx| match cx.input(&id) {
            Ok(value) => Ok(Some(value)),
            Err(InputError { why: Missing::DidNotSucceed, .. }) => Ok(None),
            Err(error) => Err(error),
        })
    }
}

impl<T: Send + Sync + 'static> Inputs for &[Handle<T>] {
    type Values = Vec<Arc<T>>;

    fn bind(self, needs: &mut Needs) -> Reader<Vec<Arc<T>>> {
        let ids: Vec<Arc<str>> = self.iter().map(|handle| Arc::clone(&handle.id)).collect();
        needs.required.extend(ids.iter().cloned());
        Box::new(move |cx| ids.iter().map(|id| cx.input(id)).collect())
    }
}

impl<T: Send + Sync + 'static> Inputs for &Vec<Handle<T>> {
    type Values = Vec<Arc<T>>;

    fn bind(self, needs: &mut Needs) -> Reader<Vec<Arc<T>>> {
        self.as_slice().bind(needs)
    }
}

impl<T: Send + Sync + 'static> Inputs for Vec<Handle<T>> {
    type Values = Vec<Arc<T>>;

    fn bind(self, needs: &mut Needs) -> Reader<Vec<Arc<T>>> {
        self.as_slice().bind(needs)
    }
}

impl<T: Send + Sync + 'static> Inputs for Vec<Optional<'_, T>> {
    type Values = Vec<Option<Arc<T>>>;

    fn bind(self, needs: &mut Needs) -> Reader<Vec<Option<Arc<T>>>> {
        let readers: Vec<_> = self.into_iter().map(|optional| optional.bind(needs)).collect();
        Box::new(move |cx| readers.iter().map(|read| read(cx)).collect())
    }
}

/// Tuples differ only in their length, which Rust cannot say but by repetition.
macro_rules! tuple {
    ($($part:ident),+) => {
        impl<$($part: Inputs),+> Inputs for ($($part,)+) {
            type Values = ($($part::Values,)+);

            #[expect(non_snake_case, reason = "the name of a part's type serves for its value")]
            fn bind(self, needs: &mut Needs) -> Reader<Self::Values> {
                let ($($part,)+) = self;
                $(let $part = $part.bind(needs);)+
                Box::new(move |cx| Ok(($($part(cx)?,)+)))
            }
        }
    };
}

tuple!(A);
tuple!(A, B);
tuple!(A, B, C);
tuple!(A, B, C, D);
tuple!(A, B, C, D, E);
tuple!(A, B, C, D, E, F);
tuple!(A, B, C, D, E, F, G);
tuple!(A, B, C, D, E, F, G, H);
