//! Family status: STATUS, MARK, STATUS_GET.

use bytes::Bytes;
use prost::Message;
use tidewire_codec::limits::{GROUP_INFO_MEMBERS, GROUP_RECEIPT_LIMIT};
use tidewire_codec::proto::{self, MarkScope, MessageState, mark, status, status_get};
use tidewire_codec::view::TargetView;
use tidewire_codec::{Code, FrameType};

use crate::api::ConnId;
use crate::core::Core;
use crate::entry::EntryKind;
use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
use crate::msgs::{Msg, Phase};
use crate::refuse::{Handled, Refusal, check};
use crate::store::{Body, UserKey};

/// A STATUS that is to be appended to a log.
pub(crate) struct StatusEntry {
    pub(crate) conv: ConvKey,
    pub(crate) msg: MsgId,
    pub(crate) state: MessageState,
    pub(crate) by: UserKey,
    pub(crate) code: Option<Code>,
    /// The device whose MARK it is.
    pub(crate) origin: DeviceUid,
}

impl Core {
    /// The conversation that `me` names, if there can be one.
    pub(crate) fn conversation(&self, me: UserKey, target: TargetView<'_>) -> Option<ConvKey> {
        match target {
            TargetView::User(name) => self
                .users
                .find(name)
                .map(|other| ConvKey::direct(me, other)),
            TargetView::Group(group) => Some(ConvKey::Group(GroupId(group))),
        }
    }

    //= spec/40-status.md#delivered
    //# [STA-006] Every device of the sender MUST get the STATUS, the one that sent the message too.
    //= spec/40-status.md#delivered
    //# [STA-007] A STATUS MUST wait in the log for a sender that is offline.
    /// Appends a STATUS to the log of `reader`.
    pub(crate) fn append_status(&mut self, reader: UserKey, entry: &StatusEntry) {
        let name = |user| {
            self.users
                .name(user)
                .map_or_else(String::new, |name| name.to_string())
        };
        let conversation = match entry.conv {
            ConvKey::Group(group) => status::Conversation::Group(group.0),
            conv => status::Conversation::User(name(conv.peer(reader).unwrap_or(reader))),
        };
        let body = proto::Status {
            msg_id: entry.msg.0,
            state: entry.state.into(),
            by: name(entry.by),
            code: entry.code.map_or(0, |code| u32::from(code.0)),
            conversation: Some(conversation),
            ..proto::Status::default()
        };
        let tail = Bytes::from(body.encode_to_vec());
        self.append(
            reader,
            entry.origin,
            EntryKind::Status,
            &tail,
            Body::Inline(tail.clone()),
        );
    }

    //= spec/40-status.md#groups
    //# [STA-050] In a group of up to 256 members each recipient's DELIVERED and READ MUST be told to the sender, with
    //# the recipient in by.
    //= spec/40-status.md#groups
    //# [STA-051] In a larger group the server MUST NOT send STATUS for single members.
    /// True if the conversation reports the states of single recipients.
    pub(crate) fn reports(&self, conv: ConvKey) -> bool {
        match conv {
            ConvKey::Direct(..) => true,
            ConvKey::Group(group) => self
                .groups
                .get(&group)
                .is_none_or(|group| group.members.len() <= GROUP_RECEIPT_LIMIT),
        }
    }

    /// Tells the sender that `reader` has its messages up to `msg`.
    pub(crate) fn tell_delivered(
        &mut self,
        reader: UserKey,
        conv: ConvKey,
        sender: UserKey,
        msg: MsgId,
    ) {
        if self.reports(conv) {
            let state = MessageState::Delivered;
            self.append_status(
                sender,
                &StatusEntry {
                    conv,
                    msg,
                    state,
                    by: reader,
                    code: None,
                    origin: DeviceUid::NONE,
                },
            );
        }
    }

