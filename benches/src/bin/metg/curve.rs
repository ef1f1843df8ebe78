//! From measured runs to the granularity at which an efficiency is reached.

/// One measured run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    /// The kernel's length on a quiet machine over the efficiency, in microseconds: there, wall time × workers ÷ tasks.
    pub(crate) granularity_us: f64,
    /// The time that the kernels alone need on all workers, over the wall time, both on the machine as it was.
    pub(crate) efficiency: f64,
}

impl Point {
    pub(crate) fn new(kernel_us: f64, alone_us: f64, wall_us: f64) -> Self {
        let efficiency = alone_us / wall_us;
        Self { granularity_us: kernel_us / efficiency, efficiency }
    }
}

/// The smallest granularity at which `efficiency` is reached: the minimum effective task granularity of Task Bench (Slaughter
/// et al., 2020), between the two neighbouring points by a straight line in the logarithms of both. `None` if no point
/// reaches it.
///
/// Points come from the longest kernel to the shortest. The crossing that counts is the first on the way down: a lucky
/// short run beyond it proves nothing.
pub(crate) fn metg(points: &[Point], efficiency: f64) -> Option<f64> {
    let first = points.iter().position(|point| efficiency <= point.efficiency)?;
    let points = &points[first..];
    let Some(below) = points.iter().position(|point| point.efficiency < efficiency) else {
        return points.last().map(|last| last.granularity_us);
    };
    let (above, below) = (points[below - 1], points[below]);
    let along =
        (efficiency.ln() - below.efficiency.ln()) / (above.efficiency.ln() - below.efficiency.ln());
    let (from, to) = (below.granularity_us.ln(), above.granularity_us.ln());
    Some((from + along * (to - from)).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: &[(f64, f64)]) -> Vec<Point> {
        of.iter()
            .map(|&(granularity_us, efficiency)| Point { granularity_us, efficiency })
            .collect()
    }

    #[test]
    fn efficiency_is_kernel_time_over_granularity() {
        // 100 tasks of 8 µs on 2 workers need 400 µs; they took 500.
        let point = Point::new(8.0, 400.0, 500.0);
        assert_eq!(point, Point { granularity_us: 10.0, efficiency: 0.8 });
    }

    #[test]
    fn a_machine_that_is_half_as_fast_changes_nothing() {
        assert_eq!(Point::new(8.0, 400.0, 500.0), Point::new(8.0, 800.0, 1000.0));
    }

    #[test]
    fn the_crossing_lies_half_way_in_the_logarithms() {
        // 0.5 is the geometric mean of 1.0 and 0.25, 40 that of 80 and 20.
        let found = metg(&points(&[(80.0, 1.0), (20.0, 0.25)]), 0.5).expect("0.5 is crossed");
        assert!((found - 40.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn the_first_crossing_on_the_way_down_counts() {
        let measured = points(&[(90.0, 0.2), (80.0, 1.0), (20.0, 0.25), (10.0, 0.9)]);
        let found = metg(&measured, 0.5).expect("0.5 is crossed");
        assert!((found - 40.0).abs() < 1e-9, "{found}");
    }

    #[test]
    fn what_is_never_reached_has_no_granularity_and_what_is_never_lost_the_smallest() {
        assert_eq!(metg(&points(&[(80.0, 0.8), (20.0, 0.25)]), 0.9), None);
        assert_eq!(metg(&points(&[(80.0, 0.9), (20.0, 0.7)]), 0.5), Some(20.0));
    }
}
