//! Family send: SEND, from its fields to entries in logs.

use bytes::Bytes;
use tidewire_codec::limits::{
    GROUP_RECEIPT_LIMIT, IDEM_LEN, MAX_CONTENT_OVERHEAD, MAX_CONTENT_TYPE,
};
use tidewire_codec::proto::{self, Delivery};
use tidewire_codec::view::SendView;
use tidewire_codec::{Code, FrameType, MessageTail};

use crate::api::ConnId;
use crate::core::Core;
use crate::entry::{EntryKind, MessageMeta, Place, put_message};
use crate::idem::send_digest;
use crate::ids::{ConvKey, DeviceUid, IdemKey, MsgId};
use crate::journal::{Record, SendRecord};
use crate::msgs::{Accepted, Msg, Phase, Recipients, Traits};
use crate::persist::Key;
use crate::refuse::{Handled, Refusal, check};
use crate::route::Route;
use crate::store::{Body, Pos, UserKey};

/// From so many recipients on, the body is stored once and the logs point to it.
const SHARED_FROM: usize = 16;

/// The highest value of `priority`.
const MAX_PRIORITY: u32 = 2;

impl Core {
    pub(crate) fn on_send(&mut self, conn: ConnId, reference: u32, send: &SendView<'_>) -> Handled {
        //# [SEC-005]
        let Some((sender, device)) = self.who(conn) else {
            return Ok(());
        };
        let key = self.check_send(send)?;
        let idem = Accepted {
            device,
            key,
            digest: send_digest(send),
        };
        //# [SND-020]
        //# [SND-027]
        //# [SND-028]
        if let Some(id) = self.msgs.keys.get(&(device, key)).copied() {
            return self.repeat(conn, reference, id, idem.digest);
        }
        let route = self.route(sender, send)?;
        self.check_room(sender, device, &route)?;
        let ack = self.accept(conn, sender, idem, send, route);
        //# [SND-001]
        //# [SND-055]
        self.reply(conn, FrameType::SEND_ACK, reference, &ack);
        Ok(())
    }

    fn check_send(&self, send: &SendView<'_>) -> Result<IdemKey, Refusal> {
        //# [SND-012]
        check(send.target.is_some(), || Refusal::field("target"))?;
        //# [SND-013]
        let key = IdemKey::try_from(send.idem)
            .map_err(|_| Refusal::field("idem").bound(IDEM_LEN as u64, send.idem.len() as u64))?;
        check(send.delivery() != Delivery::Unspecified, || {
            Refusal::field("delivery")
        })?;
        //# [SND-014]
        let len = send.content_type.len();
        check(len <= MAX_CONTENT_TYPE, || {
            Refusal::field("content_type").bound(MAX_CONTENT_TYPE as u64, len as u64)
        })?;
        //# [EXP-025]
        check(send.ttl_ms != Some(0), || {
            Refusal::field("ttl_ms").bound(1, 0)
        })?;
        check(send.priority <= MAX_PRIORITY, || {
            Refusal::field("priority").bound(u64::from(MAX_PRIORITY), u64::from(send.priority))
        })?;
        //# [SND-015]
        let (len, limit) = (
            send.content.len() as u64,
            u64::from(self.cfg.max_frame - MAX_CONTENT_OVERHEAD),
        );
        check(len <= limit, || {
            let mut refusal = Refusal::of(Code::CONTENT_TOO_LARGE).bound(limit, len);
            refusal.0.field = Some("content".to_owned());
            refusal
        })?;
        Ok(key)
    }

    //# [SND-005]
    //# [SND-006]
    //# [SND-025]
    /// From here on nothing can fail: the message is accepted with this burst.
    fn accept(
        &mut self,
        conn: ConnId,
        sender: UserKey,
        idem: Accepted,
        send: &SendView<'_>,
        route: Route,
    ) -> proto::SendAck {
        let id = self.counters.last_msg.next(self.now);
        self.counters.last_msg = id;
        //# [EXP-001]
        let ttl = send
            .ttl_ms
            .unwrap_or(self.cfg.default_ttl_ms)
            .min(self.cfg.max_ttl_ms);
        let deadline = self.now.plus(ttl);
        let receipts = send.receipts.unwrap_or_default();
        let mut msg = Msg {
            conv: route.conv,
            sender,
            accepted_at: self.now,
            deadline,
            recipients: route.recipients,
            remaining: 0,
            traits: Traits {
                delivered: receipts.delivered,
                read: receipts.read,
                online: route.online,
                offline: false,
                loopback: route.loopback,
            },
            phase: Phase::Done,
            idem: Some(idem),
            lost: None,
        };
        let tail = self.tail(sender, id, send);
        if route.online {
            //# [SND-037]
            msg.traits.offline = !self.send_online(conn, &msg, ttl, &tail);
        } else {
            self.store_message(id, &mut msg, idem.device, route.rev, &tail);
        }
        self.note_in_conv(id, &msg);
        let traits = msg.traits;
        self.note(&Record::Send(SendRecord {
            id,
            idem,
            conv: route.conv,
            rev: route.rev,
            sender,
            accepted_at: self.now,
            deadline,
            traits,
        }));
        self.msgs.insert(id, msg);
        self.msgs.keys.insert((idem.device, idem.key), id);
        self.msgs.window.push_back(id);
        if let Some(device) = self
            .users
            .get_mut(sender)
            .and_then(|user| user.device_mut(idem.device))
        {
            device.keys += 1;
        }
        //# [SND-019]
        //# [EXP-002]
        let (state, code) = if traits.offline {
            (
                proto::MessageState::Failed,
                u32::from(Code::RECIPIENT_OFFLINE.0),
            )
        } else {
            (proto::MessageState::Accepted, 0)
        };
        proto::SendAck {
            msg_id: id.0,
            duplicate: false,
            ttl_ms: if traits.online { 0 } else { ttl },
            state: state.into(),
            code,
            server_time_ms: self.now.0,
        }
    }

