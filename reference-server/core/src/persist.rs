//! Small state: what is written under which key, and how it is read back.
//!
//! The first byte of a key says what it is; numbers in keys are big-endian so that they sort.

use std::sync::Arc;

use crate::api::Millis;
use crate::bin::{Put, Take};
use crate::convs::{Conv, Marks, Unread};
use crate::groups::{Group, Pin, known_flags, known_permissions};
use crate::ids::{ConvKey, DeviceId, DeviceUid, GroupId, MsgId};
use crate::msgs::Override;
use crate::store::{Batch, Pos, UserKey};
use crate::users::{Device, Token, TokenDigest, User};

/// Numbers that only rise, and the time of the last commit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) last_msg: MsgId,
    pub(crate) last_user: u64,
    pub(crate) last_device: u64,
    pub(crate) committed: Millis,
}

/// What a key names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Counters,
    User(UserKey),
    DeletedUser(UserKey),
    Device(UserKey, DeviceId),
    Cursor(UserKey, DeviceUid),
    Token(TokenDigest),
    Group(GroupId),
    Member(GroupId, UserKey),
    /// Who received at a revision.
    MemberSet(GroupId, u64),
    Conv(ConvKey),
    Marks(ConvKey, UserKey),
    Deadline(MsgId),
    /// A message to oneself that waits, at its position.
    OwnWaiting(UserKey, Pos),
}

impl Key {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut key = Vec::with_capacity(34);
        let mut put = |tag: u8, numbers: &[u64]| {
            key.push(tag);
            for number in numbers {
                key.extend_from_slice(&number.to_be_bytes());
            }
        };
        match self {
            Key::Counters => put(b'L', &[]),
            Key::User(user) => put(b'U', &[user.0]),
            Key::DeletedUser(user) => put(b'Z', &[user.0]),
            Key::Device(user, id) => {
                put(b'D', &[user.0]);
                key.extend_from_slice(&id);
            }
            Key::Cursor(user, uid) => put(b'P', &[user.0, uid.0]),
            Key::Token(digest) => {
                put(b'T', &[]);
                key.extend_from_slice(&digest);
            }
            Key::Group(group) => put(b'G', &[group.0]),
            Key::Member(group, user) => put(b'M', &[group.0, user.0]),
            Key::MemberSet(group, rev) => put(b'R', &[group.0, rev]),
            Key::Conv(conv) => {
                put(b'C', &[]);
                put_conv(&mut key, conv);
            }
            Key::Marks(conv, user) => {
                put(b'K', &[]);
                put_conv(&mut key, conv);
                key.extend_from_slice(&user.0.to_be_bytes());
            }
            Key::Deadline(msg) => put(b'X', &[msg.0]),
            Key::OwnWaiting(user, pos) => put(b'S', &[user.0, pos.0]),
        }
        key
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Key> {
        let mut take = Take(bytes);
        Some(match take.byte()? {
            b'L' => Key::Counters,
            b'U' => Key::User(UserKey(take.be()?)),
            b'Z' => Key::DeletedUser(UserKey(take.be()?)),
            b'D' => Key::Device(UserKey(take.be()?), take.array()?),
            b'P' => Key::Cursor(UserKey(take.be()?), DeviceUid(take.be()?)),
            b'T' => Key::Token(take.array()?),
            b'G' => Key::Group(GroupId(take.be()?)),
            b'M' => Key::Member(GroupId(take.be()?), UserKey(take.be()?)),
            b'R' => Key::MemberSet(GroupId(take.be()?), take.be()?),
            b'C' => Key::Conv(take_conv(&mut take)?),
            b'K' => Key::Marks(take_conv(&mut take)?, UserKey(take.be()?)),
            b'X' => Key::Deadline(MsgId(take.be()?)),
            b'S' => Key::OwnWaiting(UserKey(take.be()?), Pos(take.be()?)),
            _ => return None,
        })
    }
}

fn put_conv(key: &mut Vec<u8>, conv: ConvKey) {
    match conv {
        ConvKey::Direct(a, b) => {
            key.push(b'd');
            key.extend_from_slice(&a.0.to_be_bytes());
            key.extend_from_slice(&b.0.to_be_bytes());
        }
        ConvKey::Group(group) => {
            key.push(b'g');
            key.extend_from_slice(&group.0.to_be_bytes());
        }
    }
}

