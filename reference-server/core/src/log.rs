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
    //# [SND-009]
    if meta.origin != DeviceUid::NONE && meta.origin == session.device {
        return false;
    }
    match meta.kind {
        //# [EXP-004]
        //# [EXP-008]
        EntryKind::Message(_) => deadline > now,
        //# [VER-011]
        //# [VER-016]
        EntryKind::GroupEvent => session.has(Feature::GROUPS),
        EntryKind::Status | EntryKind::Expired => true,
    }
}

//# [SND-040]
//# [SND-041]
//# [SND-042]
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
    //# [CTL-020]
    if session.events_sent >= session.event_limit {
        session.live = false;
        session.blocked = true;
        //# [CTL-025]
        if !session.noticed {
            session.noticed = true;
            let code = u32::from(Code::CREDIT_EXHAUSTED.0);
            let text = format!("event limit {} is reached", session.event_limit);
            state.event(FrameType::NOTICE, &proto::Notice { code, text });
        }
        return Sent::Blocked;
    }
    //# [SND-047]
    //# [EXP-003]
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
    //# [SND-045]
    //# [SND-046]
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

    //# [SND-050]
    //# [STA-001]
    //# [STA-004]
    pub(crate) fn on_ack(&mut self, conn: ConnId, pos: u64) {
        let Some(session) = self.session(conn) else {
            return;
        };
        let (key, uid, limit) = (session.user, session.device, session.ack_limit);
        //# [SND-052]
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
        //# [SND-051]
        if pos <= device.cursor {
            return;
        }
        device.cursor = pos;
        //# [SND-054]
        self.batch.put_cursor(key, uid, pos);
        //# [STA-002]
        let mut told: BTreeMap<(ConvKey, UserKey), MsgId> = BTreeMap::new();
        //# [STA-003]
        while let Some(waiting) = user.inbox.pop_covered(pos) {
            let Some(msg) = self.msgs.get(waiting.msg) else {
                continue;
            };
            //# [EXP-014]
            if msg.phase != Phase::Live {
                continue;
            }
            user.inbox.settle();
            //# [STA-005]
            //# [STA-011]
            if msg.traits.delivered && !waiting.read_told {
                told.insert((msg.conv, msg.sender), waiting.msg);
            }
            self.msgs.settle(waiting.msg);
        }
        //# [SND-010]
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
