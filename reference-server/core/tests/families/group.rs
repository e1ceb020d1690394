//! Family group: ops, permissions, joining, messages.

use tidewire_codec::proto::{self, GroupChange, group_op::Op};
use tidewire_codec::{Code, Frame, GroupFlags, Permissions};
use tidewire_core::api::{AdminOp, AdminReply};

use crate::world::{HOUR, World, create, group_message, member, messages, new_key, op, text};
use tidewire_core::api::ConnId;

fn bits(permissions: &[Permissions]) -> u32 {
    permissions
        .iter()
        .fold(0, |mask, permission| mask | permission.0)
}

fn update(update: proto::GroupUpdate) -> Op {
    Op::Update(update)
}

fn flags(flags: GroupFlags) -> Op {
    update(proto::GroupUpdate {
        flags: Some(flags.0),
        ..Default::default()
    })
}

fn add(members: &[proto::GroupMember]) -> Op {
    Op::Add(proto::GroupAdd {
        members: members.to_vec(),
    })
}

fn remove(users: &[&str]) -> Op {
    Op::Remove(proto::GroupRemove {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
    })
}

fn permit(user: &str, permissions: &[Permissions]) -> Op {
    Op::SetPermissions(proto::GroupSetPermissions {
        user: user.into(),
        permissions: bits(permissions),
    })
}

fn pin(pin: &str, ttl_ms: Option<u64>, uses: Option<u32>) -> Op {
    let permissions = bits(&[Permissions::SEND, Permissions::RECV]);
    Op::SetPin(proto::GroupSetPin {
        pin: pin.into(),
        permissions,
        ttl_ms,
        uses,
    })
}

fn join(pin: &str) -> Op {
    Op::Join(proto::GroupJoin { pin: pin.into() })
}

fn leave() -> Op {
    Op::Leave(proto::GroupLeave {})
}

fn events(frames: &[Frame]) -> Vec<proto::GroupEvent> {
    let event = |frame: &Frame| match frame {
        Frame::GroupEvent(event) => Some(event.clone()),
        _ => None,
    };
    frames.iter().filter_map(event).collect()
}

/// A group of alice (OWNER), bob and carol, everybody logged in and nothing on the wire.
struct Team {
    w: World,
    alice: ConnId,
    bob: ConnId,
    carol: ConnId,
    id: u64,
}

impl Team {
    fn new() -> Team {
        let mut w = World::of(&["alice", "bob", "carol", "dave"]);
        let (alice, bob, carol) = (
            w.login_quiet("alice", 1),
            w.login_quiet("bob", 1),
            w.login_quiet("carol", 1),
        );
        let id = w.info(alice, create("team", &["bob", "carol"])).group;
        w.take(bob);
        w.take(carol);
        Team {
            w,
            alice,
            bob,
            carol,
            id,
        }
    }

    #[track_caller]
    fn change(&mut self, conn: ConnId, change: Op) -> proto::GroupInfo {
        self.w.info(conn, op(self.id, change))
    }

    #[track_caller]
    fn refused(&mut self, conn: ConnId, change: Op, code: Code) -> proto::Error {
        self.w.refused(conn, op(self.id, change), code)
    }

    /// What each of the three was sent since the last look.
    fn heard(&mut self) -> [Vec<(GroupChange, Vec<String>)>; 3] {
        [self.alice, self.bob, self.carol].map(|conn| {
            let events = events(&self.w.take(conn));
            events
                .into_iter()
                .map(|event| (event.change(), event.users))
                .collect()
        })
    }
}

#[test]
fn a_change_raises_the_revision_and_is_told() {
    let mut t = Team::new();
    let tablet = t.w.login_quiet("alice", 2);
    let info = t.change(
        t.alice,
        update(proto::GroupUpdate {
            name: Some("crew".into()),
            ..Default::default()
        }),
    );
    assert_eq!(
        (info.rev, info.name.as_str(), info.member_count),
        (2, "crew", 3)
    );
    assert_eq!(info.my_permissions, Permissions::OWNER.0);
    for conn in [tablet, t.bob, t.carol] {
        let [event] = &events(&t.w.take(conn))[..] else {
            panic!()
        };
        assert_eq!(
            (event.rev, event.change(), event.by.as_str()),
            (2, GroupChange::Updated, "alice")
        );
        assert_eq!((event.name.as_deref(), event.flags), (Some("crew"), None));
    }
    t.w.quiet(t.alice);
    // What changes nothing leaves the revision.
    assert_eq!(
        t.change(t.alice, update(proto::GroupUpdate::default())).rev,
        2
    );
    assert_eq!(t.change(t.alice, add(&[member("bob", Some(1))])).rev, 2);
    assert_eq!(t.change(t.alice, remove(&["dave", "nobody"])).rev, 2);
    assert_eq!(t.heard(), [vec![], vec![], vec![]]);
    let stale = proto::GroupOp {
        if_rev: Some(1),
        ..op(t.id, flags(GroupFlags::PAUSED))
    };
    assert_eq!(
        t.w.refused(t.alice, stale, Code::REVISION_CONFLICT).actual,
        Some(2)
    );
}