fn take_conv(take: &mut Take<'_>) -> Option<ConvKey> {
    Some(match take.byte()? {
        b'd' => ConvKey::Direct(UserKey(take.be()?), UserKey(take.be()?)),
        b'g' => ConvKey::Group(GroupId(take.be()?)),
        _ => return None,
    })
}

impl Batch {
    /// Writes a value of small state.
    pub(crate) fn put(&mut self, key: Key, value: Vec<u8>) {
        self.small.push((key.encode(), Some(value)));
    }

    /// Removes a value of small state.
    pub(crate) fn remove(&mut self, key: Key) {
        self.small.push((key.encode(), None));
    }

    pub(crate) fn put_user(&mut self, user: &User) {
        let mut value = Vec::with_capacity(32 + user.name.len());
        value.put_blob(user.name.as_bytes());
        value.put_num(user.epoch);
        value.put_num(user.trunc.0);
        value.put_num(user.acked_floor.0);
        self.put(Key::User(user.key), value);
    }

    pub(crate) fn put_device(&mut self, user: UserKey, device: &Device) {
        let mut value = Vec::with_capacity(24 + device.agent.len());
        value.put_num(device.uid.0);
        value.put_num(device.last_login.0);
        value.put_blob(device.agent.as_bytes());
        self.put(Key::Device(user, device.id), value);
    }

    pub(crate) fn put_cursor(&mut self, user: UserKey, device: DeviceUid, cursor: Pos) {
        let mut value = Vec::with_capacity(10);
        value.put_num(cursor.0);
        self.put(Key::Cursor(user, device), value);
    }

    //= spec/04-security.md#security
    //# [SEC-003] The server MUST store tokens only as a digest.
    pub(crate) fn put_token(&mut self, digest: TokenDigest, token: &Token) {
        let mut value = Vec::with_capacity(20);
        value.put_num(token.user.0);
        value.put_opt(token.expires.map(|time| time.0));
        value.push(u8::from(token.revoked));
        self.put(Key::Token(digest), value);
    }

    pub(crate) fn put_group(&mut self, group: &Group) {
        let mut value = Vec::with_capacity(64 + group.name.len() + group.info.len());
        value.put_num(group.rev);
        value.put_blob(group.name.as_bytes());
        value.put_blob(&group.info);
        value.put_num(u64::from(group.flags.0));
        value.put_num(u64::from(group.default_permissions.0));
        if let Some(pin) = &group.pin {
            value.put_blob(pin.pin.as_bytes());
            value.put_num(u64::from(pin.permissions.0));
            value.put_opt(pin.expires.map(|time| time.0));
            value.put_opt(pin.uses.map(u64::from));
        }
        self.put(Key::Group(group.id), value);
    }

    pub(crate) fn put_member(&mut self, group: GroupId, user: UserKey, permissions: u32) {
        let mut value = Vec::with_capacity(4);
        value.put_num(u64::from(permissions));
        self.put(Key::Member(group, user), value);
    }

    pub(crate) fn put_member_set(&mut self, group: GroupId, rev: u64, members: &[UserKey]) {
        let mut value = Vec::with_capacity(3 * members.len());
        for member in members {
            value.put_num(member.0);
        }
        self.put(Key::MemberSet(group, rev), value);
    }

    pub(crate) fn put_conv(&mut self, key: ConvKey, conv: &Conv) {
        let mut value = Vec::with_capacity(32);
        value.put_num(conv.high.0);
        for (sender, list) in &conv.unread {
            value.put_num(sender.0);
            value.put_num(list.len() as u64);
            for unread in list {
                value.put_num(unread.msg.0);
                value.push(u8::from(unread.asked));
            }
        }
        self.put(Key::Conv(key), value);
    }

    pub(crate) fn put_marks(&mut self, conv: ConvKey, user: UserKey, marks: &Marks) {
        let mut value = Vec::with_capacity(18);
        value.put_num(marks.public.0);
        value.put_num(marks.private.0);
        for (sender, up_to) in &marks.told {
            value.put_num(sender.0);
            value.put_num(up_to.0);
        }
        self.put(Key::Marks(conv, user), value);
    }

    pub(crate) fn put_deadline(&mut self, msg: MsgId, moved: Override) {
        let mut value = Vec::with_capacity(14);
        value.put_num(moved.deadline.0);
        value.put_num(moved.until.0);
        self.put(Key::Deadline(msg), value);
    }

