//! Permits: what is in use, given back on drop.

use std::sync::Arc;

use super::Semaphore;

/// A right to go on, given back when dropped. Made by [`Semaphore::acquire`] and its relatives.
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a> {
    semaphore: &'a Semaphore,
    weight: u32,
}

impl<'a> SemaphorePermit<'a> {
    #[inline]
    pub(super) fn new(semaphore: &'a Semaphore, weight: u32) -> Self {
        Self { semaphore, weight }
    }

    /// Takes the permit out of the semaphore for good: the limit falls by its weight (to 0 at least), so that what is
    /// available stays as it was. A later [`resize`](Semaphore::resize) or [`add_permits`](Semaphore::add_permits) brings
    /// it back.
    pub fn forget(mut self) {
        let weight = std::mem::take(&mut self.weight);
        self.semaphore.give_forgotten(weight);
    }

    /// Joins `other` to this permit, which counts for both from then on.
    ///
    /// # Panics
    /// When they come from different semaphores.
    pub fn merge(&mut self, mut other: Self) {
        let same = std::ptr::eq(self.semaphore, other.semaphore);
        assert!(same, "permits of different semaphores cannot be merged");
        self.weight += std::mem::take(&mut other.weight);
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
        let weight = u32::try_from(n).ok().filter(|weight| *weight <= self.weight)?;
        self.weight -= weight;
        Some(Self { semaphore: self.semaphore, weight })
    }

    /// How many it counts for.
    pub fn num_permits(&self) -> usize {
        self.weight as usize
    }
}

impl Drop for SemaphorePermit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.weight != 0 {
            self.semaphore.give(self.weight);
        }
    }
}

/// As [`SemaphorePermit`], and it keeps the semaphore alive. Made by [`Semaphore::acquire_owned`] and its relatives.
#[derive(Debug)]
#[must_use = "a permit that is not kept is given back at once"]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit {
    semaphore: Arc<Semaphore>,
    weight: u32,
}

impl OwnedSemaphorePermit {
    #[inline]
    pub(super) fn new(semaphore: Arc<Semaphore>, weight: u32) -> Self {
        Self { semaphore, weight }
    }

    /// As [`SemaphorePermit::forget`].
    pub fn forget(mut self) {
        let weight = std::mem::take(&mut self.weight);
        self.semaphore.give_forgotten(weight);
    }

    /// As [`SemaphorePermit::merge`].
    ///
    /// # Panics
    /// When they come from different semaphores.
    pub fn merge(&mut self, mut other: Self) {
        let same = Arc::ptr_eq(&self.semaphore, &other.semaphore);
        assert!(same, "permits of different semaphores cannot be merged");
        self.weight += std::mem::take(&mut other.weight);
    }

    /// As [`SemaphorePermit::split`].
    pub fn split(&mut self, n: usize) -> Option<Self> {
        let weight = u32::try_from(n).ok().filter(|weight| *weight <= self.weight)?;
        self.weight -= weight;
        Some(Self { semaphore: Arc::clone(&self.semaphore), weight })
    }

    /// How many it counts for.
    pub fn num_permits(&self) -> usize {
        self.weight as usize
    }

    /// The semaphore it came from.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }
}

impl Drop for OwnedSemaphorePermit {
    #[inline]
    fn drop(&mut self) {
        if self.weight != 0 {
            self.semaphore.give(self.weight);
        }
    }
}
