//! Keeps work away from an agent that fails.

use std::time::Duration;

use super::TaskRef;

/// When an agent's circuit breaker opens, and for how long (Nygard, Release It!, 2007).
///
/// Closed, it counts failures in a row. At `failures` it opens: nothing of the agent starts for `cool_down`. Then it is half
/// open: one attempt is let through; if it succeeds the breaker closes, if not it opens again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// How many attempts in a row must fail or time out; at least 1.
    pub failures: u32,
    /// How long nothing starts.
    pub cool_down: Duration,
}

impl Default for Breaker {
    /// Five failures in a row, thirty seconds.
    fn default() -> Self {
        Self { failures: 5, cool_down: Duration::from_secs(30) }
    }
}

/// A task and which attempt of it.
type Of = (TaskRef, u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
    },
    /// One attempt is let through, or is on its way: this one.
    HalfOpen {
        probe: Option<Of>,
    },
}

/// The state of one agent's breaker.
#[derive(Debug)]
pub(super) struct Circuit {
    settings: Breaker,
    state: State,
}

/// How an attempt speaks of the agent's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    Ill,
    /// It was cancelled, which says nothing.
    Unknown,
}

impl Circuit {
    pub(super) fn new(settings: Breaker) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// Whether attempts are let through as they come.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// Whether it keeps back what comes now.
    pub(super) fn is_ill(&self, now: Duration) -> bool {
        match self.state {
            State::Closed { .. } | State::HalfOpen { probe: None } => false,
            State::HalfOpen { probe: Some(_) } => true,
            State::Open { until } => now < until,
        }
    }

    /// From when on an attempt may be tried; `None` for now. `Duration::MAX` while a probe is on its way: its end decides.
    pub(super) fn free_at(&mut self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Closed { .. } | State::HalfOpen { probe: None } => None,
            State::HalfOpen { probe: Some(_) } => Some(Duration::MAX),
            State::Open { until } if now < until => Some(until),
            State::Open { .. } => {
                self.state = State::HalfOpen { probe: None };
                None
            }
        }
    }

    pub(super) fn started(&mut self, attempt: Of) {
        if let State::HalfOpen { probe } = &mut self.state {
            *probe = Some(attempt);
        }
    }

    /// The attempt waits for others within its work, which must not wait for its end: the next that comes is the probe.
    pub(super) fn parked(&mut self, attempt: Of) {
        if self.state == (State::HalfOpen { probe: Some(attempt) }) {
            self.state = State::HalfOpen { probe: None };
        }
    }

    /// Takes what another process has seen: so many failures in a row, the last so long ago. A breaker that has seen
    /// something itself keeps to that.
    pub(super) fn restore(&mut self, failures: u32, ago: Duration, now: Duration) {
        if self.state == (State::Closed { failures: 0 }) {
            self.state = if failures < self.settings.failures {
                State::Closed { failures }
            } else {
                let rest = self.settings.cool_down.saturating_sub(ago);
                State::Open { until: now.saturating_add(rest) }
            };
        }
    }

    /// Takes the end of an attempt. Once it has opened, that of its probe alone counts: others began before and tell nothing
    /// new.
    pub(super) fn ended(&mut self, attempt: Of, health: Health, now: Duration) {
        if !self.is_closed() && self.state != (State::HalfOpen { probe: Some(attempt) }) {
            return;
        }
        let open = State::Open { until: now.saturating_add(self.settings.cool_down) };
        self.state = match (self.state, health) {
            (State::Closed { .. }, Health::Well) => State::Closed { failures: 0 },
            (State::Closed { failures }, Health::Ill) if failures + 1 < self.settings.failures => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { .. } | State::HalfOpen { .. }, Health::Ill) => open,
            (State::HalfOpen { .. }, Health::Well) => State::Closed { failures: 0 },
            (State::HalfOpen { .. }, Health::Unknown) => State::HalfOpen { probe: None },
            (state @ (State::Closed { .. } | State::Open { .. }), _) => state,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::RunId;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn of(node: u32) -> Of {
        (TaskRef { run: RunId(0), node }, 1)
    }

    fn opened() -> Circuit {
        let mut circuit = Circuit::new(Breaker { failures: 2, cool_down: SECOND });
        circuit.ended(of(0), Health::Ill, Duration::ZERO);
        circuit.ended(of(0), Health::Well, Duration::ZERO);
        circuit.ended(of(0), Health::Ill, Duration::ZERO);
        assert_eq!(circuit.free_at(Duration::ZERO), None, "not two in a row");
        circuit.ended(of(0), Health::Ill, Duration::ZERO);
        circuit
    }

    #[test]
    fn failures_in_a_row_open_it_until_the_cool_down_is_over() {
        let mut circuit = opened();
        assert_eq!(circuit.free_at(SECOND / 2), Some(SECOND));
        assert_eq!(circuit.free_at(SECOND), None);
    }

    #[test]
    fn half_open_it_lets_one_attempt_through_whose_end_decides() {
        let mut circuit = opened();
        assert_eq!(circuit.free_at(SECOND), None);
        circuit.started(of(1));
        assert_eq!(circuit.free_at(SECOND), Some(Duration::MAX));
        for health in [Health::Unknown, Health::Well, Health::Ill] {
            circuit.ended(of(0), health, SECOND);
        }
        assert_eq!(circuit.free_at(SECOND), Some(Duration::MAX), "those began before");
        circuit.ended(of(1), Health::Ill, SECOND);
        assert_eq!(circuit.free_at(SECOND), Some(2 * SECOND));
        assert_eq!(circuit.free_at(2 * SECOND), None);
        circuit.started(of(1));
        circuit.ended(of(1), Health::Unknown, 2 * SECOND);
        assert_eq!(circuit.free_at(2 * SECOND), None, "a cancelled probe is repeated");
        circuit.started(of(1));
        circuit.ended(of(1), Health::Well, 2 * SECOND);
        circuit.ended(of(0), Health::Ill, 2 * SECOND);
        assert_eq!(circuit.free_at(2 * SECOND), None, "closed, it counts from the start");
    }

    #[test]
    fn the_end_of_an_attempt_that_began_before_changes_nothing_while_it_is_open() {
        let mut circuit = opened();
        circuit.ended(of(0), Health::Well, SECOND / 2);
        assert_eq!(circuit.free_at(SECOND / 2), Some(SECOND));
    }
}
