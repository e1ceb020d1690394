//! One small record per message: for its state, its deadline and its idempotency key. Contents are elsewhere.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::api::Millis;
use crate::ids::{ConvKey, DeviceUid, GroupId, IdemKey, MsgId, OwnIds};
use crate::store::UserKey;

/// Who was to get a message, as it was at acceptance.
#[derive(Clone, Debug)]
pub(crate) enum Recipients {
    /// The addressed user.
    One(UserKey),
    /// The members of a group that had RECV, sorted; one allocation is shared by all messages of a revision.
    Members {
        /// The members.
        set: Arc<[UserKey]>,
        /// The sender counts whether or not it is in the set; otherwise it never does.
        loopback: bool,
    },
}

/// Where a message is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A recipient has not acknowledged it, and its time is not over.
    Live,
    /// Nobody has to acknowledge it any more.
    Done,
    /// Its time ended before every recipient had it.
    Expired,
}

/// What a sender wants to learn, and how the message travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// `receipts.delivered`.
    pub(crate) delivered: bool,
    /// `receipts.read`.
    pub(crate) read: bool,
    /// ONLINE_ONLY.
    pub(crate) online: bool,
    /// ONLINE_ONLY, and nobody was there.
    pub(crate) offline: bool,
    /// The group had LOOPBACK.
    pub(crate) loopback: bool,
}

impl Traits {
    pub(crate) fn to_bits(self) -> u8 {
        u8::from(self.delivered)
            | u8::from(self.read) << 1
            | u8::from(self.online) << 2
            | u8::from(self.offline) << 3
            | u8::from(self.loopback) << 4
    }

    pub(crate) fn from_bits(bits: u8) -> Traits {
        let bit = |n: u8| bits & (1 << n) != 0;
        Traits {
            delivered: bit(0),
            read: bit(1),
            online: bit(2),
            offline: bit(3),
            loopback: bit(4),
        }
    }
}

/// Recipients that will never acknowledge it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lost {
    pub(crate) expired: Vec<UserKey>,
    pub(crate) failed: Vec<UserKey>,
}

/// The idempotency key that a message was accepted under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted {
    pub(crate) device: DeviceUid,
    pub(crate) key: IdemKey,
    /// Of the decoded fields.
    pub(crate) digest: u128,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Msg {
    pub(crate) conv: ConvKey,
    pub(crate) sender: UserKey,
    pub(crate) accepted_at: Millis,
    pub(crate) deadline: Millis,
    pub(crate) recipients: Recipients,
    /// How many have not acknowledged it.
    pub(crate) remaining: u32,
    pub(crate) traits: Traits,
    pub(crate) phase: Phase,
    /// Absent once the window has passed.
    pub(crate) idem: Option<Accepted>,
    pub(crate) lost: Option<Box<Lost>>,
}

impl Msg {
    /// Who was to get it.
    pub(crate) fn recipients(&self) -> impl Iterator<Item = UserKey> + '_ {
        let (one, set, own): (_, &[UserKey], _) = match &self.recipients {
            Recipients::One(user) => (Some(*user), &[], None),
            Recipients::Members { set, loopback } => (None, set, loopback.then_some(self.sender)),
        };
        let members = set.iter().copied().filter(|member| *member != self.sender);
        one.into_iter().chain(members).chain(own)
    }

    /// How many were to get it.
    pub(crate) fn recipient_count(&self) -> usize {
        match &self.recipients {
            Recipients::One(_) => 1,
            Recipients::Members { set, loopback } => {
                set.len() - usize::from(set.binary_search(&self.sender).is_ok())
                    + usize::from(*loopback)
            }
        }
    }

    /// True if the user will never acknowledge it because its time was over.
    pub(crate) fn expired_for(&self, user: UserKey) -> bool {
        self.lost
            .as_ref()
            .is_some_and(|lost| lost.expired.contains(&user))
    }

    /// True if the user was deleted before it had it.
    pub(crate) fn failed_for(&self, user: UserKey) -> bool {
        self.lost
            .as_ref()
            .is_some_and(|lost| lost.failed.contains(&user))
    }
}

/// A deadline that EXPIRY_SET moved: what the entries in the logs say of it is not true any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Override {
    pub(crate) deadline: Millis,
    /// When both the old and the new deadline are past, so that nobody needs to know.
    pub(crate) until: Millis,
}

/// A message whose key was forgotten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forgotten {
    pub(crate) id: MsgId,
    pub(crate) conv: ConvKey,
    pub(crate) sender: UserKey,
    pub(crate) device: DeviceUid,
}

