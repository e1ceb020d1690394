//! Entries of a user log: what the core notes beside each body, and how an entry becomes a frame.

use bytes::{BufMut, Bytes, BytesMut};
use tidewire_codec::limits::HEADER_LEN;
use tidewire_codec::view::MessageView;
use tidewire_codec::{Flags, FrameType, Header, MessagePrefix, MessageTail};

use crate::api::Millis;
use crate::bin::{Put, Take};
use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
use crate::msgs::Traits;
use crate::store::{Pos, UserKey};

/// What the core knows of an entry without its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntryMeta {
    /// When it was made.
    pub(crate) made: Millis,
    /// The device that caused it and does not see it.
    pub(crate) origin: DeviceUid,
    pub(crate) kind: EntryKind,
}

/// What an entry is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EntryKind {
    Message(MessageMeta),
    Status,
    GroupEvent,
    Expired,
}

/// What the core knows of a message from its entry alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageMeta {
    pub(crate) id: MsgId,
    /// As it was at acceptance.
    pub(crate) deadline: Millis,
    pub(crate) sender: UserKey,
    pub(crate) conv: ConvKey,
    /// Revision of the group at acceptance.
    pub(crate) rev: u64,
    /// The owner of the log is a recipient; otherwise this is the sender's own copy.
    pub(crate) recipient: bool,
    pub(crate) traits: Traits,
}

const MESSAGE: u8 = 1;
const STATUS: u8 = 2;
const GROUP_EVENT: u8 = 3;
const EXPIRED: u8 = 4;

impl EntryMeta {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.push(match self.kind {
            EntryKind::Message(_) => MESSAGE,
            EntryKind::Status => STATUS,
            EntryKind::GroupEvent => GROUP_EVENT,
            EntryKind::Expired => EXPIRED,
        });
        out.put_num(self.made.0);
        out.put_num(self.origin.0);
        if let EntryKind::Message(message) = self.kind {
            out.push(message.traits.to_bits() | u8::from(message.recipient) << 7);
            out.put_num(message.id.0);
            out.put_num(message.deadline.since(self.made));
            out.put_num(message.sender.0);
            let (a, b) = match message.conv {
                ConvKey::Direct(a, b) => (a.0, b.0),
                // Users start at 1, so 0 says that it is a group.
                ConvKey::Group(group) => (0, group.0),
            };
            out.put_num(a);
            out.put_num(b);
            out.put_num(message.rev);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<EntryMeta> {
        let mut take = Take(bytes);
        let kind = take.byte()?;
        let made = take.time()?;
        let origin = DeviceUid(take.num()?);
        let kind = match kind {
            MESSAGE => {
                let bits = take.byte()?;
                let id = MsgId(take.num()?);
                let deadline = made.plus(take.num()?);
                let sender = UserKey(take.num()?);
                let conv = match (take.num()?, take.num()?) {
                    (0, group) => ConvKey::Group(GroupId(group)),
                    (a, b) => ConvKey::Direct(UserKey(a), UserKey(b)),
                };
                let rev = take.num()?;
                let traits = Traits::from_bits(bits & 0x7F);
                EntryKind::Message(MessageMeta {
                    id,
                    deadline,
                    sender,
                    conv,
                    rev,
                    recipient: bits & 0x80 != 0,
                    traits,
                })
            }
            STATUS => EntryKind::Status,
            GROUP_EVENT => EntryKind::GroupEvent,
            EXPIRED => EntryKind::Expired,
            _ => return None,
        };
        Some(EntryMeta { made, origin, kind })
    }

    pub(crate) fn frame_type(&self) -> FrameType {
        match self.kind {
            EntryKind::Message(_) => FrameType::MESSAGE,
            EntryKind::Status => FrameType::STATUS,
            EntryKind::GroupEvent => FrameType::GROUP_EVENT,
            EntryKind::Expired => FrameType::EXPIRED,
        }
    }
}

/// What of an entry belongs to the connection on which it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) pos: Pos,
    pub(crate) prev: Pos,
    pub(crate) age_ms: u64,
    /// Milliseconds left of a message.
    pub(crate) ttl_ms: u64,
}

//= spec/01-framing.md#unknown-frames
//# [FRM-045] Every logged frame that the server sends MUST have LOGGED set and pos, prev_pos and age_ms in fields 1, 2
//# and 3.
//= spec/02-errors-and-limits.md#sizes
//# [ERR-034] The server MUST NOT send a body longer than the max_frame that the client announced in LOGIN, or 65,536
//# where it announced none.
/// Appends the frame of an entry; a MESSAGE that is too long for the client goes without its content.
pub(crate) fn put_entry(
    out: &mut BytesMut,
    frame_type: FrameType,
    max_frame: u32,
    place: Place,
    tail: &[u8],
) {
    if frame_type == FrameType::MESSAGE {
        put_message(out, max_frame, place, tail);
        return;
    }
    let mut prefix = Vec::with_capacity(33);
    for (key, value) in [
        (0x08, place.pos.0),
        (0x10, place.prev.0),
        (0x18, place.age_ms),
    ] {
        if value != 0 {
            prefix.push(key);
            prefix.put_num(value);
        }
    }
    let len = (prefix.len() + tail.len()) as u32;
    out.reserve(HEADER_LEN + len as usize);
    out.put_slice(
        &Header {
            len,
            flags: Flags::LOGGED,
            frame_type,
            reference: 0,
        }
        .encode(),
    );
    out.put_slice(&prefix);
    out.put_slice(tail);
}

