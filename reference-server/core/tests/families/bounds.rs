//! Everything that a client can fill has a bound, and runs into it.

use tidewire_codec::proto::{self, group_op::Op};
use tidewire_codec::{Code, Frame};
use tidewire_core::Config;

use crate::world::{DAY, HOUR, World, create, member, message, op};

fn world(config: Config) -> World {
    let mut w = World::with(config);
    for user in ["alice", "bob", "carol"] {
        w.user(user);
    }
    w
}

#[test]
fn keys_of_a_device() {
    let mut w = world(Config {
        max_idem_per_device: 3,
        ..Config::default()
    });
    let alice = w.login_quiet("alice", 1);
    let first = message("bob", "1");
    w.send_frame(alice, first.clone());
    w.send(alice, "bob", "2");
    w.send(alice, "bob", "3");
    let error = w.refused(alice, message("bob", "4"), Code::RATE_LIMITED);
    assert_eq!((error.limit, error.actual), (Some(3), Some(4)));
    assert!(error.retry_after_ms.is_some());
    assert!(
        w.send_frame(alice, first).duplicate,
        "a repeat needs no new key"
    );
    let tablet = w.login_quiet("alice", 2);
    w.send(tablet, "bob", "from another device");
    w.crash();
    let alice = w.login_quiet("alice", 1);
    w.refused(alice, message("bob", "4"), Code::RATE_LIMITED);
    w.advance(DAY + HOUR);
    let alice = w.login_quiet("alice", 1);
    w.send(alice, "bob", "a day later");
}

#[test]
fn groups_of_a_user() {
    let mut w = world(Config {
        max_groups_per_user: 2,
        ..Config::default()
    });
    let (alice, bob) = (w.login_quiet("alice", 1), w.login_quiet("bob", 1));
    w.info(alice, create("one", &["bob"]));
    let group = w.info(alice, create("two", &[])).group;
    let error = w.refused(alice, create("three", &[]), Code::TOO_MANY_GROUPS);
    assert_eq!((error.limit, error.actual), (Some(2), Some(3)));
    w.info(bob, create("bobs", &[]));
    w.refused(
        alice,
        op(
            group,
            Op::Add(proto::GroupAdd {
                members: vec![member("bob", None)],
            }),
        ),
        Code::TOO_MANY_GROUPS,
    );
    let pin = proto::GroupSetPin {
        pin: "4711".into(),
        permissions: 7,
        ttl_ms: None,
        uses: None,
    };
    w.info(alice, op(group, Op::SetPin(pin)));
    let join = || op(group, Op::Join(proto::GroupJoin { pin: "4711".into() }));
    w.refused(bob, join(), Code::TOO_MANY_GROUPS);
    let carol = w.login_quiet("carol", 1);
    w.info(carol, join());
}

#[test]
fn wrong_pins_for_groups_that_do_not_exist() {
    let mut w = world(Config::default());
    let alice = w.login_quiet("alice", 1);
    let mut n = 0;
    let refused = loop {
        n += 1;
        let join = op(n, Op::Join(proto::GroupJoin { pin: "4711".into() }));
        let Frame::Error(error) = w.ask(alice, join) else {
            panic!()
        };
        if error.code != u32::from(Code::BAD_PIN.0) {
            break error;
        }
        // The budget of refusals is another bound.
        if n % 500 == 0 {
            w.advance(10_000);
        }
    };
    assert_eq!((n, refused.code), (1001, u32::from(Code::RATE_LIMITED.0)));
}

#[test]
fn pings_that_wait_for_entries() {
    let mut w = world(Config::default());
    let bob = w.login_quiet("bob", 1);
    let alice = w.login_quiet("alice", 1);
    w.feed(tidewire_core::api::Input::Congested {
        conn: alice,
        on: true,
    });
    w.send(bob, "alice", "1");
    for n in 1..=1_001 {
        w.put(alice, proto::Ping::default(), n);
    }
    w.settle();
    w.expect_goaway(alice, Code::TOO_MANY_CONTROL_FRAMES);
}
