//! Permits: what is in use, given back on drop.

use std::sync::Arc;

use super::Semaphore;

/// What a permit holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) weight: u32,
    /// It was waited for, so others probably wait as well: giving back looks for them first.
    pub(super) waited: bool,
}

impl Taken {
    #[inline]
    pub(super) fn at_once(weight: u32) -> Self {
        Self { weight, waited: false }
    }

    /// Nothing is left here: what was held is in the hands of the caller.
    #[inline]
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::at_once(0))
    }

    fn merge(&mut self, other: Self) {
        self.weight += other.weight;
        self.waited |= other.waited;
    }

    fn split(&mut self, n: usize) -> Option<Self> {
        let weight = u32::try_from(n).ok().filter(|weight| *weight <= self.weight)?;
        self.weight -= weight;
        Some(Self { weight, ..*self })
    }
}

/// A right to go on, given back when dropped. Made by [`Semaphore::acquire`] and its relatives.
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    taken: Taken,
}

impl<'a> SemaphorePermit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, taken: Taken) -> Self {
        Self { semaphore, taken }
    }

    /// Takes the permit out of the semaphore for good: the limit falls by its weight (to 0 at least), so that what is
    /// available stays as it was. A later [`resize`](Semaphore::resize) or [`add_permits`](Semaphore::add_permits) brings
    /// it back.
    pub fn forget(mut self) {
        let Taken { weight, .. } = self.taken.take();
        self.semaphore.give_forgotten(weight);
    }

    /// Joins `other` to this permit, which counts for both from then on.
    ///
    /// # Panics
    /// When they come from different semaphores.
    pub fn merge(&mut self, mut other: Self) {
        let same = self.is_of(other.semaphore);
        assert!(same, "permits of different semaphores cannot be merged");
        self.taken.merge(other.taken.take());
    }

    /// Splits off a permit that counts for `n`; `None` if this one counts for less.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = tidegate_limiter::Semaphore::new(5);
    /// let mut rest = semaphore.try_acquire_many(5)?;
    /// let two = rest.split(2).expect("2 are fewer than 5");
    /// drop(two);
    /// assert_eq!((rest.num_permits(), semaphore.in_use()), (3, 3));
    /// # Ok::<(), tidegate_limiter::TryAcquireError>(())
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let taken = self.taken.split(n)?;
        Some(Self { semaphore: self.semaphore, taken })
    }

    /// How many it counts for.
    pub fn num_permits(&self) -> usize {
        self.taken.weight as usize
    }

    pub(crate) fn is_of(&self, semaphore: &Semaphore) -> bool {
        std::ptr::eq(self.semaphore, semaphore)
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.taken.weight != 0 {
            self.semaphore.give(self.taken);
        }
    }
}

/// As [`SemaphorePermit`], and it keeps the semaphore alive. Made by [`Semaphore::acquire_owned`] and its relatives.
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    taken: Taken,
}

impl OwnedSemaphorePermit {
    #[inline]
    pub(super) fn new(semaphore: Arc<Semaphore>, taken: Taken) -> Self {
        Self { semaphore, taken }
    }

    /// As [`SemaphorePermit::forget`].
    pub fn forget(mut self) {
        let Taken { weight, .. } = self.taken.take();
        self.semaphore.give_forgotten(weight);
    }

    /// As [`SemaphorePermit::merge`].
    ///
    /// # Panics
    /// When they come from different semaphores.
    pub fn merge(&mut self, mut other: Self) {
        let same = Arc::ptr_eq(&self.semaphore, &other.semaphore);
        assert!(same, "permits of different semaphores cannot be merged");
        self.taken.merge(other.taken.take());
    }

    /// As [`SemaphorePermit::split`].
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let taken = self.taken.split(n)?;
        Some(Self { semaphore: Arc::clone(&self.semaphore), taken })
    }

    /// How many it counts for.
    pub fn num_permits(&self) -> usize {
        self.taken.weight as usize
    }

    /// The semaphore it came from.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        if self.taken.weight != 0 {
            self.semaphore.give(self.taken);
        }
    }
}
