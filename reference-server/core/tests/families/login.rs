//! Family login: LOGIN, resume, devices, tokens.

use tidewire_codec::proto::{self, ResumeResult};
use tidewire_codec::{Code, Frame, FrameType};
use tidewire_core::api::{AdminOp, AdminReply, Input};

use crate::world::{DAY, HOUR, World, digest, login, messages};

#[test]
fn login_ok_says_all_that_it_has_to() {
    let mut w = World::of(&["alice"]);
    w.token("alice", "short-lived", Some(5_000));
    let (_, ok) = w.login_with(login("alice", 1));
    assert_eq!(
        (ok.version, ok.user.as_str(), ok.features.as_slice()),
        (1, "alice", &[1, 2, 3, 4][..])
    );
    assert_eq!(
        (ok.keepalive_ms, ok.token_ttl_ms, ok.idem_window_ms),
        (60_000, None, DAY)
    );
    assert_eq!(
        (ok.head_pos, ok.oldest_pos, ok.resume()),
        (0, 1, ResumeResult::Fresh)
    );
    assert!(ok.epoch != 0 && ok.default_ttl_ms > 0 && ok.max_ttl_ms > 0);
    assert_eq!(ok.limits.and_then(|limits| limits.max_frame), Some(65_536));
    let (conn, ok) = w.login_with(proto::Login {
        token: "short-lived".into(),
        ..login("alice", 1)
    });
    assert_eq!(ok.token_ttl_ms, Some(5_000));
    w.advance(4_999);
    assert!(w.is_open(conn));
    w.advance(1);
    w.expect_goaway(conn, Code::TOKEN_EXPIRED);
}

#[track_caller]
fn refused(
    change: impl FnOnce(&mut proto::Login),
    code: Code,
    field: Option<&str>,
) -> proto::Goaway {
    let mut w = World::of(&["alice"]);
    let conn = w.connect();
    let mut login = login("alice", 1);
    change(&mut login);
    w.put(conn, login, 1);
    w.settle();
    let goaway = w.goaway(conn);
    assert_eq!(
        (Code::from_field(goaway.code), goaway.field.as_deref()),
        (Some(code), field)
    );
    goaway
}

#[test]
fn a_login_out_of_bounds_names_the_field() {
    let invalid = Code::INVALID_LOGIN;
    refused(|login| login.version_min = 0, invalid, Some("version_min"));
    refused(|login| login.version_min = 2, invalid, Some("version_min"));
    refused(
        |login| (login.version_min, login.version_max) = (2, 3),
        Code::VERSION_UNSUPPORTED,
        None,
    );
    refused(|login| login.token.clear(), invalid, Some("token"));
    let goaway = refused(
        |login| login.token = vec![1; 4097].into(),
        invalid,
        Some("token"),
    );
    assert_eq!((goaway.limit, goaway.actual), (Some(4096), Some(4097)));
    refused(
        |login| login.device_id = vec![1; 15].into(),
        invalid,
        Some("device_id"),
    );
    refused(
        |login| login.device_id = vec![0; 16].into(),
        invalid,
        Some("device_id"),
    );
    refused(|login| login.agent = "x".repeat(65), invalid, Some("agent"));
    for max_frame in [16_383, 1_048_577] {
        let limits = Some(proto::Limits {
            max_frame: Some(max_frame),
            max_inflight: None,
        });
        refused(
            |login| login.limits = limits,
            invalid,
            Some("limits.max_frame"),
        );
    }
    refused(
        |login| login.features = vec![1; 65],
        invalid,
        Some("features"),
    );
    refused(
        |login| login.token = "nobody".into(),
        Code::TOKEN_INVALID,
        None,
    );
    let goaway = refused(
        |login| login.requires = vec![1, 99],
        Code::LOGIN_FEATURE_REQUIRED,
        None,
    );
    assert_eq!(goaway.features, [99]);
}

#[test]
fn a_login_without_ref_or_sense_is_refused() {
    let mut w = World::of(&["alice"]);
    let conn = w.connect();
    w.tell(conn, login("alice", 1));
    w.expect_goaway(conn, Code::INVALID_LOGIN);
    let conn = w.connect();
    w.raw(
        conn,
        FrameType::LOGIN,
        tidewire_codec::Flags::NONE,
        1,
        b"\x22\x09",
    );
    w.expect_goaway(conn, Code::INVALID_LOGIN);
}

