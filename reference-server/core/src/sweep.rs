//! Clearing away, once an hour of server time: keys, old entries, and what only they needed.

use std::sync::Arc;

use tidewire_codec::Code;

use crate::api::{ConnId, Millis};
use crate::core::{Core, before};
use crate::ids::{GroupId, MsgId};
use crate::persist::Key;
use crate::store::{Pos, UserKey};
use crate::users::{TokenDigest, User};

/// Checkpoints of one user. When there are more, the older ones become coarser.
const MAX_CHECKPOINTS: usize = 64;

impl Core {
    pub(crate) fn sweep(&mut self) {
        self.sweep_keys();
        self.sweep_logs();
        self.sweep_member_sets();
        self.sweep_deadlines();
        self.sweep_accounts();
        self.pin_tries.sweep(self.now);
        self.sweep_bodies();
    }

    fn sweep_keys(&mut self) {
        let time = self.now.minus(self.cfg.idem_window_ms);
        let mut any = false;
        while let Some(forgotten) = self.msgs.forget_key_before(time) {
            any = true;
            let sender = self.users.get_mut(forgotten.sender);
            if let Some(device) = sender.and_then(|user| user.device_mut(forgotten.device)) {
                device.keys = device.keys.saturating_sub(1);
            }
            // The journal is about to lose the message, so the conversation is written down.
            if let Some(conv) = self.convs.get_mut(&forgotten.conv)
                && conv.flushed < forgotten.id
            {
                self.batch.put_conv(forgotten.conv, conv);
                conv.flushed = conv.high;
            }
        }
        while let Some((at, device, key)) = self.op_window.front().copied()
            && at < time
        {
            any = true;
            self.op_window.pop_front();
            self.ops.remove(&(device, key));
        }
        if any {
            self.batch.forget_idem_before = Some(time.0);
        }
    }

    fn sweep_logs(&mut self) {
        let now = self.now;
        let lifetime = now.minus(self.cfg.log_lifetime_ms);
        let retention = now.minus(self.cfg.log_retention_ms);
        let mut behind: Vec<ConnId> = Vec::new();
        for user in self.users.iter_mut() {
            note_checkpoint(user, now);
            let Some(trunc) = truncation(user, lifetime, retention, |msg| self.msgs.is_live(msg))
            else {
                continue;
            };
            user.trunc = trunc;
            while user
                .checkpoints
                .front()
                .is_some_and(|(_, pos)| *pos <= trunc)
            {
                user.checkpoints.pop_front();
            }
            self.batch.truncate.push((user.key, trunc));
            self.batch.put_user(user);
            for conn in &user.sessions {
                let session = self
                    .conns
                    .get(conn)
                    .and_then(|state| state.session.as_ref());
                if session.is_some_and(|session| session.scan < trunc) {
                    behind.push(*conn);
                }
            }
        }
        // They took nothing for so long that entries for them are gone: the next login says so with GAP.
        for conn in behind {
            self.goaway(conn, Code::OVERLOADED);
        }
    }

    fn sweep_member_sets(&mut self) {
        let groups = &self.groups;
        let mut gone: Vec<(GroupId, u64)> = Vec::new();
        self.msgs.member_sets.retain(|(id, rev), set| {
            let current = groups.get(id).is_some_and(|group| group.rev == *rev);
            let kept = current || Arc::strong_count(set) > 1;
            if !kept {
                gone.push((*id, *rev));
            }
            kept
        });
        for (id, rev) in gone {
            self.batch.remove(Key::MemberSet(id, rev));
        }
    }

    fn sweep_deadlines(&mut self) {
        let now = self.now;
        let mut gone: Vec<MsgId> = Vec::new();
        self.msgs.overrides.retain(|id, moved| {
            let kept = moved.until > now;
            if !kept {
                gone.push(*id);
            }
            kept
        });
        for id in gone {
            self.batch.remove(Key::Deadline(id));
        }
    }

    fn sweep_accounts(&mut self) {
        let time = self.now.minus(self.cfg.log_lifetime_ms);
        let mut tokens: Vec<TokenDigest> = Vec::new();
        self.users.tokens.retain(|digest, token| {
            let kept = token.expires.is_none_or(|expires| expires > time);
            if !kept {
                tokens.push(*digest);
            }
            kept
        });
        tokens.sort_unstable();
        for digest in tokens {
            self.batch.remove(Key::Token(digest));
        }
        let mut users: Vec<UserKey> = Vec::new();
        self.users.deleted.retain(|key, (_, at)| {
            let kept = *at > time;
            if !kept {
                users.push(*key);
            }
            kept
        });
        users.sort_unstable();
        for key in users {
            self.batch.remove(Key::DeletedUser(key));
        }
    }

