//! Family send: the user log. Entries are appended here and sent to whoever is up to date; ACK moves cursors.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidewire_codec::{Code, Feature, FrameType, proto};

use crate::api::{ConnId, Millis};
use crate::conn::{Conn, Session};
use crate::core::Core;
use crate::entry::{EntryKind, EntryMeta, Place, put_entry};
use crate::ids::{ConvKey, DeviceUid, MsgId};
use crate::msgs::Phase;
use crate::persist::Key;
use crate::refuse::Farewell;
use crate::store::{Append, Body, Pos, UserKey, Value};

/// What became of an entry on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// Written, or not visible: the next one may go.
    Passed,
    /// The event limit holds it back.
    Blocked,
}

/// True if the device behind the session may see the entry now.
fn visible(session: &Session, meta: &EntryMeta, now: Millis, deadline: Millis) -> bool {
    //= spec/30-send.md#send-1
    //# [SND-009] The device that sent a message MUST NOT get it as an entry, except in a group with LOOPBACK.
    if meta.origin != DeviceUid::NONE && meta.origin == session.device {
        return false;
    }
    match meta.kind {
        //= spec/60-expiry.md#time-to-live
        //# [EXP-004] A message whose time is over MUST NOT be sent to any device.
        //= spec/60-expiry.md#time-to-live
        //# [EXP-008] An expired message MUST NOT hold up the entries after it.
        EntryKind::Message(_) => deadline > now,
        //= spec/03-versioning.md#features
        //# [VER-011] The server MUST NOT send a frame whose feature is not enabled on the connection.
        //= spec/03-versioning.md#features
        //# [VER-016] An entry that is left out for want of a feature MUST NOT appear in the prev_pos of the entries
        //# that follow it on that connection.
        EntryKind::GroupEvent => session.has(Feature::GROUPS),
        EntryKind::Status | EntryKind::Expired => true,
    }
}

//= spec/30-send.md#the-user-log
//# [SND-040] pos MUST rise strictly with each entry that is sent on a connection, except where SYNC asked for a repeat.
//= spec/30-send.md#the-user-log
//# [SND-041] prev_pos of an entry MUST be the pos of the visible entry before it, or at most the position where the
//# backlog started if it is the first on the connection.
//= spec/30-send.md#the-user-log
//# [SND-042] Every visible entry after the start of the backlog MUST be sent exactly once on a connection, in the order
//# of the log, apart from what SYNC asks for again.
/// Sends the entry on the connection, if it is visible there and the event limit lets it.
pub(crate) fn send_entry(
    state: &mut Conn,
    now: Millis,
    pos: Pos,
    meta: &EntryMeta,
    deadline: Millis,
    tail: &[u8],
) -> Sent {
    let Some(session) = state.session.as_deref_mut() else {
        return Sent::Passed;
    };
    if !visible(session, meta, now, deadline) {
        session.scan = pos;
        return Sent::Passed;
    }
    //= spec/10-control.md#flow-of-entries
    //# [CTL-020] The server MUST NOT send more LOGGED frames on a connection than the highest event_limit received on
    //# it.
    if session.events_sent >= session.event_limit {
        session.live = false;
        session.blocked = true;
        //= spec/10-control.md#flow-of-entries
        //# [CTL-025] When the event limit stops entries that wait, the server MAY say so with NOTICE CREDIT_EXHAUSTED.
        if !session.noticed {
            session.noticed = true;
            let code = u32::from(Code::CREDIT_EXHAUSTED.0);
            let text = format!("event limit {} is reached", session.event_limit);
            state.event(FrameType::NOTICE, &proto::Notice { code, text });
        }
        return Sent::Blocked;
    }
    //= spec/30-send.md#the-user-log
    //# [SND-047] age_ms of an entry MUST be the server time that passed since the entry was made.
    //= spec/60-expiry.md#time-to-live
    //# [EXP-003] MESSAGE MUST say what is left of the time to live in ttl_ms.
    let place = Place {
        pos,
        prev: session.prev,
        age_ms: now.since(meta.made),
        ttl_ms: deadline.since(now),
    };
    put_entry(
        &mut state.out,
        meta.frame_type(),
        session.max_frame,
        place,
        tail,
    );
    session.events_sent += 1;
    session.scan = pos;
    session.prev = pos;
    session.ack_limit = session.ack_limit.max(pos);
    Sent::Passed
}

