//! How many of the work items are measured.

use std::cell::Cell;
use std::time::Duration;

/// Learns how many work items end per second, and says one in how many is worth measuring.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When it last said so, and how many have ended since.
    said: Duration,
    ended: u64,
    /// Of the window that is open: how many have ended, and how many of them were measured.
    ended_in_window: u64,
    measured_in_window: u64,
}

/// More measured work items per second than this tell a law nothing new.
const ENOUGH_PER_SECOND: f64 = 50_000.0;

/// Measuring one in so many costs some 3 ns a work item. More would be saved by fewer, and the law be blind for longer where
/// few come after many.
const SPARSEST: f64 = 64.0;

impl Pace {
    /// A measured one has ended; it stands for `stride` that did.
    pub(super) fn ended(&mut self, stride: u32) {
        self.ended += u64::from(stride);
        self.ended_in_window += u64::from(stride);
        self.measured_in_window += 1;
    }

    /// For how many each one stands that was measured in this window; the next one opens.
    pub(super) fn close_window(&mut self) -> f64 {
        let ended = std::mem::take(&mut self.ended_in_window);
        let measured = std::mem::take(&mut self.measured_in_window);
        ended as f64 / measured.max(1) as f64
    }

    /// One in how many to measure from now on, a power of two; `None` as long as it is too early to tell: a millisecond while
    /// windows fill, a second while none does.
    pub(super) fn stride(&mut self, at: Duration, is_window_full: bool) -> Option<u32> {
        let enough = Duration::from_millis(if is_window_full { 1 } else { 1000 });
        let passed = at.saturating_sub(self.said);
        if passed < enough {
            return None;
        }
        let per_second = self.ended as f64 / passed.as_secs_f64();
        (self.said, self.ended) = (at, 0);
        let stride = (per_second / ENOUGH_PER_SECOND).clamp(1.0, SPARSEST) as u32;
        Some(stride.next_power_of_two())
    }
}

/// A number whose low bits nobody can predict well enough to fall in step with them (xorshift64, per thread).
#[inline]
pub(super) fn chance() -> u64 {
    thread_local!(static STATE: Cell<u64> = const { Cell::new(0x9E37_79B9_7F4A_7C15) });
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        state.set(x);
        x
    })
}
