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
        //= spec/04-security.md#security
        //# [SEC-005] The server MUST derive the sender of a message from the session alone.
        let Some((sender, device)) = self.who(conn) else {
            return Ok(());
        };
        let key = self.check_send(send)?;
        let idem = Accepted {
            device,
            key,
            digest: send_digest(send),
        };
        //= spec/30-send.md#idempotency
        //# [SND-020] A SEND whose key was accepted before with the same decoded fields MUST be answered with SEND_ACK
        //# with the original msg_id and duplicate true.
        //= spec/30-send.md#idempotency
        //# [SND-027] The same key from another device or another user MUST be taken as a different key.
        //= spec/30-send.md#idempotency
        //# [SND-028] Repeats of a SEND on one connection that arrive while the first is not yet answered MUST get the
        //# same msg_id, one of them with duplicate false.
        if let Some(id) = self.msgs.keys.get(&(device, key)).copied() {
            return self.repeat(conn, reference, id, idem.digest);
        }
        let route = self.route(sender, send)?;
        self.check_room(sender, device, &route)?;
        let ack = self.accept(conn, sender, idem, send, route);
        //= spec/30-send.md#send-1
        //# [SND-001] To a valid SEND the server MUST answer SEND_ACK with a msg_id other than 0.
        //= spec/30-send.md#ack
        //# [SND-055] A SEND_ACK MUST NOT move a client's position.
        self.reply(conn, FrameType::SEND_ACK, reference, &ack);
        Ok(())
    }

    fn check_send(&self, send: &SendView<'_>) -> Result<IdemKey, Refusal> {
        //= spec/30-send.md#send-1
        //# [SND-012] A SEND without a target, or with delivery UNSPECIFIED, MUST be answered with ERROR INVALID_FIELD
        //# that names target or delivery.
        check(send.target.is_some(), || Refusal::field("target"))?;
        //= spec/30-send.md#send-1
        //# [SND-013] A SEND whose idem is not 16 bytes MUST be answered with ERROR INVALID_FIELD for idem.
        let key = IdemKey::try_from(send.idem)
            .map_err(|_| Refusal::field("idem").bound(IDEM_LEN as u64, send.idem.len() as u64))?;
        check(send.delivery() != Delivery::Unspecified, || {
            Refusal::field("delivery")
        })?;
        //= spec/30-send.md#send-1
        //# [SND-014] A SEND with ttl_ms 0, content_type longer than 64 bytes, or priority above 2 MUST be answered with
        //# ERROR INVALID_FIELD that names the field.
        let len = send.content_type.len();
        check(len <= MAX_CONTENT_TYPE, || {
            Refusal::field("content_type").bound(MAX_CONTENT_TYPE as u64, len as u64)
        })?;
        //= spec/60-expiry.md#expiry_set
        //# [EXP-025] EXPIRY_SET with ttl_ms 0 MUST be answered with ERROR INVALID_FIELD for ttl_ms.
        check(send.ttl_ms != Some(0), || {
            Refusal::field("ttl_ms").bound(1, 0)
        })?;
        check(send.priority <= MAX_PRIORITY, || {
            Refusal::field("priority").bound(u64::from(MAX_PRIORITY), u64::from(send.priority))
        })?;
        //= spec/30-send.md#send-1
        //# [SND-015] A SEND whose content is longer than the server's max_frame less 2,048 bytes MUST be answered with
        //# ERROR CONTENT_TOO_LARGE with limit and actual.
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

    //= spec/30-send.md#send-1
    //# [SND-005] msg_id MUST rise strictly with each message of a conversation, in both directions of it.
    //= spec/30-send.md#send-1
    //# [SND-006] Messages of one connection to one conversation MUST be accepted and delivered in the order in which
    //# they were sent.
    //= spec/30-send.md#idempotency
    //# [SND-025] Keys MUST be remembered across a restart of the server.
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
        //= spec/60-expiry.md#time-to-live
        //# [EXP-001] The effective time to live MUST be ttl_ms of the SEND, or default_ttl_ms where it is absent, and
        //# at most max_ttl_ms.
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
        let mut without_room = Vec::new();
        if route.online {
            //= spec/30-send.md#online-only
            //# [SND-037] When no device of the recipient is logged in, the SEND_ACK of an ONLINE_ONLY message MUST have
            //# state FAILED and code RECIPIENT_OFFLINE.
            msg.traits.offline = !self.send_online(conn, &msg, ttl, &tail);
        } else {
            without_room = self.store_message(id, &mut msg, idem.device, route.rev, &tail);
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
        for member in without_room {
            self.note_failed(id, member, Code::RECIPIENT_FULL);
        }
        if let Some(device) = self
            .users
            .get_mut(sender)
            .and_then(|user| user.device_mut(idem.device))
        {
            device.keys += 1;
        }
        //= spec/30-send.md#send-1
        //# [SND-019] SEND_ACK of a new STORE message MUST have duplicate false and state ACCEPTED.
        //= spec/60-expiry.md#time-to-live
        //# [EXP-002] SEND_ACK MUST answer the effective time to live, and for a duplicate what is left of it.
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

    //= spec/30-send.md#send-1
    //# [SND-007] MESSAGE MUST name the sending user in from and the addressed user or group in to_user or to_group.
    //= spec/30-send.md#send-1
    //# [SND-016] Empty content MUST be accepted and forwarded as empty.
    //= spec/30-send.md#send-1
    //# [SND-017] app_type, content_type, receipts, reply_to, thread, replaces and priority MUST be forwarded as they
    //# were sent, and absent stays apart from zero where the field is optional.
    //= spec/30-send.md#send-1
    //# [SND-018] MESSAGE MUST say the whole length of the content in content_len.
    //= spec/01-framing.md#bodies
    //# [FRM-036] The server MUST forward content bit by bit as it was sent.
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

    //= spec/30-send.md#send-1
    //# [SND-003] An accepted message MUST reach every device of the recipient that is logged in as MESSAGE with the
    //# fields of the SEND and the msg_id of its SEND_ACK.
    //= spec/30-send.md#send-1
    //# [SND-004] An accepted message with delivery STORE MUST reach a recipient's device that logs in later, unless it
    //# expired before.
    //= spec/30-send.md#bounds
    //# [SND-082] Two users' conversations MUST NOT see each other's messages.
    //= spec/50-group.md#messages-to-a-group
    //# [GRP-059] All members MUST see the messages of a group in the same order.
    //= spec/50-group.md#messages-to-a-group
    //# [GRP-060] A group message that was accepted MUST reach a member that was offline, also after a restart.
    /// Appends the message to the logs; returns the members of a group who had no room for it.
    fn store_message(
        &mut self,
        id: MsgId,
        msg: &mut Msg,
        device: DeviceUid,
        rev: u64,
        tail: &Bytes,
    ) -> Vec<UserKey> {
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
        let mut without_room = Vec::new();
        for recipient in msg.recipients() {
            //= spec/50-group.md#messages-to-a-group
            //# [GRP-062] When a member has as many undelivered messages as allowed, a SEND to the group MUST reach the
            //# others, and in a group of up to 256 members the sender gets STATUS FAILED with code RECIPIENT_FULL and
            //# that member in by.
            if recipient != sender && self.inbox_full(recipient) {
                without_room.push(recipient);
                continue;
            }
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
        //= spec/30-send.md#send-1
        //# [SND-008] The sender's other known devices MUST get its message as an entry of their log.
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
        without_room
    }

    //= spec/30-send.md#online-only
    //# [SND-035] A message with delivery ONLINE_ONLY MUST be sent to the recipient's devices that are logged in at
    //# acceptance, as MESSAGE with LOGGED clear and without pos, prev_pos.
    //= spec/30-send.md#online-only
    //# [SND-036] An ONLINE_ONLY message MUST NOT appear in any log.
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

    //= spec/30-send.md#idempotency
    //# [SND-021] A duplicate MUST have no effect: nobody gets a second entry.
    //= spec/30-send.md#idempotency
    //# [SND-023] The state in the SEND_ACK of a duplicate MUST be the message's state now.
    //= spec/30-send.md#online-only
    //# [SND-038] Idempotency MUST hold for ONLINE_ONLY messages as well.
    /// Answers a SEND whose key was accepted before.
    fn repeat(&mut self, conn: ConnId, reference: u32, id: MsgId, digest: u128) -> Handled {
        let Some(msg) = self.msgs.get(id) else {
            return Ok(());
        };
        //= spec/30-send.md#idempotency
        //# [SND-022] A SEND whose key was accepted before with other fields MUST be answered with ERROR IDEM_CONFLICT.
        let same = msg.idem.as_ref().is_some_and(|idem| idem.digest == digest);
        check(same, || Refusal::of(Code::IDEM_CONFLICT))?;
        let (state, code) = self.state_of(id, msg);
        //= spec/60-expiry.md#expired
        //# [EXP-016] The SEND_ACK of a duplicate of an expired message MUST have state EXPIRED.
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
