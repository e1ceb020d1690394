//! What is written comes back, and what is cut off does not.

use super::{
    Key, take_conv_value, take_counters, take_deadline, take_group, take_marks, take_token,
    take_user,
};
use crate::api::Millis;
use crate::convs::{Conv, Marks};
use crate::groups::{Group, Pin, known_permissions};
use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
use crate::msgs::Override;
use crate::store::{Batch, Pos, UserKey};
use crate::users::{Token, User};

const USER: UserKey = UserKey(7);
const CONV: ConvKey = ConvKey::Direct(UserKey(7), UserKey(9));

#[test]
fn keys_come_back_and_do_not_clash() {
    let keys = [
        Key::Counters,
        Key::User(USER),
        Key::DeletedUser(USER),
        Key::Device(USER, [5; 16]),
        Key::Cursor(USER, DeviceUid(3)),
        Key::Token([6; 32]),
        Key::Group(GroupId(8)),
        Key::Member(GroupId(8), USER),
        Key::MemberSet(GroupId(8), 2),
        Key::Conv(CONV),
        Key::Conv(ConvKey::Group(GroupId(8))),
        Key::Marks(CONV, USER),
        Key::Marks(ConvKey::Group(GroupId(8)), USER),
        Key::Deadline(MsgId(4)),
        Key::OwnWaiting(USER, Pos(1)),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        let bytes = key.encode();
        assert_eq!(Key::decode(&bytes), Some(key));
        assert_eq!(Key::decode(&bytes[..bytes.len() - 1]), None, "{key:?}");
        assert!(seen.insert(bytes), "{key:?}");
    }
    assert_eq!(Key::decode(b"?"), None);
}

/// What `put` writes as one value.
fn value(put: impl FnOnce(&mut Batch)) -> Vec<u8> {
    let mut batch = Batch::default();
    put(&mut batch);
    batch
        .small
        .pop()
        .and_then(|(_, value)| value)
        .unwrap_or_default()
}

#[test]
fn users_and_tokens_come_back() {
    let mut user = User::new(USER, "alice", 99);
    (user.trunc, user.acked_floor) = (Pos(3), Pos(5));
    let bytes = value(|batch| batch.put_user(&user));
    let back =
        take_user(USER, &bytes).map(|user| (user.name, user.epoch, user.trunc, user.acked_floor));
    assert_eq!(back, Some(("alice".into(), 99, Pos(3), Pos(5))));
    assert!(take_user(USER, &bytes[..3]).is_none());
    for expires in [None, Some(Millis(0)), Some(Millis(77))] {
        let token = Token {
            user: USER,
            expires,
            revoked: true,
        };
        let bytes = value(|batch| batch.put_token([0; 32], &token));
        let back = take_token(&bytes).map(|token| (token.user, token.expires, token.revoked));
        assert_eq!(back, Some((USER, expires, true)));
    }
    assert!(take_counters(&[]).is_none());
}

#[test]
fn groups_come_back_with_and_without_pin() {
    let pin = Pin {
        pin: "4711".into(),
        permissions: known_permissions(3),
        expires: Some(Millis(9)),
        uses: Some(0),
    };
    for pin in [None, Some(pin)] {
        let group = Group {
            id: GroupId(1),
            rev: 12,
            name: "team".into(),
            info: vec![0, 255],
            flags: crate::groups::known_flags(5),
            default_permissions: known_permissions(7),
            pin,
            members: Default::default(),
        };
        let bytes = value(|batch| batch.put_group(&group));
        assert_eq!(
            format!("{:?}", take_group(GroupId(1), &bytes)),
            format!("{:?}", Some(group))
        );
    }
}

#[test]
fn conversations_and_marks_come_back() {
    let mut conv = Conv::default();
    conv.note(USER, MsgId(10), true);
    conv.note(USER, MsgId(11), false);
    let bytes = value(|batch| batch.put_conv(CONV, &conv));
    let back = take_conv_value(&bytes).map(|conv| (conv.high, conv.flushed, conv.unread));
    assert_eq!(back, Some((MsgId(11), MsgId(11), conv.unread)));
    let marks = Marks {
        public: MsgId(1),
        private: MsgId(2),
        told: vec![(USER, MsgId(1))],
    };
    let bytes = value(|batch| batch.put_marks(CONV, USER, &marks));
    assert_eq!(take_marks(&bytes), Some(marks));
    let moved = Override {
        deadline: Millis(5),
        until: Millis(6),
    };
    let bytes = value(|batch| batch.put_deadline(MsgId(1), moved));
    assert_eq!(
        take_deadline(&bytes).map(|moved| moved.until),
        Some(Millis(6))
    );
}