#[test]
fn the_newer_session_of_a_device_wins() {
    let mut w = World::of(&["alice", "bob"]);
    let (old, other) = (w.login_quiet("alice", 1), w.login_quiet("alice", 2));
    let new = w.login_quiet("alice", 1);
    w.expect_goaway(old, Code::REPLACED);
    w.feed(Input::Closed { conn: old });
    let bob = w.login_quiet("bob", 1);
    w.send(bob, "alice", "hi");
    assert_eq!((w.texts(new).len(), w.texts(other).len()), (1, 1));
}

#[test]
fn resume_is_judged_by_epoch_and_position() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    for n in 0..3 {
        w.send(alice, "bob", &n.to_string());
    }
    let (_, ok) = w.login_with(login("bob", 1));
    let (conn, again) = w.resume("bob", 1, ok.epoch, 3);
    assert_eq!(again.resume(), ResumeResult::Resumed);
    assert_eq!(w.take(conn), [Frame::Synced(proto::Synced { pos: 3 })]);
    for (epoch, pos) in [(ok.epoch, 4), (ok.epoch + 1, 1)] {
        let (conn, again) = w.resume("bob", 1, epoch, pos);
        assert_eq!(again.resume(), ResumeResult::Gap);
        assert_eq!(w.texts(conn).len(), 3);
    }
    let (conn, _) = w.resume("bob", 1, ok.epoch, 1);
    let Frame::DeviceList(list) = w.ask(conn, proto::Devices::default()) else {
        panic!()
    };
    assert_eq!(
        list.devices[0].acked_pos, 0,
        "RESUMED does not move the cursor"
    );
}

#[test]
fn what_is_cut_off_is_a_gap() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    w.send(alice, "bob", "old");
    let (bob, ok) = w.login_with(login("bob", 1));
    w.take(bob);
    w.ack(bob, 1);
    w.advance(8 * DAY);
    let (_, again) = w.resume("bob", 1, ok.epoch, 1);
    assert_eq!(
        (again.resume(), again.oldest_pos, again.head_pos),
        (ResumeResult::Resumed, 2, 1)
    );
    let (bob, again) = w.resume("bob", 1, ok.epoch, 0);
    assert_eq!(again.resume(), ResumeResult::Gap);
    let error = w.refused(
        bob,
        proto::Sync {
            after_pos: 0,
            ..Default::default()
        },
        Code::INVALID_FIELD,
    );
    assert_eq!((error.limit, error.actual), (Some(1), Some(0)));
    w.crash();
    let (_, again) = w.resume("bob", 1, ok.epoch, 1);
    assert_eq!(
        (again.epoch, again.head_pos, again.oldest_pos),
        (ok.epoch, 1, 2),
        "no position comes twice"
    );
}

#[test]
fn an_entry_nobody_took_goes_after_its_lifetime() {
    let mut w = World::of(&["alice", "bob"]);
    let alice = w.login_quiet("alice", 1);
    let (_, ok) = w.login_with(login("bob", 1));
    w.send(alice, "bob", "never read");
    w.advance(29 * DAY);
    let (conn, again) = w.resume("bob", 1, ok.epoch, 0);
    assert_eq!(again.resume(), ResumeResult::Resumed);
    assert_eq!(messages(&w.take(conn)).len(), 1);
    w.hang_up(conn);
    w.advance(2 * DAY);
    let (_, again) = w.resume("bob", 1, ok.epoch, 0);
    assert_eq!((again.resume(), again.oldest_pos), (ResumeResult::Gap, 2));
}