    /// Shared bodies go with the entries that point to them; those of messages that live longer stay.
    fn sweep_bodies(&mut self) {
        if self.batch.is_empty() {
            // Nothing else is written, so this is not worth a commit of its own.
            return;
        }
        let old = MsgId::floor_at(self.now.minus(self.cfg.log_lifetime_ms));
        let lengthened = self.msgs.overrides.keys().next().copied();
        let below = lengthened.map_or(old, |id| id.min(old));
        if below > MsgId(0) {
            self.batch.forget_bodies_below = Some(below.0);
        }
    }
}

/// Remembers how far the log went by now.
fn note_checkpoint(user: &mut User, now: Millis) {
    let last = user.checkpoints.back().map_or(user.trunc, |(_, pos)| *pos);
    if last < user.head {
        user.checkpoints.push_back((now, user.head));
    }
    if user.checkpoints.len() > MAX_CHECKPOINTS {
        let half = user.checkpoints.len() / 2;
        let mut index = 0;
        // Dropping a checkpoint makes its entries count as younger, so nothing is cut too early.
        user.checkpoints.retain(|_| {
            index += 1;
            index > half || index % 2 == 0
        });
    }
}

/// Up to where the log of a user may be cut, if that is further than it was.
fn truncation(
    user: &User,
    lifetime: Millis,
    retention: Millis,
    live: impl FnMut(MsgId) -> bool,
) -> Option<Pos> {
    let made_before = |time: Millis| {
        let old = user.checkpoints.iter().take_while(|(at, _)| *at <= time);
        old.last().map_or(user.trunc, |(_, pos)| *pos)
    };
    let acked = user
        .devices
        .iter()
        .map(|device| device.cursor)
        .min()
        .unwrap_or(user.trunc);
    let mut trunc = made_before(lifetime).max(made_before(retention).min(acked));
    //= spec/30-send.md#bounds
    //# [SND-081] Messages that were already accepted MUST NOT be lost by a full inbox.
    if let Some(first) = user.inbox.first_live(live) {
        trunc = trunc.min(before(first));
    }
    (trunc > user.trunc).then_some(trunc)
}

#[cfg(test)]
mod tests {
    use super::{MAX_CHECKPOINTS, note_checkpoint, truncation};
    use crate::api::Millis;
    use crate::ids::{DeviceUid, MsgId};
    use crate::store::{Pos, UserKey};
    use crate::users::{Device, User};

    fn user(cursors: &[u64]) -> User {
        let mut user = User::new(UserKey(1), "alice", 1);
        for (uid, cursor) in (1..).zip(cursors) {
            user.devices.push(Device {
                id: [uid as u8; 16],
                uid: DeviceUid(uid),
                agent: String::new(),
                last_login: Millis(0),
                cursor: Pos(*cursor),
                session: None,
                keys: 0,
            });
        }
        // Ten entries an hour.
        for hour in 1..=10 {
            user.head = Pos(10 * hour);
            note_checkpoint(&mut user, Millis(hour));
        }
        user
    }

    #[track_caller]
    fn check(user: &User, lifetime: u64, retention: u64, trunc: Option<u64>) {
        let found = truncation(user, Millis(lifetime), Millis(retention), |_| true);
        assert_eq!(found, trunc.map(Pos));
    }

    #[test]
    fn a_log_is_cut_where_everybody_has_been() {
        let mut user = user(&[55, 100]);
        check(&user, 0, 0, None);
        check(&user, 0, 3, Some(30));
        check(&user, 0, 8, Some(55));
        check(&user, 7, 8, Some(70));
        user.inbox.push(Pos(41), MsgId(1));
        check(&user, 7, 8, Some(40));
        user.trunc = Pos(40);
        check(&user, 7, 8, None);
    }

    #[test]
    fn without_devices_only_the_lifetime_counts() {
        check(&user(&[]), 0, 9, None);
        check(&user(&[]), 2, 9, Some(20));
    }

    #[test]
    fn checkpoints_are_bounded_and_never_too_young() {
        let mut user = user(&[]);
        for hour in 11..=5_000 {
            user.head = Pos(10 * hour);
            note_checkpoint(&mut user, Millis(hour));
        }
        assert!(user.checkpoints.len() <= MAX_CHECKPOINTS);
        assert!(user.checkpoints.iter().all(|(at, pos)| pos.0 == 10 * at.0));
    }
}
