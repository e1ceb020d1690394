//! The outbox: keys, repeats, waits, lifetimes, bounds.

use std::time::Duration;

use tidewire_codec::proto::group_op::Op;
use tidewire_codec::{Code, FrameType, proto};

use super::*;

fn group_op() -> proto::GroupOp {
    proto::GroupOp {
        group: 7,
        op: Some(Op::Leave(proto::GroupLeave {})),
        ..proto::GroupOp::default()
    }
}

//= spec/30-send.md#idempotency
//= type=test
//# [SND-030] A client MUST store the key with the message before it first sends it.
#[test]
fn the_key_is_stored_before_the_message_is_sent() {
    let mut world = World::live(config());
    world.send(hello());
    let (_, send) = world.expect_send();
    let stored = world
        .commits
        .iter()
        .flatten()
        .find_map(|change| match change {
            Change::Queued(queued) => Some(queued.body.clone()),
            _ => None,
        });
    // `pump` sees to it that nothing comes out before the commit.
    assert_eq!(Frame::Send(send).encode_body(), stored.unwrap());
}

//= spec/10-control.md#end-of-a-connection
//= type=test
//# [CTL-032] After losing a connection a client MUST repeat every unanswered SEND and GROUP_OP in the same order with
//# the same idempotency keys.
#[test]
fn what_is_unanswered_is_repeated_in_order_after_a_cut_and_after_a_restart() {
    let mut world = World::live(config());
    world.send(hello());
    world.request(group_op());
    world.send(hello());
    let (first, second) = (world.expect_send(), world.expect(FrameType::GROUP_OP));
    let third = world.expect_send();
    assert_ne!(first.1.idem, third.1.idem);
    world.reply(third.0, ack(3));
    let repeated = |world: &mut World| {
        world.log_in(resumed());
        world.synced();
        assert_eq!(world.expect_send().1, first.1);
        assert_eq!(world.expect(FrameType::GROUP_OP).1, second.1);
        world.expect_nothing();
    };
    world.cut();
    world.wait(1_000);
    repeated(&mut world);
    let (store, now) = (world.store, world.now);
    let mut world = World::from_store(config(), store, now);
    repeated(&mut world);
}

#[test]
fn a_duplicate_is_accepted_once() {
    let mut world = World::live(config());
    let outcome = world.send(hello());
    world.cut();
    world.wait(1_000);
    world.log_in(resumed());
    let (reference, _) = world.expect_send();
    world.reply(
        reference,
        proto::SendAck {
            duplicate: true,
            ..ack(9)
        },
    );
    let Some(Ok(Answer::Receipt(receipt))) = world.answers.get(&outcome) else {
        panic!()
    };
    assert!(receipt.duplicate);
    assert_eq!((receipt.id.0, receipt.label.as_str()), (9, "m"));
    let accepted = |events: Vec<Event>| {
        events
            .iter()
            .filter(|event| matches!(event, Event::Accepted { .. }))
            .count()
    };
    assert_eq!(accepted(world.events()), 1);
    let (store, now) = (world.store, world.now);
    let mut world = World::from_store(config(), store, now);
    world.log_in(resumed());
    world.expect_nothing();
}

//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-007] A client MUST wait at least retry_after_ms before it repeats what was refused with it.
//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-008] A client MUST repeat a SEND that was refused with class 5 with the same idempotency key.
#[test]
fn what_is_refused_for_now_is_repeated_with_its_key() {
    for code in [Code::INBOX_FULL, Code(0x5fff)] {
        let mut world = World::live(config());
        world.send(hello());
        let (reference, first) = world.expect_send();
        world.error(reference, code, Some(5_000));
        // What follows in the conversation does not overtake it; what goes elsewhere does.
        world.send(hello());
        world.send(hello().to_user("carol"));
        assert_eq!(
            world.expect_send().1.target,
            Some(proto::send::Target::ToUser("carol".to_owned()))
        );
        world.wait(4_999);
        world.expect_nothing();
        world.wait(1);
        assert_eq!(world.expect_send().1, first);
        world.expect_send();
    }
}

//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-005] A client MUST act on the class of a code that it does not know.
//= spec/02-errors-and-limits.md#error-and-goaway
//= type=test
//# [ERR-048] A client MUST NOT repeat a SEND or GROUP_OP that was answered with an ERROR of class 4.
#[test]
fn what_is_refused_for_good_is_not_repeated() {
    for code in [Code::UNKNOWN_USER, Code(0x4fff), Code(0x4a0a), Code(0)] {
        let mut world = World::live(config());
        let outcomes = [world.send(hello()), world.request(group_op())];
        let references = [world.expect_send().0, world.expect(FrameType::GROUP_OP).0];
        for reference in references {
            world.error(reference, code, None);
        }
        for outcome in outcomes {
            let Some(Err(Error::Refused(refusal))) = world.answers.get(&outcome) else {
                panic!()
            };
            assert_eq!(refusal.code, code);
        }
        assert!(
            world
                .events()
                .iter()
                .any(|event| matches!(event, Event::Failed { label, .. } if label == "m"))
        );
        world.cut();
        world.wait(1_000);
        world.log_in(resumed());
        world.expect_nothing();
    }
}