impl Core {
    //= spec/30-send.md#the-user-log
    //# [SND-045] Positions and order of entries MUST be the same after a restart.
    //= spec/30-send.md#the-user-log
    //# [SND-046] The devices of a user MUST see the same pos for the same entry.
    /// Appends an entry to a log, and sends it to the sessions that have all before it.
    pub(crate) fn append(
        &mut self,
        key: UserKey,
        origin: DeviceUid,
        kind: EntryKind,
        tail: &Bytes,
        body: Body,
    ) -> Option<Pos> {
        let now = self.now;
        let user = self.users.get_mut(key)?;
        user.head = Pos(user.head.0 + 1);
        let pos = user.head;
        let meta = EntryMeta {
            made: now,
            origin,
            kind,
        };
        self.batch.appends.push(Append {
            user: key,
            pos,
            value: Value {
                meta: meta.encode(),
                body,
            },
        });
        let deadline = match kind {
            EntryKind::Message(message) => message.deadline,
            _ => now,
        };
        for conn in &user.sessions {
            let Some(state) = self.conns.get_mut(conn) else {
                continue;
            };
            let congested = state.congested;
            let Some(session) = state.session.as_deref_mut() else {
                continue;
            };
            if !session.live {
                continue;
            }
            if congested {
                // It reads the entry from the store when there is room again.
                session.live = false;
                continue;
            }
            send_entry(state, now, pos, &meta, deadline, tail);
            if !state.dirty {
                state.dirty = true;
                self.dirty.push(*conn);
            }
        }
        Some(pos)
    }

    //= spec/30-send.md#ack
    //# [SND-050] ACK MUST raise the cursor of the device to pos.
    //= spec/40-status.md#delivered
    //# [STA-001] Except in a group of more than 256 members, when a device's ACK first covers a message that asked for
    //# receipts.delivered, the sender MUST get STATUS DELIVERED with the recipient in by.
    //= spec/40-status.md#delivered
    //# [STA-004] Sending a MESSAGE without an ACK for it MUST NOT cause DELIVERED.
    pub(crate) fn on_ack(&mut self, conn: ConnId, pos: u64) {
        let Some(session) = self.session(conn) else {
            return;
        };
        let (key, uid, limit) = (session.user, session.device, session.ack_limit);
        //= spec/30-send.md#ack
        //# [SND-052] On an ACK above both the highest position sent on the connection and the position where its
        //# backlog started, the server MUST send GOAWAY PROTOCOL_VIOLATION with limit and actual.
        if pos > limit.0 {
            self.farewell(
                conn,
                &Farewell::of(Code::PROTOCOL_VIOLATION).bound(limit.0, pos),
            );
            return;
        }
        let pos = Pos(pos);
        let Some(user) = self.users.get_mut(key) else {
            return;
        };
        let Some(device) = user.device_mut(uid) else {
            return;
        };
        //= spec/30-send.md#ack
        //# [SND-051] An ACK below or at the cursor MUST be ignored.
        if pos <= device.cursor {
            return;
        }
        device.cursor = pos;
        //= spec/30-send.md#ack
        //# [SND-054] The cursor MUST survive a restart.
        self.batch.put_cursor(key, uid, pos);
        //= spec/40-status.md#delivered
        //# [STA-002] An ACK that covers several messages of one sender in one conversation MUST cause one STATUS
        //# DELIVERED with the highest of their ids.
        let mut told: BTreeMap<(ConvKey, UserKey), MsgId> = BTreeMap::new();
        //= spec/40-status.md#delivered
        //# [STA-003] The ACK of a second device of the recipient MUST NOT cause a second DELIVERED.
        while let Some(waiting) = user.inbox.pop_covered(pos) {
            let Some(msg) = self.msgs.get(waiting.msg) else {
                continue;
            };
            //= spec/60-expiry.md#expired
            //# [EXP-014] An ACK that covers an expired message MUST NOT cause DELIVERED for it alone.
            if msg.phase != Phase::Live {
                continue;
            }
            user.inbox.settle();
            //= spec/40-status.md#delivered
            //# [STA-005] A message that did not ask for receipts.delivered MUST NOT by itself cause STATUS DELIVERED.
            //= spec/40-status.md#read
            //# [STA-011] READ implies DELIVERED: after STATUS READ for a message the server MUST NOT send DELIVERED for
            //# it.
            if msg.traits.delivered && !waiting.read_told {
                told.insert((msg.conv, msg.sender), waiting.msg);
            }
            self.msgs.settle(waiting.msg);
        }
        //= spec/30-send.md#send-1
        //# [SND-010] A user MUST be able to send to itself: its other devices get the message, and it is DELIVERED when
        //# one of them acknowledges it.
        while let Some(own) = user.inbox.pop_own(pos, uid) {
            user.inbox.settle();
            self.batch.remove(Key::OwnWaiting(key, own.pos));
            let Some(msg) = self.msgs.get(own.msg) else {
                continue;
            };
            if msg.traits.delivered {
                told.insert((msg.conv, msg.sender), own.msg);
            }
            self.msgs.settle(own.msg);
        }
        for ((conv, sender), id) in told {
            self.tell_delivered(key, conv, sender, id);
        }
    }
}
