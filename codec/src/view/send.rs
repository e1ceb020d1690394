//! View of SEND.

use core::fmt;

use crate::error::DecodeError;
use crate::proto;
use crate::registry::limits::MAX_FEATURES;
use crate::registry::{Feature, FrameType};
use crate::shapes::table;
use crate::view::{CONTENT, TargetView, merge_receipts, other, read, refusal};
use crate::wire::{Cursor, enum_value, len_key, low32, varint_key, wire_type};

/// A SEND body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendView<'a> {
    /// The addressee.
    pub target: Option<TargetView<'a>>,
    /// The idempotency key, of whatever length it has.
    pub idem: &'a [u8],
    /// The number of the delivery; [`delivery`](SendView::delivery) gives it a meaning.
    pub delivery_number: i32,
    /// Meaning belongs to the app.
    pub app_type: u32,
    /// Media type of the content; empty: unsaid.
    pub content_type: &'a str,
    /// Milliseconds from acceptance on.
    pub ttl_ms: Option<u64>,
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
    /// The features that have to be honoured.
    pub requires: Requires<'a>,
    /// Opaque.
    pub content: &'a [u8],
}

const TO_USER: u64 = len_key(1);
const TO_GROUP: u64 = varint_key(2);
const IDEM: u64 = len_key(3);
const DELIVERY: u64 = varint_key(4);
const APP_TYPE: u64 = varint_key(5);
const CONTENT_TYPE: u64 = len_key(6);
const TTL_MS: u64 = varint_key(7);
const RECEIPTS: u64 = len_key(8);
const REPLY_TO: u64 = varint_key(9);
const THREAD: u64 = varint_key(10);
const REPLACES: u64 = varint_key(11);
const PRIORITY: u64 = varint_key(12);
const REQUIRES: u32 = 15;
const REQUIRES_ONE: u64 = varint_key(REQUIRES);
const REQUIRES_PACKED: u64 = len_key(REQUIRES);

impl<'a> SendView<'a> {
    /// Borrows a SEND body.
    ///
    /// # Errors
    /// As [`Frame::decode`](crate::Frame::decode).
    pub fn decode(body: &'a [u8]) -> Result<SendView<'a>, DecodeError> {
        let mut view = SendView::default();
        read(FrameType::SEND, body, |key, cursor| {
            match key {
                TO_USER => view.target = Some(TargetView::User(cursor.str()?)),
                TO_GROUP => view.target = Some(TargetView::Group(cursor.varint()?)),
                IDEM => view.idem = cursor.bytes()?,
                DELIVERY => view.delivery_number = enum_value(cursor.varint()?),
                APP_TYPE => view.app_type = low32(cursor.varint()?),
                CONTENT_TYPE => view.content_type = cursor.str()?,
                TTL_MS => view.ttl_ms = Some(cursor.varint()?),
                RECEIPTS => merge_receipts(&mut view.receipts, cursor.bytes()?)?,
                REPLY_TO => view.reply_to = Some(cursor.varint()?),
                THREAD => view.thread = Some(cursor.varint()?),
                REPLACES => view.replaces = Some(cursor.varint()?),
                PRIORITY => view.priority = low32(cursor.varint()?),
                REQUIRES_ONE => {
                    cursor.varint()?;
                    view.requires.count = view.requires.count.saturating_add(1);
                }
                REQUIRES_PACKED => {
                    let mut packed = Cursor::new(cursor.bytes()?);
                    while !packed.is_empty() {
                        packed.varint()?;
                        view.requires.count = view.requires.count.saturating_add(1);
                    }
                }
                CONTENT => view.content = cursor.bytes()?,
                key => *cursor = other(&table::SEND, key, *cursor)?,
            }
            Ok(())
        })?;
        if view.requires.count > MAX_FEATURES {
            return Err(refusal(FrameType::SEND, body));
        }
        if view.requires.count > 0 {
            view.requires.body = body;
        }
        Ok(view)
    }

    //= spec/01-framing.md#bodies
    //# [FRM-032] A receiver MUST treat an unknown enum value as the UNSPECIFIED value of that enum.
    /// How the message is kept; an unknown number is UNSPECIFIED.
    #[must_use]
    pub fn delivery(&self) -> proto::Delivery {
        proto::Delivery::try_from(self.delivery_number).unwrap_or_default()
    }

    /// The same body, owned.
    #[must_use]
    pub fn to_proto(&self) -> proto::Send {
        proto::Send {
            target: self.target.map(|target| match target {
                TargetView::User(user) => proto::send::Target::ToUser(user.into()),
                TargetView::Group(group) => proto::send::Target::ToGroup(group),
            }),
            idem: bytes::Bytes::copy_from_slice(self.idem),
            delivery: self.delivery_number,
            app_type: self.app_type,
            content_type: self.content_type.into(),
            ttl_ms: self.ttl_ms,
            receipts: self.receipts,
            reply_to: self.reply_to,
            thread: self.thread,
            replaces: self.replaces,
            priority: self.priority,
            requires: self.requires.iter().map(|feature| feature.0).collect(),
            content: bytes::Bytes::copy_from_slice(self.content),
        }
    }
}

/// The items of `requires`, still in the body: 64 at most, and in nearly every SEND none.
#[derive(Clone, Copy, Default)]
pub struct Requires<'a> {
    /// The whole body, if there are items.
    body: &'a [u8],
    count: usize,
}

impl<'a> Requires<'a> {
    /// The number of items, 0 to 64.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// True if there is no item.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The items, in the order of the wire. Walks the body again.
    pub fn iter(&self) -> impl Iterator<Item = Feature> + use<'a> {
        let mut body = Cursor::new(self.body);
        let mut packed = Cursor::new(&[]);
        core::iter::from_fn(move || {
            // The body was read before, so `ok` never hides an error here.
            while packed.is_empty() {
                if body.is_empty() {
                    return None;
                }
                let key = body.key().ok()?;
                match (key.number, key.wire_type) {
                    (REQUIRES, wire_type::LEN) => packed = Cursor::new(body.bytes().ok()?),
                    (REQUIRES, wire_type::VARINT) => {
                        return body.varint().ok().map(|id| Feature(low32(id)));
                    }
                    (_, other) => body.skip(other).ok()?,
                }
            }
            packed.varint().ok().map(|id| Feature(low32(id)))
        })
    }
}

impl fmt::Debug for Requires<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Requires<'_> {
    fn eq(&self, other: &Requires<'_>) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Requires<'_> {}
