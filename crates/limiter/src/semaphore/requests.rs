//! The ways to ask for a permit: async, at once, blocking; borrowing and owned.

use std::sync::Arc;

use super::{
    Acquire, AcquireError, AcquireOwned, OwnedSemaphorePermit, Semaphore, SemaphorePermit, Taken,
    TryAcquireError,
};

impl Semaphore {
    /// A permit, once all who asked before have had theirs.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the place in the queue and nothing else; a permit that was granted meanwhile goes to
    /// the next in line.
    ///
    /// # Errors
    /// The future fails with [`AcquireError::Closed`] once the semaphore is closed, and with
    /// [`AcquireError::QueueFull`] where the queue is bounded.
    ///
    /// # Examples
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let semaphore = tidegate_limiter::Semaphore::new(3);
    /// let permit = semaphore.acquire().await?;
    /// assert_eq!(semaphore.available(), 2);
    /// # drop(permit);
    /// # Ok::<(), tidegate_limiter::AcquireError>(())
    /// # }).unwrap();
    /// ```
    #[inline]
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire::new(self, 1)
    }

    /// A permit that counts for `n`, once all who asked before have had theirs. With `n` = 0 it is there at once, unless
    /// the semaphore is closed.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire); and [`AcquireError::ExceedsLimit`] when `n` is above a limit other than 0, now
    /// or while it waits, unless the request chose to [wait for growth](Acquire::or_wait_for_growth).
    #[inline]
    pub fn acquire_many(&self, n: u32) -> Acquire<'_> {
        Acquire::new(self, n)
    }

    /// As [`acquire`](Self::acquire), with a permit that keeps the semaphore alive and may be moved to another task.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    #[inline]
    pub fn acquire_owned(self: Arc<Self>) -> AcquireOwned {
        AcquireOwned::new(self, 1)
    }

    /// As [`acquire_many`](Self::acquire_many), with a permit that keeps the semaphore alive.
    ///
    /// # Cancel safety
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Errors
    /// As for [`acquire_many`](Self::acquire_many).
    #[inline]
    pub fn acquire_many_owned(self: Arc<Self>, n: u32) -> AcquireOwned {
        AcquireOwned::new(self, n)
    }

    /// A permit, if one is free and nobody waits.
    ///
    /// # Errors
    /// [`TryAcquireError::Closed`]; [`TryAcquireError::NoPermits`] when the limit is reached *or someone waits*.
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// A permit that counts for `n`, if it fits and nobody waits.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.take(n)?;
        Ok(SemaphorePermit::new(self, Taken::at_once(n)))
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_many`](Self::try_acquire_many), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.take(n)?;
        Ok(OwnedSemaphorePermit::new(self, Taken::at_once(n)))
    }

    /// A permit, for code that is not async: the thread sleeps until it is its turn, in the same queue as the tasks.
    ///
    /// Inside an async runtime it blocks a thread of the runtime, which may then be the one that would release.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use tidegate_limiter::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// std::thread::scope(|scope| {
    ///     for _ in 0..8 {
    ///         scope.spawn(|| {
    ///             let _permit = semaphore.blocking_acquire().expect("nobody closes it");
    ///             assert!(semaphore.in_use() <= 2);
    ///         });
    ///     }
    /// });
    /// ```
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire().wait()
    }

    /// As [`blocking_acquire`](Self::blocking_acquire), with a permit that counts for `n`.
    ///
    /// # Errors
    /// As for [`acquire_many`](Self::acquire_many).
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.acquire_many(n).wait()
    }

    /// As [`blocking_acquire`](Self::blocking_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`acquire`](Self::acquire).
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_owned().wait()
    }

    /// As [`blocking_acquire_many`](Self::blocking_acquire_many), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    /// As for [`acquire_many`](Self::acquire_many).
    pub fn blocking_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.acquire_many_owned(n).wait()
    }
}