//= spec/60-expiry.md#time-to-live
//= type=test
//# [EXP-007] A client MUST subtract the time that a message waited in its outbox from ttl_ms, and drop it when nothing
//# is left before its first try.
#[test]
fn waiting_in_the_outbox_takes_from_the_time_to_live() {
    let mut world = World::new(config());
    world.cut();
    let long = world.send(hello().ttl(Duration::from_secs(10)));
    let short = world.send(hello().ttl(Duration::from_secs(2)));
    world.wait(3_000);
    assert_eq!(world.answers.get(&short), Some(&Err(Error::Expired)));
    assert!(world.events().iter().any(|event| matches!(
        event,
        Event::Failed {
            error: Error::Expired,
            ..
        }
    )));
    world.log_in(login_ok());
    assert_eq!(world.expect_send().1.ttl_ms, Some(7_000));
    world.expect_nothing();
    // What may have been accepted is asked for, also when its time is over.
    world.cut();
    world.wait(60_000);
    world.log_in(resumed());
    assert_eq!(world.expect_send().1.ttl_ms, Some(1));
    assert!(!world.answers.contains_key(&long));
    // So does the next process.
    let (store, now) = (world.store, world.now);
    let mut world = World::from_store(config(), store, now);
    world.log_in(resumed());
    let (reference, send) = world.expect_send();
    assert_eq!(send.ttl_ms, Some(1));
    // A refusal for now says that nobody has it after all, but an earlier try may have been taken.
    world.error(reference, Code::STORE_FULL, Some(10));
    world.wait(10);
    assert_eq!(world.expect_send().1.ttl_ms, Some(1));
}

#[test]
fn a_message_that_was_only_ever_refused_ends_with_its_time() {
    let mut world = World::live(config());
    let outcome = world.send(hello().ttl(Duration::from_secs(5)));
    let (reference, _) = world.expect_send();
    world.error(reference, Code::INBOX_FULL, Some(60_000));
    world.wait(5_000);
    assert_eq!(world.answers.get(&outcome), Some(&Err(Error::Expired)));
    world.wait(60_000);
    assert!(
        !world
            .sent
            .iter()
            .any(|frame| frame.frame_type == FrameType::SEND)
    );
}

//= spec/02-errors-and-limits.md#sizes
//= type=test
//# [ERR-037] A client MUST NOT have more unanswered requests than the server's max_inflight.
//= spec/01-framing.md#requests-and-replies
//= type=test
//# [FRM-024] A client MUST NOT reuse a ref on a connection while its request is unanswered.
#[test]
fn no_more_requests_than_the_server_holds() {
    let mut world = World::new(config());
    let limits = Some(proto::Limits {
        max_inflight: Some(2),
        max_frame: None,
    });
    world.log_in(proto::LoginOk {
        limits,
        ..login_ok()
    });
    for _ in 0..5 {
        world.send(hello());
    }
    let first = world.expect_send().0;
    let second = world.expect_send().0;
    world.expect_nothing();
    // A sign of life needs no room.
    world.wait(30_000);
    assert_eq!(world.expect(FrameType::PING).0, 0);
    world.reply(second, ack(2));
    let third = world.expect_send().0;
    world.expect_nothing();
    assert!(third != first && third != 0);
    world.reply(first, ack(1));
    world.expect_send();
    world.expect_nothing();
}

#[test]
fn the_outbox_has_a_bound_that_counts_what_the_app_does_not_take() {
    let mut world = World::live(Config {
        outbox: 3,
        ..config()
    });
    let full = Err(Error::OutboxFull { limit: 3 });
    for id in 1..=3 {
        world.send(hello());
        let (reference, _) = world.expect_send();
        world.reply(reference, ack(id));
    }
    let refused = world.send(hello());
    assert_eq!(world.answers[&refused], full);
    world.events();
    let taken = world.send(hello());
    assert!(!world.answers.contains_key(&taken));
}

#[test]
fn content_that_the_server_does_not_take_is_not_sent() {
    let mut world = World::new(config());
    world.cut();
    let early = world.send(Message::bytes(vec![0; 20_000]).to_user("bob"));
    world.wait(1_000);
    let limits = Some(proto::Limits {
        max_inflight: None,
        max_frame: Some(16_384),
    });
    world.log_in(proto::LoginOk {
        limits,
        ..login_ok()
    });
    world.expect_nothing();
    assert_eq!(
        world.answers[&early].clone().unwrap_err().code(),
        Some(Code::CONTENT_TOO_LARGE)
    );
    let late = world.send(Message::bytes(vec![0; 14_337]).to_user("bob"));
    assert_eq!(
        world.answers[&late],
        Err(Error::TooLarge {
            limit: 14_336,
            actual: 14_337
        })
    );
    world.send(Message::bytes(vec![0; 14_336]).to_user("bob"));
    world.expect_send();
}

#[test]
fn questions_are_asked_again_after_a_cut_and_deeds_without_a_key_are_not() {
    let mut world = World::live(config());
    world.request(proto::GroupList::default());
    let forget = world.request(proto::Devices {
        forget: Some(vec![1; 16].into()),
        requires: Vec::new(),
    });
    world.cut();
    assert_eq!(world.answers[&forget], Err(Error::Lost));
    world.wait(1_000);
    world.sent.clear();
    world.log_in(resumed());
    world.expect(FrameType::GROUP_LIST);
    world.expect_nothing();
}

#[test]
fn a_fence_waits_for_the_app() {
    let mut world = World::live(config());
    world.events();
    let fence = world.command(Command::Fence);
    let (reference, _) = world.expect(FrameType::PING);
    world.message(1, 0);
    world.reply(reference, proto::Pong::default());
    assert!(
        !world.answers.contains_key(&fence),
        "the app has not seen the entry"
    );
    world.events();
    assert_eq!(world.answers[&fence], Ok(Answer::Done));
    let cut = world.command(Command::Fence);
    world.cut();
    assert_eq!(world.answers[&cut], Err(Error::NotConnected));
    let never = world.command(Command::Fence);
    assert_eq!(world.answers[&never], Err(Error::NotConnected));
}
