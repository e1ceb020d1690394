//! What became of own messages: watermarks and terminal states, folded into one state a message and recipient.

use std::collections::{BTreeMap, VecDeque};

use tidewire_codec::proto;

use crate::ids::{Conversation, MsgId};
use crate::store::records::{Change, Sent, Watermark, from_fields, to_fields};

/// The state of a message. Later ones include earlier ones; [`Expired`](MessageState::Expired) and
/// [`Failed`](MessageState::Failed) are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// The server has it for good.
    Accepted,
    /// A device of the recipient has it.
    Delivered,
    /// The recipient read it.
    Read,
    /// Its time ended before every recipient had it.
    Expired,
    /// It cannot be delivered.
    Failed,
}

impl MessageState {
    /// True if nothing changes it any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, MessageState::Expired | MessageState::Failed)
    }

    /// The state in a frame or record; `None` for one that this version does not know.
    pub(crate) fn from_field(field: i32) -> Option<MessageState> {
        Some(match proto::MessageState::try_from(field).ok()? {
            proto::MessageState::Unspecified => return None,
            proto::MessageState::Accepted => MessageState::Accepted,
            proto::MessageState::Delivered => MessageState::Delivered,
            proto::MessageState::Read => MessageState::Read,
            proto::MessageState::Expired => MessageState::Expired,
            proto::MessageState::Failed => MessageState::Failed,
        })
    }

    fn to_field(self) -> i32 {
        i32::from(match self {
            MessageState::Accepted => proto::MessageState::Accepted,
            MessageState::Delivered => proto::MessageState::Delivered,
            MessageState::Read => proto::MessageState::Read,
            MessageState::Expired => proto::MessageState::Expired,
            MessageState::Failed => proto::MessageState::Failed,
        })
    }
}

/// The state of an own message changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageStatus {
    /// Where it was sent to.
    pub conversation: Conversation,
    /// The message.
    pub id: MsgId,
    /// What the app calls it; `None` where another device of this user sent it.
    pub label: Option<String>,
    /// The state now.
    pub state: MessageState,
    /// In a group: the member whose state it is; `None` where it holds for all.
    pub member: Option<String>,
}

/// Own messages of which the state is followed. Older ones are forgotten; the server can be asked for them.
const FOLLOWED: usize = 10_000;

#[derive(Clone, Debug, Default)]
struct Talk {
    messages: BTreeMap<u64, Message>,
    marks: BTreeMap<String, Marks>,
}

#[derive(Clone, Debug)]
struct Message {
    label: Option<String>,
    state: MessageState,
    online_only: bool,
    failed_for: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    delivered: u64,
    read: u64,
}

impl Marks {
    fn state_of(self, id: u64) -> MessageState {
        if id <= self.read {
            MessageState::Read
        } else if id <= self.delivered {
            MessageState::Delivered
        } else {
            MessageState::Accepted
        }
    }

    fn of(self, state: MessageState) -> u64 {
        match state {
            MessageState::Read => self.read,
            _ => self.delivered,
        }
    }

    /// True if it rose.
    fn raise(&mut self, state: MessageState, up_to: u64) -> bool {
        let mark = match state {
            MessageState::Delivered => &mut self.delivered,
            MessageState::Read => &mut self.read,
            _ => return false,
        };
        let rises = up_to > *mark;
        *mark = up_to.max(*mark);
        rises
    }
}

/// Own messages and how far everybody is with them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tracker {
    talks: BTreeMap<Conversation, Talk>,
    /// Oldest first, for forgetting.
    order: VecDeque<(Conversation, u64)>,
}

