//! Family expiry: deadlines and EXPIRY_SET.

use bytes::Bytes;
use prost::Message;
use tidewire_codec::proto::{self, expired, expiry_set};
use tidewire_codec::view::TargetView;
use tidewire_codec::{Code, FrameType};

use crate::api::ConnId;
use crate::core::Core;
use crate::entry::EntryKind;
use crate::ids::{ConvKey, DeviceUid, MsgId};
use crate::journal::Record;
use crate::msgs::{Lost, Phase};
use crate::persist::Key;
use crate::refuse::{Handled, Refusal, check};
use crate::store::{Body, UserKey};

impl Core {
    //= spec/60-expiry.md#expired
    //# [EXP-010] When a message's time ends before every recipient acknowledged it, the sender MUST get exactly one
    //# EXPIRED for it.
    //= spec/60-expiry.md#expired
    //# [EXP-011] A message that every recipient acknowledged in time MUST NOT cause EXPIRED.
    //= spec/60-expiry.md#expired
    //# [EXP-017] A message that expired while the server was down MUST cause EXPIRED after the restart.
    /// A message's time is over before every recipient had it.
    pub(crate) fn expire(&mut self, id: MsgId) {
        let Some(msg) = self.msgs.get(id) else { return };
        let (sender, conv, all) = (msg.sender, msg.conv, msg.recipient_count());
        let holds = |user: &UserKey| {
            self.users
                .get(*user)
                .is_some_and(|user| user.inbox.holds(id))
        };
        let waiting: Vec<UserKey> = msg.recipients().filter(holds).collect();
        for recipient in &waiting {
            let Some(user) = self.users.get_mut(*recipient) else {
                continue;
            };
            user.inbox.settle();
            if let Some(own) = user.inbox.take_own(id) {
                self.batch.remove(Key::OwnWaiting(*recipient, own.pos));
            }
        }
        if waiting.len() == all
            && let Some(conv) = self.convs.get_mut(&conv)
        {
            conv.lost(sender, id);
        }
        self.note(&Record::Expired(id, waiting.clone()));
        let undelivered = waiting.len() as u32;
        if let Some(msg) = self.msgs.get_mut(id) {
            msg.remaining = 0;
            msg.lost
                .get_or_insert_with(|| Box::new(Lost::default()))
                .expired = waiting.clone();
        }
        self.msgs.end(id, Phase::Expired);
        for recipient in &waiting {
            if let Some(user) = self.users.get_mut(*recipient)
                && user.inbox.wants_compaction()
            {
                user.inbox.compact(|msg| self.msgs.is_live(msg));
            }
        }
        self.append_expired(sender, conv, id, undelivered);
    }

    //= spec/60-expiry.md#expired
    //# [EXP-012] EXPIRED MUST say in undelivered how many recipients did not acknowledge the message.
    //= spec/60-expiry.md#expired
    //# [EXP-013] EXPIRED MUST wait in the log for a sender that is offline.
    //= spec/60-expiry.md#expired
    //# [EXP-015] EXPIRED MUST come whether or not the sender asked for receipts.
    fn append_expired(&mut self, sender: UserKey, conv: ConvKey, id: MsgId, undelivered: u32) {
        let conversation = match conv {
            ConvKey::Group(group) => expired::Conversation::Group(group.0),
            conv => {
                let peer = conv.peer(sender).unwrap_or(sender);
                let name = self.users.name(peer);
                expired::Conversation::User(name.map_or_else(String::new, |name| name.to_string()))
            }
        };
        let body = proto::Expired {
            conversation: Some(conversation),
            msg_id: id.0,
            undelivered,
            ..proto::Expired::default()
        };
        let tail = Bytes::from(body.encode_to_vec());
        self.append(
            sender,
            DeviceUid::NONE,
            EntryKind::Expired,
            &tail,
            Body::Inline(tail.clone()),
        );
    }

    //= spec/60-expiry.md#expiry_set
    //# [EXP-020] EXPIRY_SET for an own message that still lives MUST be answered with OK, and the message then ends
    //# ttl_ms after that, at most max_ttl_ms after it.
    //= spec/60-expiry.md#expiry_set
    //# [EXP-021] A shortened message MUST end at the new time and cause EXPIRED as any other.
    //= spec/60-expiry.md#expiry_set
    //# [EXP-022] A lengthened message MUST be delivered after its first deadline.
    pub(crate) fn on_expiry_set(
        &mut self,
        conn: ConnId,
        reference: u32,
        set: &proto::ExpirySet,
    ) -> Handled {
        let Some((me, _)) = self.who(conn) else {
            return Ok(());
        };
        let target = match &set.conversation {
            Some(expiry_set::Conversation::User(user)) => TargetView::User(user),
            Some(expiry_set::Conversation::Group(group)) => TargetView::Group(*group),
            None => return Err(Refusal::field("conversation")),
        };
        check(set.ttl_ms != 0, || Refusal::field("ttl_ms").bound(1, 0))?;
        //= spec/60-expiry.md#expiry_set
        //# [EXP-023] EXPIRY_SET for a message of somebody else or that does not exist MUST be answered with ERROR
        //# UNKNOWN_MESSAGE.
        let (id, msg) = self
            .own_message(me, target, set.msg_id)
            .ok_or_else(|| Refusal::of(Code::UNKNOWN_MESSAGE))?;
        //= spec/60-expiry.md#expiry_set
        //# [EXP-024] EXPIRY_SET for a message that is delivered to all or whose life is over MUST be answered with
        //# ERROR TOO_LATE.
        check(msg.phase == Phase::Live, || Refusal::of(Code::TOO_LATE))?;
        check(!self.store_full, Refusal::store_full)?;
        let deadline = self.now.plus(set.ttl_ms.min(self.cfg.max_ttl_ms));
        self.msgs.set_deadline(id, deadline);
        //= spec/60-expiry.md#expiry_set
        //# [EXP-026] A deadline set by EXPIRY_SET MUST survive a restart.
        if let Some(moved) = self.msgs.overrides.get(&id) {
            self.batch.put_deadline(id, *moved);
        }
        self.reply(conn, FrameType::OK, reference, &proto::Ok {});
        Ok(())
    }
}
