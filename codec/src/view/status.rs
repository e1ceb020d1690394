//! View of STATUS.

use crate::error::DecodeError;
use crate::proto;
use crate::registry::{Code, FrameType};
use crate::shapes::table;
use crate::view::{TargetView, other, read};
use crate::wire::{enum_value, len_key, low32, varint_key};

/// A STATUS body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusView<'a> {
    /// Position in the reader's log.
    pub pos: u64,
    /// Position of the entry before.
    pub prev_pos: u64,
    /// Milliseconds since the state was reached.
    pub age_ms: u64,
    /// The conversation, seen by the reader.
    pub conversation: Option<TargetView<'a>>,
    /// The message, or the last of those that the state holds for.
    pub msg_id: u64,
    /// The number of the state; [`state`](StatusView::state) gives it a meaning.
    pub state_number: i32,
    /// Whose state it is.
    pub by: &'a str,
    /// With FAILED: why, as it stands in the field.
    pub code_number: u32,
}

const POS: u64 = varint_key(1);
const PREV_POS: u64 = varint_key(2);
const AGE_MS: u64 = varint_key(3);
const USER: u64 = len_key(4);
const GROUP: u64 = varint_key(5);
const MSG_ID: u64 = varint_key(6);
const STATE: u64 = varint_key(7);
const BY: u64 = len_key(8);
const CODE: u64 = varint_key(9);

impl<'a> StatusView<'a> {
    /// Borrows a STATUS body.
    ///
    /// # Errors
    /// As [`Frame::decode`](crate::Frame::decode).
    pub fn decode(body: &'a [u8]) -> Result<StatusView<'a>, DecodeError> {
        let mut view = StatusView::default();
        read(FrameType::STATUS, body, |key, cursor| {
            match key {
                POS => view.pos = cursor.varint()?,
                PREV_POS => view.prev_pos = cursor.varint()?,
                AGE_MS => view.age_ms = cursor.varint()?,
                USER => view.conversation = Some(TargetView::User(cursor.str()?)),
                GROUP => view.conversation = Some(TargetView::Group(cursor.varint()?)),
                MSG_ID => view.msg_id = cursor.varint()?,
                STATE => view.state_number = enum_value(cursor.varint()?),
                BY => view.by = cursor.str()?,
                CODE => view.code_number = low32(cursor.varint()?),
                key => *cursor = other(&table::STATUS, key, *cursor)?,
            }
            Ok(())
        })?;
        Ok(view)
    }

    //= spec/01-framing.md#bodies
    //# [FRM-032] A receiver MUST treat an unknown enum value as the UNSPECIFIED value of that enum.
    /// The state; an unknown number is UNSPECIFIED.
    #[must_use]
    pub fn state(&self) -> proto::MessageState {
        proto::MessageState::try_from(self.state_number).unwrap_or_default()
    }

    /// The code, or `None` for 0 and for numbers that are no code.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        Code::from_field(self.code_number).filter(|code| code.0 != 0)
    }

    /// The same body, owned.
    #[must_use]
    pub fn to_proto(&self) -> proto::Status {
        proto::Status {
            pos: self.pos,
            prev_pos: self.prev_pos,
            age_ms: self.age_ms,
            conversation: self.conversation.map(|conversation| match conversation {
                TargetView::User(user) => proto::status::Conversation::User(user.into()),
                TargetView::Group(group) => proto::status::Conversation::Group(group),
            }),
            msg_id: self.msg_id,
            state: self.state_number,
            by: self.by.into(),
            code: self.code_number,
        }
    }
}