#[test]
fn devices_are_counted_listed_and_forgotten() {
    let mut w = World::of(&["alice", "bob"]);
    for device in 1..=8 {
        w.login_quiet("alice", device);
    }
    let conn = w.connect();
    w.put(conn, login("alice", 9), 1);
    w.settle();
    w.expect_goaway(conn, Code::TOO_MANY_DEVICES);
    // The same ids of another user are other devices.
    w.login_quiet("bob", 1);
    let alice = w.login_quiet("alice", 1);
    let eight = w.login_quiet("alice", 8);
    let forget = |id: u8| proto::Devices {
        forget: Some(vec![id; 16].into()),
        ..Default::default()
    };
    for id in [1, 9] {
        let error = w.refused(alice, forget(id), Code::INVALID_FIELD);
        assert_eq!(error.field.as_deref(), Some("forget"));
    }
    let Frame::DeviceList(list) = w.ask(alice, forget(8)) else {
        panic!()
    };
    assert_eq!(list.devices.len(), 7);
    assert!(list.devices[0].online && list.devices[0].agent == "test");
    w.expect_goaway(eight, Code::DEVICE_FORGOTTEN);
    w.ok(
        alice,
        proto::Logout {
            forget_device: true,
            ..Default::default()
        },
    );
    w.expect_goaway(alice, Code::LOGGED_OUT);
    w.crash();
    let two = w.login_quiet("alice", 2);
    let Frame::DeviceList(list) = w.ask(two, proto::Devices::default()) else {
        panic!()
    };
    assert_eq!(list.devices.len(), 6);
}

#[test]
fn a_revoked_token_cuts_and_stays_revoked() {
    let mut w = World::of(&["alice", "bob"]);
    w.token("alice", "second", None);
    let (one, two) = (w.login_quiet("alice", 1), w.login_quiet("alice", 2));
    w.ok(
        two,
        proto::Reauth {
            token: "second".into(),
            ..Default::default()
        },
    );
    for token in ["nobody", "bob", ""] {
        w.refused(
            two,
            proto::Reauth {
                token: token.into(),
                ..Default::default()
            },
            Code::BAD_TOKEN,
        );
    }
    assert!(matches!(
        w.admin(AdminOp::RevokeToken {
            digest: digest("alice")
        }),
        AdminReply::Done
    ));
    w.expect_goaway(one, Code::TOKEN_REVOKED);
    assert!(w.is_open(two));
    w.crash();
    let conn = w.connect();
    w.put(conn, login("alice", 1), 1);
    w.settle();
    w.expect_goaway(conn, Code::TOKEN_REVOKED);
}

#[test]
fn an_expired_token_is_told_from_an_unknown_one() {
    let mut w = World::of(&["alice"]);
    w.token("alice", "hour", Some(HOUR));
    w.advance(HOUR);
    let conn = w.connect();
    w.put(
        conn,
        proto::Login {
            token: "hour".into(),
            ..login("alice", 1)
        },
        1,
    );
    w.settle();
    w.expect_goaway(conn, Code::TOKEN_EXPIRED);
}

#[test]
fn a_deleted_user_is_gone_and_its_name_is_free() {
    let mut w = World::of(&["alice", "bob"]);
    let bob = w.login_quiet("bob", 1);
    let (alice, ok) = w.login_with(login("alice", 1));
    w.send(bob, "alice", "hi");
    w.admin(AdminOp::DeleteUser {
        user: "alice".into(),
    });
    w.expect_goaway(alice, Code::USER_DELETED);
    let conn = w.connect();
    w.put(conn, login("alice", 1), 1);
    w.settle();
    w.expect_goaway(conn, Code::TOKEN_INVALID);
    w.user("alice");
    let (alice, new) = w.login_with(login("alice", 1));
    assert!(new.epoch != ok.epoch && new.head_pos == 0);
    assert!(messages(&w.take(alice)).is_empty());
}

#[test]
fn a_full_store_keeps_known_devices_in() {
    let mut w = World::of(&["alice"]);
    w.login_quiet("alice", 1);
    w.feed(Input::StoreFull(true));
    w.login_quiet("alice", 1);
    let conn = w.connect();
    let Frame::Error(error) = w.ask(conn, login("alice", 2)) else {
        panic!()
    };
    assert_eq!(error.code, u32::from(Code::STORE_FULL.0));
    w.feed(Input::StoreFull(false));
    assert!(matches!(w.ask(conn, login("alice", 2)), Frame::LoginOk(_)));
}
