//! Family group: ops, events, lists, restarts, the operator.

use tidewire_codec::proto::{self, GroupChange, group_op::Op};
use tidewire_codec::{Code, Frame, GroupFlags, Permissions};
use tidewire_core::api::{AdminOp, AdminReply};

use crate::team::{Team, add, bits, events, flags, join, leave, permit, pin, remove, update};
use crate::world::{World, create, group_message, member, op};

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
