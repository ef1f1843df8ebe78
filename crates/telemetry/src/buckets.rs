//! The upper bounds of a histogram's buckets.

/// The upper bounds of a histogram's buckets; the bucket for everything above the last is always there.
///
/// Bounds are checked when the histogram is registered: finite, rising, at most 500.
///
/// ```
/// use tidegate_telemetry::Buckets;
///
/// assert_eq!(Buckets::linear(1.0, 2.0, 3).bounds(), [1.0, 3.0, 5.0]);
/// assert_eq!(Buckets::exponential(1.0, 10.0, 3).bounds(), [1.0, 10.0, 100.0]);
/// assert_eq!(Buckets::from([0.1, 0.5]).bounds(), [0.1, 0.5]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets(Vec<f64>);

impl Buckets {
    /// `count` bounds from `start` on, each `width` above the last.
    pub fn linear(start: f64, width: f64, count: usize) -> Self {
        Self((0..count).map(|i| start + width * i as f64).collect())
    }

    /// `count` bounds from `start` on, each `factor` times the last.
    pub fn exponential(start: f64, factor: f64, count: usize) -> Self {
        Self((0..count).map(|i| start * factor.powi(i as i32)).collect())
    }

    /// The bounds.
    pub fn bounds(&self) -> &[f64] {
        &self.0
    }

    /// The bounds as a histogram uses them: without an explicit last `+Inf`, and 0 without a sign.
    pub(crate) fn checked(&self) -> Result<Vec<f64>, String> {
        let mut bounds = self.0.clone();
        if bounds.last() == Some(&f64::INFINITY) {
            bounds.pop();
        }
        if let Some(bad) = bounds.iter().find(|b| !b.is_finite()) {
            return Err(format!("bucket bound {bad} is not a finite number"));
        }
        if let Some(pair) = bounds.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(format!(
                "bucket bounds must rise, but {} comes before {}",
                pair[0], pair[1]
            ));
        }
        if bounds.len() > MAX_BOUNDS {
            return Err(format!("{} bucket bounds are more than {MAX_BOUNDS}", bounds.len()));
        }
        // -0 and 0 are one bound, and are written alike.
        bounds.iter_mut().for_each(|b| *b += 0.0);
        Ok(bounds)
    }
}

/// Most bounds that a histogram may have.
pub(crate) const MAX_BOUNDS: usize = 500;

/// Bounds for the seconds that a request takes: 0.005 to 10, eleven of them.
impl Default for Buckets {
    fn default() -> Self {
        Self::from([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
    }
}

impl<const N: usize> From<[f64; N]> for Buckets {
    fn from(bounds: [f64; N]) -> Self {
        Self(bounds.to_vec())
    }
}

impl From<Vec<f64>> for Buckets {
    fn from(bounds: Vec<f64>) -> Self {
        Self(bounds)
    }
}

impl From<&[f64]> for Buckets {
    fn from(bounds: &[f64]) -> Self {
        Self(bounds.to_vec())
    }
}