#[test]
fn newcomers_learn_what_the_group_is() {
    let mut t = Team::new();
    let dave = t.w.login_quiet("dave", 1);
    t.w.send_frame(t.alice, group_message(t.id, "before"));
    t.change(t.alice, add(&[member("dave", Some(Permissions::RECV.0))]));
    let [event] = &events(&t.w.take(dave))[..] else {
        panic!()
    };
    assert_eq!(
        (event.change(), event.users.as_slice()),
        (GroupChange::Added, &["dave".to_owned()][..])
    );
    assert_eq!(
        (event.name.as_deref(), event.flags, event.permissions),
        (Some("team"), Some(0), Some(2))
    );
    let frames = t.w.take(t.bob);
    let [event] = &events(&frames)[..] else {
        panic!()
    };
    assert_eq!((event.name.as_deref(), event.permissions), (None, None));
    t.w.send_frame(t.alice, group_message(t.id, "after"));
    assert_eq!(t.w.texts(dave).len(), 1);
    t.w.refused(dave, group_message(t.id, "no"), Code::PERMISSION_DENIED);
}

#[test]
fn whoever_goes_hears_of_it_and_no_more() {
    let mut t = Team::new();
    let info = t.change(t.bob, leave());
    assert_eq!(
        (info.group, info.rev, info.name.as_str(), info.member_count),
        (t.id, 2, "", 0)
    );
    t.change(t.alice, remove(&["carol"]));
    let [alice, bob, carol] = t.heard();
    assert_eq!(alice, [(GroupChange::Left, vec!["bob".to_owned()])]);
    assert_eq!(bob, []);
    assert_eq!(
        carol,
        [
            (GroupChange::Left, vec!["bob".into()]),
            (GroupChange::Removed, vec!["carol".into()])
        ]
    );
    t.w.send_frame(t.alice, group_message(t.id, "alone"));
    t.w.refused(t.bob, group_message(t.id, "?"), Code::UNKNOWN_GROUP);
    t.refused(t.carol, Op::Get(proto::GroupGet {}), Code::UNKNOWN_GROUP);
    assert_eq!(t.heard(), [vec![], vec![], vec![]]);
    t.refused(t.alice, leave(), Code::LAST_OWNER);
}

#[test]
fn a_repeated_op_has_no_effect() {
    let mut t = Team::new();
    let first = op(t.id, remove(&["bob"]));
    assert_eq!(t.w.info(t.alice, first.clone()).rev, 2);
    t.change(t.alice, add(&[member("bob", None)]));
    t.heard();
    let again = t.w.info(t.alice, first.clone());
    assert!(again.duplicate && again.rev == 3 && again.member_count == 3);
    let other = proto::GroupOp {
        op: Some(remove(&["carol"])),
        ..first.clone()
    };
    t.w.refused(t.alice, other, Code::IDEM_CONFLICT);
    t.w.crash();
    t.alice = t.w.login_quiet("alice", 1);
    assert!(t.w.info(t.alice, first).duplicate);
    let end = op(t.id, Op::Delete(proto::GroupDelete {}));
    assert_eq!(t.w.info(t.alice, end.clone()).rev, 4);
    let again = t.w.info(t.alice, end);
    assert_eq!(
        (again.duplicate, again.rev, again.name.as_str()),
        (true, 4, "")
    );
    t.refused(t.alice, flags(GroupFlags::PAUSED), Code::UNKNOWN_GROUP);
    t.w.refused(t.alice, group_message(t.id, "?"), Code::UNKNOWN_GROUP);
    let bob = t.w.login("bob", 1);
    let last = events(&t.w.take(bob)).pop().unwrap();
    assert_eq!((last.change(), last.rev), (GroupChange::Deleted, 4));
}

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
fn groups_are_listed_by_pages() {
    let mut w = World::of(&["alice"]);
    let alice = w.login_quiet("alice", 1);
    let mut ids: Vec<u64> = (0..5)
        .map(|n| w.info(alice, create(&format!("g{n}"), &[])).group)
        .collect();
    ids.sort_unstable();
    let list = |after_group, limit| proto::GroupList {
        after_group,
        limit,
        ..Default::default()
    };
    let mut seen = Vec::new();
    loop {
        let Frame::GroupPage(page) = w.ask(alice, list(seen.last().copied().unwrap_or(0), Some(2)))
        else {
            panic!()
        };
        assert!(
            page.groups
                .iter()
                .all(|group| group.members.is_empty() && group.member_count == 1)
        );
        seen.extend(page.groups.iter().map(|group| group.group));
        if !page.more {
            break;
        }
        assert_eq!(page.groups.len(), 2);
    }
    assert_eq!(seen, ids);
    for limit in [0, 101] {
        let error = w.refused(alice, list(0, Some(limit)), Code::INVALID_FIELD);
        assert_eq!(error.field.as_deref(), Some("limit"));
    }
}

