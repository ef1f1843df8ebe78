//! How a task's priority and estimate are chosen.

/// A rule of priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The longest way to the end first, from 0.4 of the task on, with exact estimates: what the orchestrator does by itself.
    CriticalPath,
    /// The same with estimates that are off by a log-normal factor of σ = 0.5.
    Noisy,
    /// The same with the mean of all tasks of the same name as the estimate.
    ByName,
    /// In the order in which they became ready.
    Fifo,
    /// 0.3 × base + 0.2 / time + 0.3 × dependents + 0.2 / complexity, base and complexity being 1.
    Weighted,
    /// By lot.
    Random,
}

impl Rule {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CriticalPath => "critical path",
            Self::Noisy => "critical path, noise 0.5",
            Self::ByName => "critical path, mean by name",
            Self::Fifo => "first in, first out",
            Self::Weighted => "weighted score",
            Self::Random => "random",
        }
    }
}

/// A generator that repeats: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(crate) struct Lot(pub(crate) u64);

impl Lot {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// A factor whose logarithm is normal with deviation `sigma` (Box and Muller, 1958).
    pub(crate) fn log_normal(&mut self, sigma: f64) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        (sigma * radius * (std::f64::consts::TAU * self.unit()).cos()).exp()
    }
}