    /// The conversation has another message.
    pub(crate) fn note_in_conv(&mut self, id: MsgId, msg: &Msg) {
        let conv = self.convs.entry(msg.conv).or_default();
        if msg.traits.online {
            conv.high = conv.high.max(id);
            return;
        }
        // Who reads its own messages tells nobody, and a large group does not tell who read what.
        let tells = match msg.conv {
            ConvKey::Direct(a, b) => a != b,
            ConvKey::Group(_) => msg.recipient_count() <= GROUP_RECEIPT_LIMIT,
        };
        conv.note(msg.sender, id, msg.traits.read && tells);
    }

    //# [SND-007]
    //# [SND-016]
    //# [SND-017]
    //# [SND-018]
    //# [FRM-036]
    /// What of the MESSAGE is the same for all recipients.
    fn tail(&self, sender: UserKey, id: MsgId, send: &SendView<'_>) -> Bytes {
        let from = self.users.get(sender).map_or("", |user| &*user.name);
        let tail = MessageTail {
            msg_id: id.0,
            from,
            target: send.target,
            app_type: send.app_type,
            content_type: send.content_type,
            receipts: send.receipts,
            reply_to: send.reply_to,
            thread: send.thread,
            replaces: send.replaces,
            priority: send.priority,
            content_omitted: false,
            content_len: send.content.len() as u64,
            content: send.content,
        };
        tail.to_bytes()
    }

    //# [SND-003]
    //# [SND-004]
    //# [SND-082]
    //# [GRP-059]
    //# [GRP-060]
    fn store_message(
        &mut self,
        id: MsgId,
        msg: &mut Msg,
        device: DeviceUid,
        rev: u64,
        tail: &Bytes,
    ) {
        let sender = msg.sender;
        let shared = msg.recipient_count() >= SHARED_FROM;
        if shared {
            self.batch.bodies.push((id.0, tail.clone()));
        }
        let body = || {
            if shared {
                Body::Shared(id.0)
            } else {
                Body::Inline(tail.clone())
            }
        };
        let (deadline, conv, traits) = (msg.deadline, msg.conv, msg.traits);
        let meta = |recipient| {
            EntryKind::Message(MessageMeta {
                id,
                deadline,
                sender,
                conv,
                rev,
                recipient,
                traits,
            })
        };
        let mut remaining = 0;
        for recipient in msg.recipients() {
            let to_oneself = recipient == sender && !traits.loopback;
            let origin = if to_oneself { device } else { DeviceUid::NONE };
            let Some(pos) = self.append(recipient, origin, meta(true), tail, body()) else {
                continue;
            };
            remaining += 1;
            let Some(user) = self.users.get_mut(recipient) else {
                continue;
            };
            if to_oneself {
                user.inbox.push_own(pos, id, device);
                self.batch.put(Key::OwnWaiting(recipient, pos), Vec::new());
            } else {
                user.inbox.push(pos, id);
            }
        }
        //# [SND-008]
        let own = matches!(msg.recipients, Recipients::One(to) if to == sender) || traits.loopback;
        if !own
            && self
                .users
                .get(sender)
                .is_some_and(|user| user.has_other_device(device))
        {
            self.append(sender, device, meta(false), tail, body());
        }
        msg.remaining = remaining;
        if remaining > 0 {
            msg.phase = Phase::Live;
        }
    }

    //# [SND-035]
    //# [SND-036]
    /// Writes the message to whoever is there; false if nobody is.
    fn send_online(&mut self, conn: ConnId, msg: &Msg, ttl_ms: u64, tail: &Bytes) -> bool {
        let mut there = false;
        for recipient in msg.recipients() {
            let Some(user) = self.users.get(recipient) else {
                continue;
            };
            for session in &user.sessions {
                if *session == conn && !msg.traits.loopback {
                    continue;
                }
                there = true;
                let Some(state) = self.conns.get_mut(session) else {
                    continue;
                };
                let max_frame = state
                    .session
                    .as_ref()
                    .map_or(0, |session| session.max_frame);
                // It may be lost with the connection, so it is lost before it makes a full queue longer.
                if state.congested {
                    continue;
                }
                put_message(
                    &mut state.out,
                    max_frame,
                    Place {
                        pos: Pos(0),
                        prev: Pos(0),
                        age_ms: 0,
                        ttl_ms,
                    },
                    tail,
                );
                if !state.dirty {
                    state.dirty = true;
                    self.dirty.push(*session);
                }
            }
        }
        there
    }

    //# [SND-021]
    //# [SND-023]
    //# [SND-038]
    /// Answers a SEND whose key was accepted before.
    fn repeat(&mut self, conn: ConnId, reference: u32, id: MsgId, digest: u128) -> Handled {
        let Some(msg) = self.msgs.get(id) else {
            return Ok(());
        };
        //# [SND-022]
        let same = msg.idem.as_ref().is_some_and(|idem| idem.digest == digest);
        check(same, || Refusal::of(Code::IDEM_CONFLICT))?;
        let (state, code) = self.state_of(id, msg);
        //# [EXP-016]
        let over = msg.traits.online
            || matches!(
                state,
                proto::MessageState::Expired | proto::MessageState::Failed
            );
        let ack = proto::SendAck {
            msg_id: id.0,
            duplicate: true,
            ttl_ms: if over {
                0
            } else {
                msg.deadline.since(self.now)
            },
            state: state.into(),
            code,
            server_time_ms: self.now.0,
        };
        self.reply(conn, FrameType::SEND_ACK, reference, &ack);
        Ok(())
    }
}