#[test]
fn a_page_fits_the_frame_of_the_client() {
    let mut w = World::of(&["alice"]);
    let limits = Some(proto::Limits {
        max_frame: Some(16_384),
        max_inflight: None,
    });
    let (alice, _) = w.login_with(proto::Login {
        limits,
        ..crate::world::login("alice", 1)
    });
    for n in 0..10 {
        let info = vec![n; 4096].into();
        w.info(
            alice,
            op(
                0,
                Op::Create(proto::GroupCreate {
                    name: "long".into(),
                    info,
                    ..Default::default()
                }),
            ),
        );
    }
    let mut after_group = 0;
    let mut count = 0;
    loop {
        let Frame::GroupPage(page) = w.ask(
            alice,
            proto::GroupList {
                after_group,
                ..Default::default()
            },
        ) else {
            panic!()
        };
        count += page.groups.len();
        if !page.more {
            break;
        }
        after_group = page.groups.last().unwrap().group;
    }
    assert_eq!(count, 10);
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

#[test]
fn groups_survive_a_crash() {
    let mut t = Team::new();
    t.change(t.alice, permit("bob", &[Permissions::ADMIN]));
    t.change(t.alice, pin("4711", None, Some(3)));
    t.change(t.alice, flags(GroupFlags::NO_SELF_LEAVE));
    let before = t.change(t.alice, Op::Get(proto::GroupGet {}));
    t.w.crash();
    t.alice = t.w.login_quiet("alice", 1);
    assert_eq!(t.change(t.alice, Op::Get(proto::GroupGet {})), before);
    let dave = t.w.login_quiet("dave", 1);
    assert_eq!(t.change(dave, join("4711")).rev, before.rev + 1);
}

#[test]
fn a_deleted_member_leaves_and_an_owner_has_an_heir() {
    let mut t = Team::new();
    t.change(t.alice, permit("carol", &[Permissions::ADMIN]));
    t.heard();
    t.w.admin(AdminOp::DeleteUser {
        user: "alice".into(),
    });
    let told = events(&t.w.take(t.carol));
    assert_eq!(
        (
            told[0].change(),
            told[0].by.as_str(),
            told[0].users[0].as_str()
        ),
        (GroupChange::Removed, "", "alice")
    );
    let info = t.change(t.carol, Op::Get(proto::GroupGet {}));
    assert_eq!(
        info.my_permissions,
        bits(&[Permissions::ADMIN, Permissions::OWNER])
    );
    t.w.admin(AdminOp::DeleteUser { user: "bob".into() });
    t.w.admin(AdminOp::DeleteUser {
        user: "carol".into(),
    });
    let AdminReply::Stats(stats) = t.w.admin(AdminOp::Stats) else {
        panic!()
    };
    assert_eq!((stats.groups, stats.users, stats.undelivered), (0, 1, 0));
}

#[test]
fn an_operator_may_everything() {
    let mut w = World::of(&["alice", "bob", "carol"]);
    let alice = w.login_quiet("alice", 1);
    let AdminReply::Group(info) = w.admin(AdminOp::Group {
        op: Box::new(create("team", &["bob", "alice"])),
    }) else {
        panic!()
    };
    let masks: Vec<_> = info
        .members
        .iter()
        .map(|member| (member.user.as_str(), member.permissions))
        .collect();
    assert_eq!(
        masks,
        [("alice", Some(7)), ("bob", Some(Permissions::OWNER.0))]
    );
    let [event] = &events(&w.take(alice))[..] else {
        panic!()
    };
    assert_eq!(
        (event.change(), event.by.as_str()),
        (GroupChange::Created, "")
    );
    let AdminReply::Group(info) = w.admin(AdminOp::Group {
        op: Box::new(op(info.group, add(&[member("carol", None)]))),
    }) else {
        panic!()
    };
    assert_eq!(info.member_count, 3);
    let refused = w.admin(AdminOp::Group {
        op: Box::new(op(77, Op::Delete(proto::GroupDelete {}))),
    });
    let AdminReply::Refused(error) = refused else {
        panic!()
    };
    assert_eq!(error.code, u32::from(Code::UNKNOWN_GROUP.0));
}