    //= spec/40-status.md#read
    //# [STA-010] A PUBLIC MARK MUST be answered with OK, and the senders of messages it covers that asked for
    //# receipts.read get STATUS READ with the marking user in by.
    pub(crate) fn on_mark(&mut self, conn: ConnId, reference: u32, mark: &proto::Mark) -> Handled {
        let Some((me, device)) = self.who(conn) else {
            return Ok(());
        };
        //= spec/40-status.md#read
        //# [STA-016] A MARK with scope UNSPECIFIED or without a conversation MUST be answered with ERROR INVALID_FIELD
        //# that names scope or conversation.
        let target = match &mark.conversation {
            Some(mark::Conversation::User(user)) => TargetView::User(user),
            Some(mark::Conversation::Group(group)) => TargetView::Group(*group),
            None => return Err(Refusal::field("conversation")),
        };
        let public = match mark.scope() {
            MarkScope::Public => true,
            MarkScope::Private => false,
            MarkScope::Unspecified => return Err(Refusal::field("scope")),
        };
        //= spec/40-status.md#read
        //# [STA-015] A MARK above the highest msg_id of the conversation, or 0, MUST be answered with ERROR
        //# UNKNOWN_MESSAGE.
        //= spec/40-status.md#read
        //# [STA-020] A MARK for a conversation that has no message MUST be answered with ERROR UNKNOWN_MESSAGE.
        let unknown = || Refusal::of(Code::UNKNOWN_MESSAGE);
        let key = self.conversation(me, target).ok_or_else(unknown)?;
        if let ConvKey::Group(group) = key {
            check(
                self.groups
                    .get(&group)
                    .is_some_and(|group| group.members.contains_key(&me)),
                unknown,
            )?;
        }
        let conv = self.convs.get_mut(&key).ok_or_else(unknown)?;
        let msg = MsgId(mark.msg_id);
        check(msg.0 != 0 && msg <= conv.high, unknown)?;
        let marks = conv.marks.entry(me).or_default();
        //= spec/40-status.md#read
        //# [STA-014] A MARK that is not above the mark of the same or wider scope that stands MUST be answered with OK
        //# and have no effect.
        let old = marks.public;
        let stands = if public { old } else { old.max(marks.private) };
        if msg > stands {
            check(!self.store_full, Refusal::store_full)?;
            //= spec/40-status.md#read
            //# [STA-012] A PRIVATE MARK MUST NOT cause any entry in the log of another user.
            //= spec/40-status.md#read
            //# [STA-017] A PUBLIC MARK above a PRIVATE one MUST tell the senders.
            if public {
                marks.public = msg;
                self.tell_read(me, key, old, msg);
            } else {
                marks.private = msg;
            }
            //= spec/40-status.md#read
            //# [STA-018] Marks MUST survive a restart.
            if let Some(marks) = self.convs.get(&key).and_then(|conv| conv.marks.get(&me)) {
                self.batch.put_marks(key, me, marks);
            }
            //= spec/40-status.md#read
            //# [STA-013] Every MARK that rises MUST give the user's other devices a STATUS READ with the own user in
            //# by.
            if self
                .users
                .get(me)
                .is_some_and(|user| user.has_other_device(device))
            {
                let state = MessageState::Read;
                self.append_status(
                    me,
                    &StatusEntry {
                        conv: key,
                        msg,
                        state,
                        by: me,
                        code: None,
                        origin: device,
                    },
                );
            }
        }
        self.reply(conn, FrameType::OK, reference, &proto::Ok {});
        Ok(())
    }

    //= spec/40-status.md#read
    //# [STA-019] The STATUS READ of a MARK MUST carry the highest msg_id that the MARK covers and that its reader sent,
    //# and for own devices the msg_id of the MARK.
    //= spec/40-status.md#groups
    //# [STA-052] A member's watermark MUST reach only those who sent messages that it newly covers.
    /// Tells each sender how far its messages were read.
    fn tell_read(&mut self, reader: UserKey, key: ConvKey, old: MsgId, new: MsgId) {
        let reports = self.reports(key);
        let Some(conv) = self.convs.get_mut(&key) else {
            return;
        };
        let msgs = &self.msgs;
        //= spec/40-status.md#order-of-states
        //# [STA-031] After EXPIRED for a message, or FAILED for it from one recipient, the server MUST NOT send another
        //# state of that recipient that holds for this message alone.
        let counts = |id| msgs.get(id).is_none_or(|msg| !msg.expired_for(reader));
        let told = conv.newly_read(reader, old, new, counts);
        if let Some(peer) = key.peer(reader) {
            conv.drop_read(peer, new);
        } else if let ConvKey::Group(group) = key
            && let Some(group) = self.groups.get(&group)
        {
            let senders: Vec<UserKey> = conv.unread.keys().copied().collect();
            for sender in senders {
                let others = group.members.keys().filter(|member| **member != sender);
                let all = others
                    .map(|member| conv.public_mark(*member))
                    .min()
                    .unwrap_or(new);
                conv.drop_read(sender, all);
            }
        }
        if !reports {
            return;
        }
        let Some(user) = self.users.get_mut(reader) else {
            return;
        };
        let mut ahead = Vec::new();
        for (sender, msg) in &told {
            //= spec/40-status.md#order-of-states
            //# [STA-030] The states that a sender learns of one message from one recipient MUST rise in rank.
            let of_sender = |msg: &Msg| msg.conv == key && msg.sender == *sender;
            let msgs = &self.msgs;
            if user
                .inbox
                .mark_read_told(*msg, |id| msgs.get(id).is_some_and(of_sender))
            {
                ahead.push((*sender, *msg));
            }
        }
        if let Some(marks) = conv.marks.get_mut(&reader) {
            // What was told before matters as long as something is unacknowledged; later ids include earlier ones.
            let stale =
                |sender| user.inbox.len() == 0 || ahead.iter().any(|(other, _)| *other == sender);
            marks.told.retain(|(sender, _)| !stale(*sender));
            marks.told.extend(ahead);
        }
        for (sender, msg) in told {
            let state = MessageState::Read;
            self.append_status(
                sender,
                &StatusEntry {
                    conv: key,
                    msg,
                    state,
                    by: reader,
                    code: None,
                    origin: DeviceUid::NONE,
                },
            );
        }
    }

