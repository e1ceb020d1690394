//! When the next connection is tried.

use std::collections::VecDeque;

use tidewire_codec::grease::Grease;

use crate::ids::Millis;

/// The bound of the first wait.
const BASE_MS: u64 = 100;
/// The bound of every later wait.
const CAP_MS: u64 = 60_000;
/// A session that lived so long was no failed try.
const LIVED_MS: u64 = 5_000;
/// How far the bound of a wait grows where sessions come about and end at once: to 1.6 seconds.
const SHORT_LIVED: u32 = 4;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;
const A_MINUTE: usize = 20;
const AN_HOUR: usize = 300;

/// Waits that grow, at random so that clients which were cut together do not come back together.
#[derive(Debug, Default)]
pub(super) struct Pace {
    level: u32,
    /// When tries began, since the last that came to a session; at most those of an hour.
    tries: VecDeque<Millis>,
}

impl Pace {
    /// A try begins.
    pub(super) fn begun(&mut self, now: Millis) {
        while self
            .tries
            .front()
            .is_some_and(|begun| now.since(*begun) > HOUR_MS)
            || self.tries.len() >= AN_HOUR
        {
            self.tries.pop_front();
        }
        self.tries.push_back(now);
    }

    /// A session came about.
    pub(super) fn came_about(&mut self) {
        self.tries.clear();
    }

    /// It ended after this time.
    pub(super) fn ended_after(&mut self, ms: u64) {
        self.level = if ms >= LIVED_MS {
            0
        } else {
            self.level.min(SHORT_LIVED)
        };
    }

    /// When the next try may begin, `floor_ms` from now at the earliest.
    pub(super) fn next(&mut self, now: Millis, floor_ms: u64, random: &mut Grease) -> Millis {
        let bound = BASE_MS
            .checked_shl(self.level)
            .unwrap_or(CAP_MS)
            .min(CAP_MS);
        self.level = self.level.saturating_add(1).min(16);
        let wait = random.next_u64() % (bound + 1);
        self.earliest(now.plus(floor_ms).plus(wait))
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-046] While its tries fail a client MUST NOT begin more than 20 connections in a minute, nor more than 300
    //# in an hour.
    /// The time, or the first after it that the rate allows.
    pub(super) fn earliest(&self, at: Millis) -> Millis {
        let after = |count: usize, span: u64| {
            let index = self.tries.len().checked_sub(count)?;
            Some(self.tries.get(index)?.plus(span + 1))
        };
        let bounds = [after(A_MINUTE, MINUTE_MS), after(AN_HOUR, HOUR_MS)];
        bounds.into_iter().flatten().fold(at, Millis::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_stay_below_the_rate_for_every_seed() {
        for seed in 0..50 {
            let (mut pace, mut random) = (Pace::default(), Grease::new(seed));
            let mut begun = vec![Millis(0)];
            pace.begun(Millis(0));
            let mut now = Millis(0);
            while now.0 < 3 * HOUR_MS {
                now = pace.next(now, 0, &mut random);
                pace.begun(now);
                begun.push(now);
            }
            for (count, span) in [(A_MINUTE, MINUTE_MS), (AN_HOUR, HOUR_MS)] {
                for window in begun.windows(count + 1) {
                    let took = window.last().map_or(0, |last| last.since(window[0]));
                    assert!(took > span, "seed {seed}: {} in {took} ms", count + 1);
                }
            }
        }
    }

    #[test]
    fn the_wait_respects_the_floor_and_grows() {
        let mut random = Grease::new(1);
        let mut pace = Pace::default();
        assert!(pace.next(Millis(1_000), 5_000, &mut random) >= Millis(6_000));
        let longest = |level: u32, random: &mut Grease| {
            (0..200)
                .map(|_| {
                    Pace {
                        level,
                        ..Pace::default()
                    }
                    .next(Millis(0), 0, random)
                    .0
                })
                .max()
                .unwrap_or(0)
        };
        assert!(longest(0, &mut random) <= BASE_MS);
        assert!(longest(6, &mut random) > 8 * BASE_MS);
        assert!(longest(16, &mut random) <= CAP_MS);
    }

    #[test]
    fn a_long_life_resets_the_wait() {
        let mut pace = Pace {
            level: 9,
            ..Pace::default()
        };
        pace.ended_after(10);
        assert_eq!(pace.level, SHORT_LIVED);
        pace.ended_after(LIVED_MS);
        assert_eq!(pace.level, 0);
    }
}