/// All messages that are live or younger than the idempotency window.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    map: HashMap<MsgId, Msg, OwnIds>,
    pub(crate) deadlines: BTreeSet<(Millis, MsgId)>,
    pub(crate) keys: HashMap<(DeviceUid, IdemKey), MsgId>,
    /// Those with a key, in the order of acceptance.
    pub(crate) window: VecDeque<MsgId>,
    pub(crate) overrides: BTreeMap<MsgId, Override>,
    /// Who had RECV in a group at a revision at which a message was accepted.
    pub(crate) member_sets: BTreeMap<(GroupId, u64), Arc<[UserKey]>>,
    live: usize,
}

impl Messages {
    pub(crate) fn get(&self, id: MsgId) -> Option<&Msg> {
        self.map.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: MsgId) -> Option<&mut Msg> {
        self.map.get_mut(&id)
    }

    /// The number of undelivered messages.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// True if somebody still has to acknowledge it.
    pub(crate) fn is_live(&self, id: MsgId) -> bool {
        self.map
            .get(&id)
            .is_some_and(|msg| msg.phase == Phase::Live)
    }

    /// Adds a message; a live one is watched for its deadline.
    pub(crate) fn insert(&mut self, id: MsgId, msg: Msg) {
        if msg.phase == Phase::Live {
            self.deadlines.insert((msg.deadline, id));
            self.live += 1;
        }
        self.map.insert(id, msg);
    }

    /// A message that was loaded turns out to be undelivered.
    pub(crate) fn revive(&mut self, id: MsgId) {
        if let Some(msg) = self.map.get_mut(&id)
            && msg.phase == Phase::Done
        {
            msg.phase = Phase::Live;
            self.deadlines.insert((msg.deadline, id));
            self.live += 1;
        }
    }

    /// Ends the life of a message, and forgets it if its window has passed as well.
    pub(crate) fn end(&mut self, id: MsgId, phase: Phase) {
        let Some(msg) = self.map.get_mut(&id) else {
            return;
        };
        if msg.phase == Phase::Live {
            self.deadlines.remove(&(msg.deadline, id));
            self.live -= 1;
        }
        msg.phase = phase;
        if msg.idem.is_none() {
            self.map.remove(&id);
        }
    }

    /// One recipient less has to acknowledge it.
    pub(crate) fn settle(&mut self, id: MsgId) {
        let Some(msg) = self.map.get_mut(&id) else {
            return;
        };
        msg.remaining = msg.remaining.saturating_sub(1);
        if msg.remaining == 0 && msg.phase == Phase::Live {
            self.end(id, Phase::Done);
        }
    }

    /// Gives a live message another deadline.
    pub(crate) fn set_deadline(&mut self, id: MsgId, deadline: Millis) {
        let Some(msg) = self.map.get_mut(&id) else {
            return;
        };
        self.deadlines.remove(&(msg.deadline, id));
        let until = msg.deadline.max(deadline);
        msg.deadline = deadline;
        self.deadlines.insert((deadline, id));
        let entry = self
            .overrides
            .entry(id)
            .or_insert(Override { deadline, until });
        *entry = Override {
            deadline,
            until: entry.until.max(until),
        };
    }

    //= spec/60-expiry.md#time-to-live
    //# [EXP-005] A message MUST be delivered to a device that logs in before its time is over.
    //= spec/60-expiry.md#expired
    //# [EXP-018] An entry of a message to oneself or of an own message on other devices MUST disappear at the same
    //# deadline.
    /// When the life of a message ends of which an entry says `written`.
    pub(crate) fn deadline_of(&self, id: MsgId, written: Millis) -> Millis {
        if self.overrides.is_empty() {
            return written;
        }
        self.overrides
            .get(&id)
            .map_or(written, |moved| moved.deadline)
    }

    //= spec/30-send.md#idempotency
    //# [SND-026] A key MUST be remembered for at least idem_window_ms after acceptance.
    /// Forgets the oldest key if it was accepted before `time`; says whose it was.
    pub(crate) fn forget_key_before(&mut self, time: Millis) -> Option<Forgotten> {
        loop {
            let id = *self.window.front()?;
            let Some(msg) = self.map.get_mut(&id) else {
                self.window.pop_front();
                continue;
            };
            if msg.accepted_at >= time {
                return None;
            }
            self.window.pop_front();
            let Some(idem) = msg.idem.take() else {
                continue;
            };
            self.keys.remove(&(idem.device, idem.key));
            let forgotten = Forgotten {
                id,
                conv: msg.conv,
                sender: msg.sender,
                device: idem.device,
            };
            if msg.phase != Phase::Live {
                self.map.remove(&id);
            }
            return Some(forgotten);
        }
    }
}
