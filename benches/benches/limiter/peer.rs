//! What the contenders have in common.

/// A semaphore under measurement.
pub(crate) trait Peer: Send + Sync + 'static {
    fn new(limit: usize) -> Self;
    fn acquire(&self) -> impl Future<Output = impl Send> + Send;
    fn try_acquire(&self) -> Option<impl Sized>;
}

impl Peer for tidegate_limiter::Semaphore {
    fn new(limit: usize) -> Self {
        Self::new(limit)
    }
    #[inline]
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        self.acquire()
    }
    #[inline]
    fn try_acquire(&self) -> Option<impl Sized> {
        self.try_acquire().ok()
    }
}

impl Peer for tokio::sync::Semaphore {
    fn new(limit: usize) -> Self {
        Self::new(limit)
    }
    #[inline]
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        self.acquire()
    }
    #[inline]
    fn try_acquire(&self) -> Option<impl Sized> {
        self.try_acquire().ok()
    }
}

impl Peer for asyncband::semaphore::Semaphore {
    fn new(limit: usize) -> Self {
        Self::new(limit)
    }
    #[inline]
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        self.acquire(1)
    }
    #[inline]
    fn try_acquire(&self) -> Option<impl Sized> {
        self.try_acquire(1)
    }
}

impl Peer for async_lock::Semaphore {
    fn new(limit: usize) -> Self {
        Self::new(limit)
    }
    #[inline]
    fn acquire(&self) -> impl Future<Output = impl Send> + Send {
        self.acquire()
    }
    #[inline]
    fn try_acquire(&self) -> Option<impl Sized> {
        self.try_acquire()
    }
}
