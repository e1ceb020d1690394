//! Server time: real, or virtual for tests.
//!
//! The core never looks at a clock; it is told. Real time is the wall clock at the start and a monotonic clock from then
//! on, so a step of the wall clock changes nothing until the next start, and then only forwards.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tidewire_core::api::Millis;

/// Where server time comes from. Shared by all that need it; outlives restarts inside the process.
#[derive(Debug)]
pub struct Clock {
    /// When this clock was made. `None`: time is virtual.
    start: Option<Instant>,
    /// Server time at `start`, or now where time is virtual.
    base: AtomicU64,
}

impl Clock {
    /// Follows the real time.
    #[must_use]
    pub fn real() -> Clock {
        Clock {
            start: Some(Instant::now()),
            base: AtomicU64::new(wall_millis()),
        }
    }

    /// Stands still at the present until it is advanced.
    #[must_use]
    pub fn virtual_time() -> Clock {
        Clock {
            start: None,
            base: AtomicU64::new(wall_millis()),
        }
    }

    /// True if time only moves by [`Clock::advance_to`].
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        self.start.is_none()
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis(
            self.base
                .load(Ordering::Acquire)
                .saturating_add(self.passed()),
        )
    }

    /// Moves forward to at least this time: virtual time, or real time where the store is ahead of the wall clock, which
    /// then goes on from there.
    pub fn advance_to(&self, time: Millis) {
        self.base
            .fetch_max(time.0.saturating_sub(self.passed()), Ordering::AcqRel);
    }

    /// How long to wait for `deadline`, or `None` where waiting does not bring it nearer.
    #[must_use]
    pub fn wait_for(&self, deadline: Millis) -> Option<Duration> {
        self.start?;
        Some(Duration::from_millis(
            deadline.0.saturating_sub(self.now().0),
        ))
    }

    fn passed(&self) -> u64 {
        self.start.map_or(0, |start| {
            u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
        })
    }
}

fn wall_millis() -> u64 {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_does_not_fall_below_the_store() {
        let clock = Clock::real();
        let later = Millis(clock.now().0 + 3_600_000);
        clock.advance_to(later);
        assert!(clock.now() >= later);
        clock.advance_to(Millis(5));
        assert!(clock.now() >= later);
        assert!(clock.wait_for(later).is_some());
    }

    #[test]
    fn virtual_time_moves_only_when_told() {
        let clock = Clock::virtual_time();
        let start = clock.now();
        assert_eq!(clock.now(), start);
        clock.advance_to(Millis(start.0 + 5));
        clock.advance_to(start);
        assert_eq!(clock.now(), Millis(start.0 + 5));
        assert_eq!(clock.wait_for(Millis(start.0 + 10)), None);
    }
}
