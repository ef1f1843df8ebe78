//! Who takes part.

use std::time::Duration;

use tidegate_limiter::{
    Aimd, EnvoyGradient, Fixed, Gradient2, Knee, Law, Sample, Threshold, ThresholdConfig, Vegas,
    Window,
};

use crate::scenario::Scenario;

/// A law with its settings, or the oracle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Oracle,
    KneeWait,
    Knee,
    Fixed,
    Threshold,
    Vegas,
    VegasWindowed,
    Envoy,
    Gradient2,
    Aimd,
    AimdTuned,
}

impl Contender {
    pub(crate) const ORACLE: Self = Self { name: "oracle", kind: Kind::Oracle };
    pub(crate) const KNEE: Self = Self { name: "Knee", kind: Kind::Knee };
    pub(crate) const KNEE_WAIT: Self = Self { name: "Knee, wait told", kind: Kind::KneeWait };

    pub(crate) const ALL: [Self; 11] = [
        Self::ORACLE,
        Self::KNEE_WAIT,
        Self::KNEE,
        Self { name: "fixed", kind: Kind::Fixed },
        Self { name: "Threshold, wait told", kind: Kind::Threshold },
        Self { name: "Vegas, 1 s windows", kind: Kind::VegasWindowed },
        Self { name: "Vegas", kind: Kind::Vegas },
        Self { name: "Envoy", kind: Kind::Envoy },
        Self { name: "Gradient2", kind: Kind::Gradient2 },
        Self { name: "Aimd, 100 ms, 2 × latency", kind: Kind::AimdTuned },
        Self { name: "Aimd", kind: Kind::Aimd },
    ];

    /// What steers one limiter in this scenario.
    pub(crate) fn steering(&self, scenario: &Scenario) -> Steering {
        let law: Option<Box<dyn Law>> = match self.kind {
            Kind::Oracle => None,
            Kind::KneeWait | Kind::Knee => Some(Box::new(Knee::default())),
            // Fixed by someone who knew the best limit of the beginning.
            Kind::Fixed => Some(Box::new(Fixed(share(scenario)))),
            Kind::Threshold => Some(Box::new(threshold())),
            Kind::Vegas => Some(Box::new(Vegas::default())),
            Kind::VegasWindowed => {
                Some(Box::new(Vegas::windowed(Window::every(Duration::from_secs(1), 10))))
            }
            Kind::Envoy => Some(Box::new(EnvoyGradient::default())),
            Kind::Gradient2 => Some(Box::new(Gradient2::default())),
            Kind::Aimd => Some(Box::new(Aimd::default())),
            Kind::AimdTuned => {
                let timeout = Duration::from_secs_f64(2.0 * scenario.best_latency(0.0));
                Some(Box::new(Aimd { min: 1, timeout, ..Aimd::default() }))
            }
        };
        let first = match self.kind {
            Kind::Oracle | Kind::Fixed => Some(share(scenario)),
            _ => None,
        };
        Steering { kind: self.kind, law, first }
    }
}

fn share(scenario: &Scenario) -> usize {
    (scenario.now(0.0).servers / scenario.limiters as f64).round() as usize
}

/// Every second: four less above a wait of 20 ms, else two more while anything is refused.
fn threshold() -> Threshold {
    Threshold::new(ThresholdConfig {
        base_limit: 20,
        min_limit: 1,
        max_limit: 1000,
        increase_step: 2,
        decrease_step: 4,
        queue_high_watermark: 1.0,
        gpu_wait_high: 0.020,
        error_rate_high: 0.05,
        adaptation_interval: Duration::from_secs(1),
    })
    .expect("these settings are in order")
}

/// A law at work on one limiter.
#[derive(Debug)]
pub(crate) struct Steering {
    kind: Kind,
    law: Option<Box<dyn Law>>,
    first: Option<usize>,
}

impl Steering {
    pub(crate) fn is_oracle(&self) -> bool {
        self.law.is_none()
    }

    pub(crate) fn is_told_the_wait(&self) -> bool {
        matches!(self.kind, Kind::KneeWait | Kind::Threshold)
    }

    pub(crate) fn first_limit(&self) -> Option<usize> {
        self.first
    }

    pub(crate) fn window(&self) -> Window {
        match (self.kind, &self.law) {
            (Kind::Threshold | Kind::Fixed, _) => Window::every(Duration::from_secs(1), 1),
            (Kind::AimdTuned, _) => Window::every(Duration::from_millis(100), 1),
            (_, Some(law)) => law.window(),
            (_, None) => Window::every(Duration::from_secs(1), 1),
        }
    }

    pub(crate) fn next(&mut self, limit: usize, sample: &Sample) -> usize {
        match &mut self.law {
            Some(law) => law.next(limit, sample),
            None => limit,
        }
    }
}