    pub(crate) fn put_deleted_user(&mut self, user: UserKey, name: &str, at: Millis) {
        let mut value = Vec::with_capacity(10 + name.len());
        value.put_blob(name.as_bytes());
        value.put_num(at.0);
        self.put(Key::DeletedUser(user), value);
    }

    pub(crate) fn put_counters(&mut self, counters: &Counters) {
        let mut value = Vec::with_capacity(32);
        value.put_num(counters.last_msg.0);
        value.put_num(counters.last_user);
        value.put_num(counters.last_device);
        value.put_num(counters.committed.0);
        self.put(Key::Counters, value);
    }
}

pub(crate) fn take_user(key: UserKey, value: &[u8]) -> Option<User> {
    let mut take = Take(value);
    let name = take.text()?;
    let epoch = take.num()?;
    let mut user = User::new(key, name, epoch);
    user.trunc = Pos(take.num()?);
    user.acked_floor = Pos(take.num()?);
    Some(user)
}

pub(crate) fn take_device(id: DeviceId, value: &[u8]) -> Option<Device> {
    let mut take = Take(value);
    Some(Device {
        id,
        uid: DeviceUid(take.num()?),
        last_login: take.time()?,
        agent: take.text()?.to_owned(),
        cursor: Pos(0),
        session: None,
        keys: 0,
    })
}

pub(crate) fn take_pos(value: &[u8]) -> Option<Pos> {
    Take(value).num().map(Pos)
}

pub(crate) fn take_token(value: &[u8]) -> Option<Token> {
    let mut take = Take(value);
    Some(Token {
        user: UserKey(take.num()?),
        expires: take.opt()?.map(Millis),
        revoked: take.byte()? != 0,
    })
}

pub(crate) fn take_group(id: GroupId, value: &[u8]) -> Option<Group> {
    let mut take = Take(value);
    let mut group = Group {
        id,
        rev: take.num()?,
        name: take.text()?.to_owned(),
        info: take.blob()?.to_vec(),
        flags: known_flags(take.num32()?),
        default_permissions: known_permissions(take.num32()?),
        pin: None,
        members: Default::default(),
    };
    if !take.is_empty() {
        group.pin = Some(Pin {
            pin: take.text()?.to_owned(),
            permissions: known_permissions(take.num32()?),
            expires: take.opt()?.map(Millis),
            uses: take.opt()?.and_then(|uses| u32::try_from(uses).ok()),
        });
    }
    Some(group)
}

pub(crate) fn take_mask(value: &[u8]) -> Option<u32> {
    Take(value).num32()
}

pub(crate) fn take_member_set(value: &[u8]) -> Option<Arc<[UserKey]>> {
    let mut take = Take(value);
    let mut members = Vec::new();
    while !take.is_empty() {
        members.push(UserKey(take.num()?));
    }
    Some(members.into())
}

pub(crate) fn take_conv_value(value: &[u8]) -> Option<Conv> {
    let mut take = Take(value);
    let high = MsgId(take.num()?);
    let mut conv = Conv {
        high,
        flushed: high,
        ..Conv::default()
    };
    while !take.is_empty() {
        let sender = UserKey(take.num()?);
        let count = take.num()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(Unread {
                msg: MsgId(take.num()?),
                asked: take.byte()? != 0,
            });
        }
        conv.unread.insert(sender, list);
    }
    Some(conv)
}

pub(crate) fn take_marks(value: &[u8]) -> Option<Marks> {
    let mut take = Take(value);
    let (public, private) = (MsgId(take.num()?), MsgId(take.num()?));
    let mut told = Vec::new();
    while !take.is_empty() {
        told.push((UserKey(take.num()?), MsgId(take.num()?)));
    }
    Some(Marks {
        public,
        private,
        told,
    })
}

pub(crate) fn take_deadline(value: &[u8]) -> Option<Override> {
    let mut take = Take(value);
    Some(Override {
        deadline: take.time()?,
        until: take.time()?,
    })
}

pub(crate) fn take_deleted_user(value: &[u8]) -> Option<(Arc<str>, Millis)> {
    let mut take = Take(value);
    Some((take.text()?.into(), take.time()?))
}

pub(crate) fn take_counters(value: &[u8]) -> Option<Counters> {
    let mut take = Take(value);
    Some(Counters {
        last_msg: MsgId(take.num()?),
        last_user: take.num()?,
        last_device: take.num()?,
        committed: take.time()?,
    })
}

#[cfg(test)]
mod tests;
