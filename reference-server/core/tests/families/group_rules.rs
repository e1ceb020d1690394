//! Family group: permissions, PINs, flags, bounds.

use tidewire_codec::proto::{self, GroupChange, group_op::Op};
use tidewire_codec::{Code, GroupFlags, Permissions};
use tidewire_core::api::AdminOp;

use crate::team::{Team, add, bits, events, flags, join, leave, permit, pin, remove, update};
use crate::world::{HOUR, World, create, group_message, member, messages, new_key, op, text};

#[test]
fn permissions_are_what_they_say() {
    let mut t = Team::new();
    let denied = Code::PERMISSION_DENIED;
    let (alice, bob) = (t.alice, t.bob);
    for change in [
        flags(GroupFlags::PAUSED),
        update(proto::GroupUpdate {
            name: Some("x".into()),
            ..Default::default()
        }),
        add(&[member("dave", None)]),
        remove(&["carol"]),
        permit("carol", &[]),
        pin("4711", None, None),
        Op::Delete(proto::GroupDelete {}),
    ] {
        t.refused(bob, change, denied);
    }
    t.change(
        alice,
        permit(
            "bob",
            &[
                Permissions::INVITE,
                Permissions::EDIT_INFO,
                Permissions::REMOVE,
            ],
        ),
    );
    t.change(
        bob,
        update(proto::GroupUpdate {
            name: Some("x".into()),
            ..Default::default()
        }),
    );
    t.refused(bob, flags(GroupFlags::PAUSED), denied);
    t.refused(
        bob,
        add(&[member("dave", Some(Permissions::MODERATE.0))]),
        denied,
    );
    t.change(bob, add(&[member("dave", None)]));
    t.change(alice, permit("carol", &[Permissions::ADMIN]));
    t.refused(bob, remove(&["carol"]), denied);
    t.change(bob, remove(&["dave"]));
    let carol = t.carol;
    t.change(carol, flags(GroupFlags::PAUSED));
    t.refused(carol, permit("bob", &[Permissions::ADMIN]), denied);
    t.refused(carol, permit("alice", &[]), denied);
    t.refused(
        carol,
        add(&[member("dave", Some(Permissions::OWNER.0))]),
        denied,
    );
    t.refused(carol, remove(&["alice"]), denied);
    t.refused(carol, Op::Delete(proto::GroupDelete {}), denied);
    t.refused(
        alice,
        permit("alice", &[Permissions::ADMIN]),
        Code::LAST_OWNER,
    );
    t.refused(alice, remove(&["alice", "bob"]), Code::LAST_OWNER);
    t.refused(alice, permit("dave", &[]), Code::UNKNOWN_USER);
    t.refused(
        alice,
        add(&[member("dave", None), member("nobody", None)]),
        Code::UNKNOWN_USER,
    );
    // Without LIST the members are not listed.
    let info = t.change(bob, Op::Get(proto::GroupGet {}));
    assert_eq!((info.members.len(), info.member_count), (0, 3));
    assert_eq!(
        t.change(carol, Op::Get(proto::GroupGet {})).members.len(),
        3
    );
}

#[test]
fn a_pin_lets_in_as_long_as_it_holds() {
    let mut t = Team::new();
    let dave = t.w.login_quiet("dave", 1);
    t.refused(dave, join("4711"), Code::BAD_PIN);
    let error = t.refused(t.alice, pin("123", None, None), Code::INVALID_FIELD);
    assert_eq!(error.field.as_deref(), Some("set_pin.pin"));
    t.change(t.alice, pin("4711", Some(HOUR), Some(1)));
    t.refused(dave, join("4712"), Code::BAD_PIN);
    let info = t.change(dave, join("4711"));
    assert_eq!(
        info.my_permissions,
        bits(&[Permissions::SEND, Permissions::RECV])
    );
    assert_eq!(
        t.change(dave, join("wrong")).rev,
        info.rev,
        "a member need not join"
    );
    assert_eq!(
        t.heard()[0],
        [(GroupChange::Joined, vec!["dave".to_owned()])]
    );
    t.change(dave, leave());
    t.refused(dave, join("4711"), Code::BAD_PIN);
    t.change(t.alice, pin("4711", Some(1000), None));
    t.w.advance(999);
    t.change(dave, join("4711"));
    t.change(dave, leave());
    t.w.advance(1);
    t.refused(dave, join("4711"), Code::BAD_PIN);
    t.change(t.alice, pin("", None, None));
    t.refused(dave, join("4711"), Code::BAD_PIN);
}

#[test]
fn pins_cannot_be_guessed() {
    let mut t = Team::new();
    t.change(t.alice, pin("4711", None, None));
    let dave = t.w.login_quiet("dave", 1);
    for _ in 0..10 {
        t.refused(dave, join("0000"), Code::BAD_PIN);
    }
    let error = t.refused(dave, join("4711"), Code::RATE_LIMITED);
    assert_eq!(error.retry_after_ms, Some(HOUR as u32));
    t.w.advance(HOUR);
    let dave = t.w.login_quiet("dave", 1);
    t.change(dave, join("4711"));
}

