//! What a user has not acknowledged yet: the undelivered messages of its log, in order.

use std::collections::VecDeque;

use crate::ids::{DeviceUid, MsgId};
use crate::store::Pos;

/// A message that no device of its recipient has acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    /// Where it stands in the recipient's log.
    pub(crate) pos: Pos,
    /// Which.
    pub(crate) msg: MsgId,
    /// The sender was told READ already, so DELIVERED would be a step back.
    pub(crate) read_told: bool,
}

/// A message to oneself. The device that sent it cannot acknowledge it, so it does not fit into the cumulative queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnWaiting {
    /// Where it stands in the log.
    pub(crate) pos: Pos,
    /// Which.
    pub(crate) msg: MsgId,
    /// The device that sent it.
    pub(crate) origin: DeviceUid,
}

/// Undelivered messages of one user. Both lists rise in position and in id, as ids rise over all conversations.
///
/// Messages that expire stay in the queue until an ACK or a compaction passes them, for taking them out of the middle
/// would cost more than skipping them; `live` counts those that are really undelivered.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    queue: VecDeque<Waiting>,
    own: VecDeque<OwnWaiting>,
    live: usize,
}

impl Inbox {
    /// The number of undelivered messages.
    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds a message of somebody else, or one that the sending device sees as well.
    pub(crate) fn push(&mut self, pos: Pos, msg: MsgId) {
        self.queue.push_back(Waiting {
            pos,
            msg,
            read_told: false,
        });
        self.live += 1;
    }

    /// Adds a message to oneself.
    pub(crate) fn push_own(&mut self, pos: Pos, msg: MsgId, origin: DeviceUid) {
        self.own.push_back(OwnWaiting { pos, msg, origin });
        self.live += 1;
    }

    /// Takes the next message that an ACK of `pos` covers. The caller says with [`Inbox::settle`] if it was live.
    pub(crate) fn pop_covered(&mut self, pos: Pos) -> Option<Waiting> {
        match self.queue.front() {
            Some(front) if front.pos <= pos => self.queue.pop_front(),
            _ => None,
        }
    }

    /// Takes a message to oneself that an ACK of `pos` by `device` covers.
    pub(crate) fn pop_own(&mut self, pos: Pos, device: DeviceUid) -> Option<OwnWaiting> {
        let index = self
            .own
            .iter()
            .position(|own| own.pos <= pos && own.origin != device)?;
        self.own.remove(index)
    }

    /// Takes this message to oneself.
    pub(crate) fn take_own(&mut self, msg: MsgId) -> Option<OwnWaiting> {
        let index = self.own.iter().position(|own| own.msg == msg)?;
        self.own.remove(index)
    }

    /// One message less is undelivered.
    pub(crate) fn settle(&mut self) {
        self.live = self.live.saturating_sub(1);
    }

    /// True if the message is in one of the lists. It may have expired there.
    pub(crate) fn holds(&self, msg: MsgId) -> bool {
        self.queue
            .binary_search_by_key(&msg, |waiting| waiting.msg)
            .is_ok()
            || self.own.binary_search_by_key(&msg, |own| own.msg).is_ok()
    }

    /// Marks that READ was told for those that `covered` says; true if there was one.
    pub(crate) fn mark_read_told(
        &mut self,
        up_to: MsgId,
        mut covered: impl FnMut(MsgId) -> bool,
    ) -> bool {
        let mut any = false;
        let reached = self
            .queue
            .iter_mut()
            .take_while(|waiting| waiting.msg <= up_to);
        for waiting in reached.filter(|waiting| !waiting.read_told && covered(waiting.msg)) {
            waiting.read_told = true;
            any = true;
        }
        any
    }

    /// Position of the first message that still counts, for the log may not be cut behind it.
    pub(crate) fn first_live(&self, mut live: impl FnMut(MsgId) -> bool) -> Option<Pos> {
        let queue = self
            .queue
            .iter()
            .find(|waiting| live(waiting.msg))
            .map(|waiting| waiting.pos);
        let own = self.own.front().map(|own| own.pos);
        match (queue, own) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// True if so many expired messages are in the queue that [`Inbox::compact`] pays.
    pub(crate) fn wants_compaction(&self) -> bool {
        self.queue.len() > 2 * self.live + 64
    }

    /// Drops from the queue what is not live any more.
    pub(crate) fn compact(&mut self, mut live: impl FnMut(MsgId) -> bool) {
        self.queue.retain(|waiting| live(waiting.msg));
    }

    /// Where the messages to oneself stand.
    pub(crate) fn own_positions(&self) -> impl Iterator<Item = Pos> + '_ {
        self.own.iter().map(|own| own.pos)
    }

    /// Every message in the lists, in no particular order.
    pub(crate) fn all(&self) -> impl Iterator<Item = MsgId> + '_ {
        self.queue
            .iter()
            .map(|waiting| waiting.msg)
            .chain(self.own.iter().map(|own| own.msg))
    }
}

#[cfg(test)]
mod tests {
    use super::Inbox;
    use crate::ids::{DeviceUid, MsgId};
    use crate::store::Pos;

    #[test]
    fn an_ack_takes_what_it_covers() {
        let mut inbox = Inbox::default();
        for n in 1..=4 {
            inbox.push(Pos(n), MsgId(10 * n));
        }
        assert!(inbox.holds(MsgId(20)) && !inbox.holds(MsgId(25)));
        let mut taken = Vec::new();
        while let Some(waiting) = inbox.pop_covered(Pos(2)) {
            inbox.settle();
            taken.push(waiting.msg.0);
        }
        assert_eq!((taken, inbox.len()), (vec![10, 20], 2));
        assert_eq!(inbox.first_live(|msg| msg != MsgId(30)), Some(Pos(4)));
    }

    #[test]
    fn the_sending_device_does_not_take_its_own() {
        let mut inbox = Inbox::default();
        inbox.push_own(Pos(1), MsgId(10), DeviceUid(1));
        assert!(inbox.pop_own(Pos(9), DeviceUid(1)).is_none());
        assert!(inbox.pop_own(Pos(0), DeviceUid(2)).is_none());
        assert_eq!(inbox.first_live(|_| false), Some(Pos(1)));
        assert!(inbox.pop_own(Pos(9), DeviceUid(2)).is_some());
        assert!(!inbox.holds(MsgId(10)));
    }

    #[test]
    fn expired_messages_do_not_pile_up() {
        let mut inbox = Inbox::default();
        for n in 1..=100 {
            inbox.push(Pos(n), MsgId(n));
            inbox.settle();
        }
        assert!(inbox.wants_compaction());
        inbox.compact(|_| false);
        assert!(!inbox.wants_compaction() && inbox.all().next().is_none());
    }
}
