//! Wrong PINs are counted, so that nobody tries them all.

use std::collections::BTreeMap;

use crate::api::Millis;
use crate::ids::GroupId;
use crate::store::UserKey;

/// Wrong PINs by one user to one group in [`WINDOW_MS`].
const MAX_TRIES: usize = 10;

/// An hour of server time.
const WINDOW_MS: u64 = 3_600_000;

/// Groups that one user may have wrong PINs for at a time: who guesses group ids runs into this bound.
const MAX_GROUPS: usize = 1_000;

/// The wrong PINs of the last hour.
#[derive(Debug, Default)]
pub(crate) struct PinTries {
    tries: BTreeMap<(UserKey, GroupId), Vec<Millis>>,
}

//= spec/04-security.md#security
//# [SEC-009] Wrong PINs by one user to one group MUST be limited to 10 in an hour of server time, after which the
//# server answers ERROR RATE_LIMITED.
impl PinTries {
    /// How long the user has to wait before the next try, if at all.
    pub(crate) fn wait_ms(&mut self, user: UserKey, group: GroupId, now: Millis) -> Option<u64> {
        let range = (user, GroupId(0))..=(user, GroupId(u64::MAX));
        let groups = self.tries.range(range).count();
        let Some(tries) = self.tries.get_mut(&(user, group)) else {
            return (groups >= MAX_GROUPS).then_some(WINDOW_MS);
        };
        tries.retain(|time| time.plus(WINDOW_MS) > now);
        let first = *tries.first()?;
        (tries.len() >= MAX_TRIES).then(|| first.plus(WINDOW_MS).since(now))
    }

    /// Counts a wrong PIN.
    pub(crate) fn wrong(&mut self, user: UserKey, group: GroupId, now: Millis) {
        self.tries.entry((user, group)).or_default().push(now);
    }

    /// Forgets what is older than the window.
    pub(crate) fn sweep(&mut self, now: Millis) {
        self.tries.retain(|_, tries| {
            tries.retain(|time| time.plus(WINDOW_MS) > now);
            !tries.is_empty()
        });
    }
}