#[test]
fn flags_change_how_messages_go() {
    let mut t = Team::new();
    let (alice, bob, carol) = (t.alice, t.bob, t.carol);
    t.change(alice, permit("bob", &[Permissions::RECV]));
    t.w.refused(bob, group_message(t.id, "?"), Code::PERMISSION_DENIED);
    t.change(alice, flags(GroupFlags::ANYONE_MAY_SEND));
    t.w.send_frame(bob, group_message(t.id, "anyone"));
    t.change(alice, flags(GroupFlags::PAUSED));
    t.w.refused(carol, group_message(t.id, "?"), Code::GROUP_PAUSED);
    t.w.send_frame(alice, group_message(t.id, "owner"));
    t.heard();
    t.change(alice, flags(GroupFlags::LOOPBACK));
    t.w.send_frame(alice, group_message(t.id, "echo"));
    let frames = t.w.take(alice);
    let [message] = &messages(&frames)[..] else {
        panic!()
    };
    assert!(message.pos > 0 && text(message) == "echo" && message.to_group() == t.id);
    t.change(alice, flags(GroupFlags::NO_STORE));
    t.heard();
    t.w.send_frame(alice, group_message(t.id, "now or never"));
    assert_eq!(t.w.texts(bob), [(0, "now or never".to_owned())]);
    t.change(alice, flags(GroupFlags::NO_SELF_LEAVE));
    t.refused(bob, leave(), Code::PERMISSION_DENIED);
}

trait ToGroup {
    fn to_group(&self) -> u64;
}

impl ToGroup for proto::Message {
    fn to_group(&self) -> u64 {
        match self.target {
            Some(proto::message::Target::ToGroup(group)) => group,
            _ => 0,
        }
    }
}

#[test]
fn bounds_of_groups_hold() {
    let mut w = World::of(&["alice", "bob", "carol"]);
    let alice = w.login_quiet("alice", 1);
    w.admin(AdminOp::SetMaxGroupMembers(Some(2)));
    let error = w.refused(alice, create("team", &["bob", "carol"]), Code::GROUP_FULL);
    assert_eq!((error.limit, error.actual), (Some(2), Some(3)));
    let id = w.info(alice, create("team", &["bob"])).group;
    w.refused(
        alice,
        op(id, add(&[member("carol", None)])),
        Code::GROUP_FULL,
    );
    w.admin(AdminOp::SetMaxGroupMembers(None));
    let too_long = "x".repeat(129);
    for (name, limit) in [("", 1), (too_long.as_str(), 128)] {
        let error = w.refused(alice, create(name, &[]), Code::INVALID_FIELD);
        assert_eq!(
            (error.field.as_deref(), error.limit),
            (Some("create.name"), Some(limit))
        );
    }
    let keyless = proto::GroupOp {
        idem: "x".into(),
        ..create("team", &[])
    };
    assert_eq!(
        w.refused(alice, keyless, Code::INVALID_FIELD)
            .field
            .as_deref(),
        Some("idem")
    );
    let nothing = proto::GroupOp {
        idem: new_key(),
        ..Default::default()
    };
    assert_eq!(
        w.refused(alice, nothing, Code::INVALID_FIELD)
            .field
            .as_deref(),
        Some("op")
    );
    for op in [op(1, create("x", &[]).op.unwrap()), op(0, leave())] {
        assert_eq!(
            w.refused(alice, op, Code::INVALID_FIELD).field.as_deref(),
            Some("group")
        );
    }
    let info = op(
        id,
        update(proto::GroupUpdate {
            info: Some(vec![0; 4097].into()),
            ..Default::default()
        }),
    );
    assert_eq!(
        w.refused(alice, info, Code::INVALID_FIELD).field.as_deref(),
        Some("update.info")
    );
}

#[test]
fn many_names_go_in_several_events() {
    let mut w = World::of(&["alice", "bob"]);
    let names: Vec<String> = (0..400).map(|n| format!("{n:064}")).collect();
    for name in &names {
        w.user(name);
    }
    let alice = w.login_quiet("alice", 1);
    let limits = Some(proto::Limits {
        max_frame: Some(16_384),
        max_inflight: None,
    });
    let (bob, _) = w.login_with(proto::Login {
        limits,
        ..crate::world::login("bob", 1)
    });
    w.take(bob);
    let id = w.info(alice, create("team", &["bob"])).group;
    let all: Vec<_> = names.iter().map(|name| member(name, None)).collect();
    w.info(alice, op(id, add(&all)));
    let told = events(&w.take(bob));
    assert!(told[1..].iter().all(|event| event.rev == 2));
    // 247 names of 64 bytes and what else there is fill a frame of 16,384 bytes.
    assert_eq!(told[1].users.len(), 247);
    assert_eq!(
        told[1..]
            .iter()
            .map(|event| event.users.len())
            .sum::<usize>(),
        400
    );
    let info = w.info(bob, op(id, Op::Get(proto::GroupGet {})));
    assert!(info.members.len() <= 256 && info.member_count == 402);
}