    //= spec/40-status.md#status_get
    //# [STA-040] To STATUS_GET for an own message the server MUST answer STATUS_LIST with the state at each recipient,
    //# sorted by user, and the counts.
    pub(crate) fn on_status_get(
        &mut self,
        conn: ConnId,
        reference: u32,
        get: &proto::StatusGet,
    ) -> Handled {
        let Some((me, _)) = self.who(conn) else {
            return Ok(());
        };
        let target = match &get.conversation {
            Some(status_get::Conversation::User(user)) => TargetView::User(user),
            Some(status_get::Conversation::Group(group)) => TargetView::Group(*group),
            None => return Err(Refusal::field("conversation")),
        };
        //= spec/40-status.md#status_get
        //# [STA-041] STATUS_GET for a message of somebody else or that does not exist MUST be answered with ERROR
        //# UNKNOWN_MESSAGE.
        let (id, msg) = self
            .own_message(me, target, get.msg_id)
            .ok_or_else(|| Refusal::of(Code::UNKNOWN_MESSAGE))?;
        let mut list = proto::StatusList {
            msg_id: id.0,
            ..proto::StatusList::default()
        };
        for recipient in msg.recipients() {
            let state = self.state_at(id, msg, recipient);
            list.recipients += 1;
            list.delivered += u32::from(matches!(
                state,
                MessageState::Delivered | MessageState::Read
            ));
            list.read += u32::from(state == MessageState::Read);
            if let Some(name) = self.users.name(recipient) {
                list.members.push(proto::MemberStatus {
                    user: name.to_string(),
                    state: state.into(),
                });
            }
        }
        list.members.sort_unstable_by(|a, b| a.user.cmp(&b.user));
        list.members.truncate(GROUP_INFO_MEMBERS);
        let room = self
            .session(conn)
            .map_or(0, |session| session.max_frame as usize);
        while list.encoded_len() > room && list.members.pop().is_some() {}
        self.reply(conn, FrameType::STATUS_LIST, reference, &list);
        Ok(())
    }

    /// The message, if `me` sent it in this conversation and it is remembered.
    pub(crate) fn own_message(
        &self,
        me: UserKey,
        target: TargetView<'_>,
        id: u64,
    ) -> Option<(MsgId, &Msg)> {
        let conv = self.conversation(me, target)?;
        let msg = self.msgs.get(MsgId(id))?;
        (msg.sender == me && msg.conv == conv).then_some((MsgId(id), msg))
    }

    /// The state of a message at one recipient.
    pub(crate) fn state_at(&self, id: MsgId, msg: &Msg, recipient: UserKey) -> MessageState {
        if msg.traits.online {
            return if msg.traits.offline {
                MessageState::Failed
            } else {
                MessageState::Accepted
            };
        }
        if msg.expired_for(recipient) {
            return MessageState::Expired;
        }
        if msg.failed_for(recipient) {
            return MessageState::Failed;
        }
        if self
            .convs
            .get(&msg.conv)
            .is_some_and(|conv| conv.public_mark(recipient) >= id)
        {
            return MessageState::Read;
        }
        let waits = self
            .users
            .get(recipient)
            .is_some_and(|user| user.inbox.holds(id));
        if msg.phase == Phase::Live && waits {
            MessageState::Accepted
        } else {
            MessageState::Delivered
        }
    }

    /// The state of a message as a whole, which is that of the recipient who is least far, and why it failed.
    pub(crate) fn state_of(&self, id: MsgId, msg: &Msg) -> (MessageState, u32) {
        if msg.phase == Phase::Expired {
            return (MessageState::Expired, 0);
        }
        if msg.traits.offline {
            return (MessageState::Failed, u32::from(Code::RECIPIENT_OFFLINE.0));
        }
        let states = msg
            .recipients()
            .map(|recipient| self.state_at(id, msg, recipient));
        let reached = states
            .filter(|state| *state != MessageState::Failed)
            .min_by_key(|state| *state as i32);
        match reached {
            Some(state) => (state, 0),
            None if msg.lost.is_some() => {
                (MessageState::Failed, u32::from(Code::RECIPIENT_DELETED.0))
            }
            None => (MessageState::Accepted, 0),
        }
    }
}
