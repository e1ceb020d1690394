//! Views of MESSAGE and ACK.

use crate::error::DecodeError;
use crate::proto;
use crate::registry::FrameType;
use crate::shapes::table;
use crate::view::{CONTENT, TargetView, merge_receipts, other, read};
use crate::wire::{len_key, low32, varint_key};

/// A MESSAGE body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageView<'a> {
    /// Position in the reader's log; 0 for ONLINE_ONLY.
    pub pos: u64,
    /// Position of the entry before.
    pub prev_pos: u64,
    /// Milliseconds since acceptance.
    pub age_ms: u64,
    /// Rises strictly inside the conversation.
    pub msg_id: u64,
    /// The sender.
    pub from: &'a str,
    /// The addressee.
    pub target: Option<TargetView<'a>>,
    /// Meaning belongs to the app.
    pub app_type: u32,
    /// Media type of the content; empty: unsaid.
    pub content_type: &'a str,
    /// Milliseconds left.
    pub ttl_ms: u64,
    /// Which statuses the sender wants to learn.
    pub receipts: Option<proto::Receipts>,
    /// The message that this one answers.
    pub reply_to: Option<u64>,
    /// The message that opens the thread.
    pub thread: Option<u64>,
    /// The message that this one replaces.
    pub replaces: Option<u64>,
    /// 0 normal, 1 high, 2 low.
    pub priority: u32,
    /// True: the content was larger than this device receives.
    pub content_omitted: bool,
    /// Length of the content in bytes, also where it is omitted.
    pub content_len: u64,
    /// Opaque.
    pub content: &'a [u8],
}

const POS: u64 = varint_key(1);
const PREV_POS: u64 = varint_key(2);
const AGE_MS: u64 = varint_key(3);
const MSG_ID: u64 = varint_key(4);
const FROM: u64 = len_key(5);
const TO_USER: u64 = len_key(6);
const TO_GROUP: u64 = varint_key(7);
const APP_TYPE: u64 = varint_key(8);
const CONTENT_TYPE: u64 = len_key(9);
const TTL_MS: u64 = varint_key(10);
const RECEIPTS: u64 = len_key(11);
const REPLY_TO: u64 = varint_key(12);
const THREAD: u64 = varint_key(13);
const REPLACES: u64 = varint_key(14);
const PRIORITY: u64 = varint_key(15);
const CONTENT_OMITTED: u64 = varint_key(16);
const CONTENT_LEN: u64 = varint_key(17);

impl<'a> MessageView<'a> {
    /// Borrows a MESSAGE body.
    ///
    /// # Errors
    /// As [`Frame::decode`](crate::Frame::decode).
    pub fn decode(body: &'a [u8]) -> Result<MessageView<'a>, DecodeError> {
        let mut view = MessageView::default();
        read(FrameType::MESSAGE, body, |key, cursor| {
            match key {
                POS => view.pos = cursor.varint()?,
                PREV_POS => view.prev_pos = cursor.varint()?,
                AGE_MS => view.age_ms = cursor.varint()?,
                MSG_ID => view.msg_id = cursor.varint()?,
                FROM => view.from = cursor.str()?,
                TO_USER => view.target = Some(TargetView::User(cursor.str()?)),
                TO_GROUP => view.target = Some(TargetView::Group(cursor.varint()?)),
                APP_TYPE => view.app_type = low32(cursor.varint()?),
                CONTENT_TYPE => view.content_type = cursor.str()?,
                TTL_MS => view.ttl_ms = cursor.varint()?,
                RECEIPTS => merge_receipts(&mut view.receipts, cursor.bytes()?)?,
                REPLY_TO => view.reply_to = Some(cursor.varint()?),
                THREAD => view.thread = Some(cursor.varint()?),
                REPLACES => view.replaces = Some(cursor.varint()?),
                PRIORITY => view.priority = low32(cursor.varint()?),
                CONTENT_OMITTED => view.content_omitted = cursor.varint()? != 0,
                CONTENT_LEN => view.content_len = cursor.varint()?,
                CONTENT => view.content = cursor.bytes()?,
                key => *cursor = other(&table::MESSAGE, key, *cursor)?,
            }
            Ok(())
        })?;
        Ok(view)
    }

    /// The same body, owned.
    #[must_use]
    pub fn to_proto(&self) -> proto::Message {
        proto::Message {
            pos: self.pos,
            prev_pos: self.prev_pos,
            age_ms: self.age_ms,
            msg_id: self.msg_id,
            from: self.from.into(),
            target: self.target.map(|target| match target {
                TargetView::User(user) => proto::message::Target::ToUser(user.into()),
                TargetView::Group(group) => proto::message::Target::ToGroup(group),
            }),
            app_type: self.app_type,
            content_type: self.content_type.into(),
            ttl_ms: self.ttl_ms,
            receipts: self.receipts,
            reply_to: self.reply_to,
            thread: self.thread,
            replaces: self.replaces,
            priority: self.priority,
            content_omitted: self.content_omitted,
            content_len: self.content_len,
            content: bytes::Bytes::copy_from_slice(self.content),
        }
    }
}

/// An ACK body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckView {
    /// Everything up to and including it is stored by the device.
    pub pos: u64,
}

impl AckView {
    /// Reads an ACK body.
    ///
    /// # Errors
    /// As [`Frame::decode`](crate::Frame::decode).
    pub fn decode(body: &[u8]) -> Result<AckView, DecodeError> {
        let mut view = AckView::default();
        read(FrameType::ACK, body, |key, cursor| {
            match key {
                POS => view.pos = cursor.varint()?,
                key => *cursor = other(&table::ACK, key, *cursor)?,
            }
            Ok(())
        })?;
        Ok(view)
    }

    /// The same body, as prost type.
    #[must_use]
    pub const fn to_proto(&self) -> proto::Ack {
        proto::Ack { pos: self.pos }
    }
}