impl Tracker {
    /// A message was accepted, from this device (`label`) or another one. Returns what is known of it beyond that.
    pub(crate) fn accepted(
        &mut self,
        conversation: &Conversation,
        id: MsgId,
        label: Option<String>,
        state: MessageState,
        online_only: bool,
        changes: &mut Vec<Change>,
    ) -> Vec<MessageStatus> {
        let known = self
            .talks
            .get(conversation)
            .and_then(|talk| talk.messages.get(&id.0));
        //= spec/40-status.md#order-of-states
        //# [STA-054] A client MUST NOT let the state of a message fall in rank.
        let state = known.map_or(state, |known| known.state.max(state));
        let before = known.map_or(MessageState::Accepted, |known| known.state);
        let sent = Sent {
            label: label.or_else(|| known.and_then(|known| known.label.clone())),
            online_only,
            failed_for: known
                .map(|known| known.failed_for.clone())
                .unwrap_or_default(),
            ..sent_record(conversation, id, state)
        };
        let is_new = known.is_none();
        self.restore(&sent);
        changes.push(Change::Sent(sent));
        let mut news = Vec::new();
        if state > before {
            news.extend(self.status(conversation, id, state, None));
        }
        //= spec/40-status.md#order-of-states
        //# [STA-055] A client MUST apply a STATUS that comes before the SEND_ACK of its message.
        if is_new && !state.is_final() && !online_only {
            let marks = self.talks.get(conversation).map(|talk| talk.marks.clone());
            for (by, marks) in marks.into_iter().flatten() {
                let reached = marks.state_of(id.0);
                if reached > state {
                    news.extend(self.status(conversation, id, reached, Some(&by)));
                }
            }
        }
        news
    }

    /// Somebody received or read everything up to a message.
    pub(crate) fn watermark(
        &mut self,
        conversation: &Conversation,
        by: &str,
        state: MessageState,
        up_to: MsgId,
        changes: &mut Vec<Change>,
    ) -> Vec<MessageStatus> {
        let talk = self.talks.entry(conversation.clone()).or_default();
        let marks = talk.marks.entry(by.to_owned()).or_default();
        let before = *marks;
        if !marks.raise(state, up_to.0) {
            return Vec::new();
        }
        let (user, group) = to_fields(conversation);
        changes.push(Change::Watermark(Watermark {
            user,
            group,
            by: by.to_owned(),
            state: state.to_field(),
            msg_id: up_to.0,
        }));
        //= spec/40-status.md#order-of-states
        //# [STA-053] A client MUST take a watermark for each of its messages in the conversation whose id is not above
        //# msg_id.
        //= spec/40-status.md#order-of-states
        //# [STA-032] A client MUST let a terminal state stand against later watermarks.
        let reached: Vec<u64> = talk
            .messages
            .range(before.of(state).saturating_add(1)..=up_to.0)
            .filter(|(id, message)| {
                let known = before.state_of(**id).max(message.state);
                !message.online_only
                    && known < state
                    && !message.failed_for.iter().any(|user| user == by)
            })
            .map(|(id, _)| *id)
            .collect();
        let news = reached.into_iter();
        news.filter_map(|id| self.status(conversation, MsgId(id), state, Some(by)))
            .collect()
    }

    /// A message ended: for everybody, or for one member of a group.
    pub(crate) fn ended(
        &mut self,
        conversation: &Conversation,
        id: MsgId,
        state: MessageState,
        member: Option<&str>,
        changes: &mut Vec<Change>,
    ) -> Option<MessageStatus> {
        let known = self
            .talks
            .get(conversation)
            .and_then(|talk| talk.messages.get(&id.0));
        if known.is_some_and(|known| known.state.is_final()) {
            return None;
        }
        let mut sent = Sent {
            label: known.and_then(|known| known.label.clone()),
            failed_for: known
                .map(|known| known.failed_for.clone())
                .unwrap_or_default(),
            ..sent_record(
                conversation,
                id,
                known.map_or(MessageState::Accepted, |known| known.state),
            )
        };
        match member {
            Some(member) if sent.failed_for.iter().any(|user| user == member) => return None,
            Some(member) => sent.failed_for.push(member.to_owned()),
            None => sent.state = state.to_field(),
        }
        self.restore(&sent);
        changes.push(Change::Sent(sent));
        self.status(conversation, id, state, member)
    }