/// Appends a MESSAGE. With position 0 it is no entry: LOGGED stays clear.
pub(crate) fn put_message(out: &mut BytesMut, max_frame: u32, place: Place, tail: &[u8]) {
    let Place {
        pos,
        prev,
        age_ms,
        ttl_ms,
    } = place;
    let prefix = MessagePrefix {
        pos: pos.0,
        prev_pos: prev.0,
        age_ms,
        ttl_ms,
    };
    if prefix.encoded_len() + tail.len() <= max_frame as usize {
        if prefix.encode_head(tail.len(), out).is_ok() {
            out.put_slice(tail);
        }
        return;
    }
    let Some(short) = without_content(tail) else {
        return;
    };
    if prefix.encode_head(short.len(), out).is_ok() {
        out.put_slice(&short);
    }
}

//= spec/30-send.md#large-content
//# [SND-070] When a MESSAGE would be larger than the client's max_frame, the server MUST send it with content_omitted
//# true and empty content.
//= spec/30-send.md#large-content
//# [SND-071] An entry with omitted content MUST keep its place: later entries follow it as usual.
/// The tail of a MESSAGE whose content stays behind.
fn without_content(tail: &[u8]) -> Option<Bytes> {
    let view = MessageView::decode(tail).ok()?;
    let short = MessageTail {
        msg_id: view.msg_id,
        from: view.from,
        target: view.target,
        app_type: view.app_type,
        content_type: view.content_type,
        receipts: view.receipts,
        reply_to: view.reply_to,
        thread: view.thread,
        replaces: view.replaces,
        priority: view.priority,
        content_omitted: true,
        content_len: view.content_len,
        content: &[],
    };
    Some(short.to_bytes())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tidewire_codec::view::{MessageView, StatusView, TargetView};
    use tidewire_codec::{Decoder, Flags, FrameType, Item, MessageTail};

    use super::{EntryKind, EntryMeta, MessageMeta, Place, put_entry};
    use crate::api::Millis;
    use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
    use crate::msgs::Traits;
    use crate::store::{Pos, UserKey};

    const PLACE: Place = Place {
        pos: Pos(300),
        prev: Pos(299),
        age_ms: 5,
        ttl_ms: 70,
    };

    #[test]
    fn what_the_core_notes_comes_back() {
        let message = MessageMeta {
            id: MsgId(u64::MAX >> 1),
            deadline: Millis(5_000),
            sender: UserKey(1),
            conv: ConvKey::Direct(UserKey(1), UserKey(300)),
            rev: 0,
            recipient: true,
            traits: Traits {
                read: true,
                loopback: true,
                ..Traits::default()
            },
        };
        let group = MessageMeta {
            conv: ConvKey::Group(GroupId(5)),
            rev: 9,
            recipient: false,
            ..message
        };
        for kind in [
            EntryKind::Message(message),
            EntryKind::Message(group),
            EntryKind::Status,
            EntryKind::GroupEvent,
            EntryKind::Expired,
        ] {
            let meta = EntryMeta {
                made: Millis(4_000),
                origin: DeviceUid(2),
                kind,
            };
            let bytes = meta.encode();
            assert_eq!(
                format!("{:?}", EntryMeta::decode(&bytes)),
                format!("{:?}", Some(meta))
            );
            for len in 0..bytes.len() {
                assert!(
                    EntryMeta::decode(&bytes[..len]).is_none(),
                    "{kind:?} cut at {len}"
                );
            }
        }
    }

    #[track_caller]
    fn frame(frame_type: FrameType, max_frame: u32, tail: &[u8]) -> tidewire_codec::RawFrame {
        let mut bytes = BytesMut::new();
        put_entry(&mut bytes, frame_type, max_frame, PLACE, tail);
        let mut decoder = Decoder::new(false);
        decoder.set_max_frame(max_frame);
        match decoder.poll(&mut bytes) {
            Some(Item::Frame(frame)) if bytes.is_empty() => frame,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn an_entry_is_its_place_and_its_tail() {
        let frame = frame(FrameType::STATUS, 16_384, b"\x30\x09\x38\x02");
        assert_eq!((frame.flags, frame.reference), (Flags::LOGGED, 0));
        let status = StatusView::decode(&frame.body).unwrap_or_default();
        assert_eq!(
            (status.pos, status.prev_pos, status.age_ms, status.msg_id),
            (300, 299, 5, 9)
        );
    }

    #[test]
    fn content_goes_as_long_as_the_frame_has_room() {
        let content = vec![7; 16_384];
        let whole = |len: usize| MessageTail {
            msg_id: 9,
            from: "alice",
            target: Some(TargetView::User("bob")),
            content_len: len as u64,
            content: &content[..len],
            ..MessageTail::default()
        };
        let most = (0..=content.len()).rev().find(|len| {
            let frame = frame(FrameType::MESSAGE, 16_384, &whole(*len).to_bytes());
            MessageView::decode(&frame.body).is_ok_and(|view| !view.content_omitted)
        });
        let most = most.unwrap_or_default();
        assert_eq!(
            frame(FrameType::MESSAGE, 16_384, &whole(most).to_bytes())
                .body
                .len(),
            16_384
        );
        let short = frame(FrameType::MESSAGE, 16_384, &whole(most + 1).to_bytes());
        let view = MessageView::decode(&short.body).unwrap_or_default();
        assert!(view.content_omitted && view.content.is_empty());
        assert_eq!(
            (view.content_len, view.ttl_ms, view.from),
            (most as u64 + 1, 70, "alice")
        );
    }
}
