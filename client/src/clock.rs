//! The time that a client lives by: real, or moved by hand.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep_until};

use crate::ids::Millis;

/// A clock that never goes back while the process lives.
#[derive(Debug)]
pub(crate) enum Clock {
    Real { base: Millis, since: Instant },
    Manual(Millis),
}

impl Clock {
    /// Begins with the time of day, since what waits in an outbox goes on waiting while the app is not there, and goes on
    /// steadily, whatever happens to the time of day.
    pub(crate) fn real() -> Clock {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let base = Millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
        Clock::Real {
            base,
            since: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        match self {
            Clock::Real { base, since } => {
                base.plus(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
            Clock::Manual(now) => *now,
        }
    }

    /// Waits until then; for ever where there is no such time, or where it is moved by hand.
    pub(crate) async fn wait_until(&self, deadline: Option<Millis>) {
        match (self, deadline) {
            (Clock::Real { .. }, Some(deadline)) => {
                // One more, since the clock above counts whole milliseconds.
                let left = deadline.since(self.now()).saturating_add(1);
                sleep_until(Instant::now() + std::time::Duration::from_millis(left)).await;
            }
            _ => std::future::pending().await,
        }
    }
}