    /// The state of an own message: the furthest that anybody is with it, or that of one member.
    pub(crate) fn state_of(
        &self,
        conversation: &Conversation,
        id: MsgId,
        member: Option<&str>,
    ) -> Option<MessageState> {
        let talk = self.talks.get(conversation)?;
        let message = talk.messages.get(&id.0)?;
        if message.state.is_final() || message.online_only {
            return Some(message.state);
        }
        if member.is_some_and(|member| message.failed_for.iter().any(|user| user == member)) {
            return Some(MessageState::Failed);
        }
        let marks = talk.marks.iter();
        let reached = marks
            .filter(|(by, _)| member.is_none_or(|member| member == *by))
            .map(|(_, marks)| marks.state_of(id.0));
        reached.chain([message.state]).max()
    }

    /// Takes over what a store remembers.
    pub(crate) fn restore(&mut self, sent: &Sent) {
        let conversation = from_fields(sent.user.as_ref(), sent.group);
        let message = Message {
            label: sent.label.clone(),
            state: MessageState::from_field(sent.state).unwrap_or(MessageState::Accepted),
            online_only: sent.online_only,
            failed_for: sent.failed_for.clone(),
        };
        let talk = self.talks.entry(conversation.clone()).or_default();
        if talk.messages.insert(sent.msg_id, message).is_none() {
            self.order.push_back((conversation, sent.msg_id));
        }
        while self.order.len() > FOLLOWED {
            if let Some((conversation, id)) = self.order.pop_front()
                && let Some(talk) = self.talks.get_mut(&conversation)
            {
                talk.messages.remove(&id);
            }
        }
    }

    /// Takes over what a store remembers.
    pub(crate) fn restore_mark(&mut self, mark: &Watermark) {
        let conversation = from_fields(mark.user.as_ref(), mark.group);
        if let Some(state) = MessageState::from_field(mark.state) {
            let talk = self.talks.entry(conversation).or_default();
            talk.marks
                .entry(mark.by.clone())
                .or_default()
                .raise(state, mark.msg_id);
        }
    }

    /// Everything, oldest message first.
    pub(crate) fn to_changes(&self, changes: &mut Vec<Change>) {
        for (conversation, id) in &self.order {
            let message = self
                .talks
                .get(conversation)
                .and_then(|talk| talk.messages.get(id));
            changes.extend(message.map(|message| {
                Change::Sent(Sent {
                    label: message.label.clone(),
                    online_only: message.online_only,
                    failed_for: message.failed_for.clone(),
                    ..sent_record(conversation, MsgId(*id), message.state)
                })
            }));
        }
        for (conversation, talk) in &self.talks {
            for (by, marks) in &talk.marks {
                let both = [
                    (MessageState::Delivered, marks.delivered),
                    (MessageState::Read, marks.read),
                ];
                for (state, msg_id) in both.into_iter().filter(|(_, msg_id)| *msg_id > 0) {
                    let (user, group) = to_fields(conversation);
                    let (by, state) = (by.clone(), state.to_field());
                    changes.push(Change::Watermark(Watermark {
                        user,
                        group,
                        by,
                        state,
                        msg_id,
                    }));
                }
            }
        }
    }

    fn status(
        &self,
        conversation: &Conversation,
        id: MsgId,
        state: MessageState,
        by: Option<&str>,
    ) -> Option<MessageStatus> {
        let message = self.talks.get(conversation)?.messages.get(&id.0)?;
        let in_group = matches!(conversation, Conversation::Group(_));
        Some(MessageStatus {
            conversation: conversation.clone(),
            id,
            label: message.label.clone(),
            state,
            member: by.filter(|_| in_group).map(str::to_owned),
        })
    }
}

fn sent_record(conversation: &Conversation, id: MsgId, state: MessageState) -> Sent {
    let (user, group) = to_fields(conversation);
    Sent {
        user,
        group,
        msg_id: id.0,
        label: None,
        state: state.to_field(),
        online_only: false,
        failed_for: Vec::new(),
    }
}
