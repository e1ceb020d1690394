//! Conversations: the highest message of each, the marks of its users, and what has not been read.

use std::collections::{BTreeMap, HashMap};

use crate::ids::{ConvKey, MsgId};
use crate::store::UserKey;

/// Unread messages of one sender that are kept one by one. Older ones are joined in pairs.
const MAX_UNREAD: usize = 1024;

/// How far a user has read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// What the senders know.
    pub(crate) public: MsgId,
    /// What only the own devices know.
    pub(crate) private: MsgId,
    /// Senders that were told READ of messages which this user had not acknowledged: for those up to the id, DELIVERED
    /// would be a step back.
    pub(crate) told: Vec<(UserKey, MsgId)>,
}

/// A message that somebody may still mark as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) msg: MsgId,
    /// It, or one that was joined with it, asked for `receipts.read`.
    pub(crate) asked: bool,
}

/// A conversation.
#[derive(Debug, Default)]
pub(crate) struct Conv {
    /// The highest msg_id.
    pub(crate) high: MsgId,
    pub(crate) marks: BTreeMap<UserKey, Marks>,
    /// By sender, rising in id.
    pub(crate) unread: BTreeMap<UserKey, Vec<Unread>>,
    /// What is in small state covers messages up to here; later ones are in the journal.
    pub(crate) flushed: MsgId,
}

impl Conv {
    /// How far the user has read as the senders know it.
    pub(crate) fn public_mark(&self, user: UserKey) -> MsgId {
        self.marks.get(&user).map_or(MsgId(0), |marks| marks.public)
    }

    /// True if the sender was told that the user read the message before it acknowledged it.
    pub(crate) fn was_told(&self, user: UserKey, sender: UserKey, msg: MsgId) -> bool {
        let told = self.marks.get(&user).map_or(&[][..], |marks| &marks.told);
        told.iter()
            .any(|(other, up_to)| *other == sender && msg <= *up_to)
    }

    /// Notes a stored message. One that asks for nothing matters only behind one that asks: a mark that covers both
    /// names the later.
    pub(crate) fn note(&mut self, sender: UserKey, msg: MsgId, asked: bool) {
        self.high = self.high.max(msg);
        if !asked && !self.unread.contains_key(&sender) {
            return;
        }
        let list = self.unread.entry(sender).or_default();
        list.push(Unread { msg, asked });
        if list.len() > MAX_UNREAD {
            join_older_half(list);
        }
    }

    /// For each sender but the reader: the highest id that a mark from `old` to `new` covers, if one of those newly
    /// covered asked. `counts` says whether an asking message still counts.
    pub(crate) fn newly_read(
        &self,
        reader: UserKey,
        old: MsgId,
        new: MsgId,
        mut counts: impl FnMut(MsgId) -> bool,
    ) -> Vec<(UserKey, MsgId)> {
        let mut told = Vec::new();
        for (sender, list) in &self.unread {
            if *sender == reader {
                continue;
            }
            let from = list.partition_point(|unread| unread.msg <= old);
            let to = list.partition_point(|unread| unread.msg <= new);
            let covered = &list[from..to];
            if covered
                .iter()
                .any(|unread| unread.asked && counts(unread.msg))
                && let Some(last) = covered.last()
            {
                told.push((*sender, last.msg));
            }
        }
        told
    }

    /// Forgets what everybody has read.
    pub(crate) fn drop_read(&mut self, sender: UserKey, up_to: MsgId) {
        if let Some(list) = self.unread.get_mut(&sender) {
            list.retain(|unread| unread.msg > up_to);
            if list.is_empty() {
                self.unread.remove(&sender);
            }
        }
    }

    /// The message reached nobody, so no mark tells of it.
    pub(crate) fn lost(&mut self, sender: UserKey, msg: MsgId) {
        if let Some(list) = self.unread.get_mut(&sender)
            && let Ok(index) = list.binary_search_by_key(&msg, |unread| unread.msg)
        {
            list[index].asked = false;
        }
    }
}

fn join_older_half(list: &mut Vec<Unread>) {
    let half = list.len() / 2;
    let newer = list.split_off(half);
    let joined = list.chunks(2).map(|pair| {
        let asked = pair.iter().any(|unread| unread.asked);
        let msg = pair
            .iter()
            .map(|unread| unread.msg)
            .fold(MsgId(0), MsgId::max);
        Unread { msg, asked }
    });
    *list = joined.chain(newer).collect();
}

/// All conversations that have a message.
pub(crate) type Convs = HashMap<ConvKey, Conv>;

#[cfg(test)]
mod tests {
    use super::{Conv, MAX_UNREAD};
    use crate::ids::MsgId;
    use crate::store::UserKey;

    const ALICE: UserKey = UserKey(1);
    const BOB: UserKey = UserKey(2);

    fn conv(messages: &[(u64, bool)]) -> Conv {
        let mut conv = Conv::default();
        for (msg, asked) in messages {
            conv.note(ALICE, MsgId(*msg), *asked);
        }
        conv
    }

    #[track_caller]
    fn check(conv: &Conv, old: u64, new: u64, told: Option<u64>) {
        let found = conv.newly_read(BOB, MsgId(old), MsgId(new), |_| true);
        assert_eq!(
            found,
            told.map(|msg| (ALICE, MsgId(msg)))
                .into_iter()
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_mark_names_the_highest_message_if_one_asked() {
        let conv = conv(&[(1, false), (2, true), (3, false), (4, false), (5, true)]);
        check(&conv, 0, 1, None);
        check(&conv, 0, 2, Some(2));
        check(&conv, 0, 4, Some(4));
        check(&conv, 2, 4, None);
        check(&conv, 4, 9, Some(5));
        assert_eq!(
            conv.newly_read(ALICE, MsgId(0), MsgId(9), |_| true),
            [],
            "own messages are not read"
        );
        assert_eq!(
            conv.newly_read(BOB, MsgId(0), MsgId(4), |_| false),
            [],
            "those that expired do not count"
        );
    }

    #[test]
    fn what_was_read_is_dropped() {
        let mut conv = conv(&[(1, true), (2, true)]);
        conv.drop_read(ALICE, MsgId(1));
        check(&conv, 0, 9, Some(2));
        conv.lost(ALICE, MsgId(2));
        check(&conv, 0, 9, None);
        conv.drop_read(ALICE, MsgId(2));
        assert!(conv.unread.is_empty());
    }

    #[test]
    fn a_user_who_never_marks_costs_no_more() {
        let mut conv = Conv::default();
        for msg in 1..=100_000 {
            conv.note(ALICE, MsgId(msg), true);
        }
        assert!(conv.unread[&ALICE].len() <= MAX_UNREAD);
        check(&conv, 0, 100_000, Some(100_000));
        check(&conv, 99_999, 100_000, Some(100_000));
    }
}
