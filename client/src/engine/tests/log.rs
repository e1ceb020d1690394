//! The log: each entry once, in order, stored before it is acknowledged, at the pace of the app.

use tidewire_codec::{Code, Flags, Frame, FrameType, proto};

use super::*;
use crate::entry::Entry;
use crate::ids::Pos;
use crate::store::HistoryQuery;

fn positions(events: &[Event]) -> Vec<u64> {
    let entries = events.iter().filter_map(|event| match event {
        Event::Entry(entry) => entry.pos(),
        _ => None,
    });
    entries.map(|pos| pos.0).collect()
}

//= spec/30-send.md#the-user-log
//= type=test
//# [SND-043] A client MUST take an entry whose prev_pos is above its own position as a gap and ask for the missing with
//# SYNC.
//= spec/30-send.md#the-user-log
//= type=test
//# [SND-044] A client MUST ignore an entry whose pos is not above its own position.
#[test]
fn duplicates_are_ignored_and_gaps_are_asked_for() {
    let mut world = World::live(Config {
        window: 100,
        ..config()
    });
    world.message(1, 0);
    world.message(1, 0);
    world.message(5, 4);
    let (reference, sync) = world.expect(FrameType::SYNC);
    assert_eq!(
        sync,
        Frame::Sync(proto::Sync {
            after_pos: 1,
            requires: Vec::new()
        })
    );
    // Live entries between SYNC and its OK come again.
    world.message(6, 5);
    world.expect_nothing();
    world.reply(reference, proto::Ok {});
    for (pos, prev_pos) in [(4, 1), (5, 4), (6, 5)] {
        world.message(pos, prev_pos);
    }
    world.synced();
    assert_eq!(positions(&world.events()), [1, 4, 5, 6]);
    world.expect_ack(6);
    world.expect_nothing();
}

#[test]
fn synced_waits_for_the_gap() {
    let mut world = World::new(config());
    world.log_in(login_ok());
    world.message(2, 1);
    let (reference, _) = world.expect(FrameType::SYNC);
    world.synced();
    assert!(!world.events().contains(&Event::Synced));
    world.reply(reference, proto::Ok {});
    world.message(1, 0);
    world.message(2, 1);
    world.synced();
    assert_eq!(world.events().last(), Some(&Event::Synced));
}

#[test]
fn a_gap_waits_for_room_and_not_for_the_clock() {
    let mut world = World::new(config());
    let limits = Some(proto::Limits {
        max_inflight: Some(1),
        max_frame: None,
    });
    world.log_in(proto::LoginOk {
        limits,
        ..login_ok()
    });
    world.send(hello());
    let (reference, _) = world.expect_send();
    world.message(5, 4);
    world.expect_nothing();
    assert!(world.engine.next_deadline().unwrap() > world.now);
    world.reply(reference, ack(1));
    world.expect(FrameType::SYNC);
}

#[test]
fn a_gap_that_stays_costs_the_connection() {
    let mut world = World::live(config());
    for _ in 0..3 {
        world.message(5, 4);
        let (reference, _) = world.expect(FrameType::SYNC);
        world.reply(reference, proto::Ok {});
    }
    world.message(5, 4);
    assert!(!world.is_open);
}

#[test]
fn a_gap_that_cannot_be_closed_is_told() {
    let mut world = World::live(config());
    world.message(9, 8);
    let (reference, _) = world.expect(FrameType::SYNC);
    let error = proto::Error {
        code: Code::INVALID_FIELD.0.into(),
        limit: Some(6),
        ..proto::Error::default()
    };
    world.reply(reference, error);
    assert!(world.events().contains(&Event::Missing));
    let (reference, sync) = world.expect(FrameType::SYNC);
    assert_eq!(
        sync,
        Frame::Sync(proto::Sync {
            after_pos: 6,
            requires: Vec::new()
        })
    );
    world.reply(reference, proto::Ok {});
    world.message(8, 6);
    world.message(9, 8);
    assert_eq!(positions(&world.events()), [8, 9]);
    world.expect_ack(9);
}

//= spec/01-framing.md#unknown-frames
//= type=test
//# [FRM-044] A client MUST advance its position over an unknown frame with LOGGED set by reading body fields 1 and 2.
#[test]
fn an_unknown_entry_moves_the_position() {
    let mut world = World::live(config());
    world.events();
    // pos 3, prev_pos 0, and a field that nobody knows; the order is free.
    world.frame(unknown(Flags::LOGGED, b"\x10\x00\x7a\x01x\x08\x03"));
    world.expect_ack(3);
    world.message(4, 3);
    assert_eq!(positions(&world.events()), [4]);
    world.expect_ack(4);
}

//= spec/30-send.md#ack
//= type=test
//# [SND-053] A client MUST send ACK only for entries that it has stored.
//= spec/30-send.md#ack
//= type=test
//# [SND-084] A client MUST send ACK for the entries that it has stored.
#[test]
fn an_entry_is_stored_and_acknowledged_once_the_app_has_it() {
    let mut world = World::live(config());
    world.events();
    world.message(1, 0);
    world.message(2, 1);
    world.expect_nothing();
    assert!(world.engine.next_event().is_some());
    world.pump();
    world.expect_ack(1);
    // The next process gets again what the app had not taken.
    let (mut store, now) = (world.store, world.now);
    assert_eq!(store.history(&HistoryQuery::default()).unwrap().len(), 1);
    let mut world = World::from_store(config(), store, now);
    assert_eq!(world.log_in(resumed()).resume.unwrap().pos, 1);
}

//= spec/30-send.md#ack
//= type=test
//# [SND-055] A SEND_ACK MUST NOT move a client's position.
#[test]
fn an_accepted_message_moves_no_position() {
    let mut world = World::live(config());
    world.send(hello());
    let (reference, _) = world.expect_send();
    world.reply(reference, ack(77));
    world.events();
    world.expect_nothing();
    world.message(1, 0);
    assert_eq!(positions(&world.events()), [1]);
}

#[test]
fn with_manual_ack_the_app_says_what_is_stored() {
    let mut world = World::live(Config {
        manual_ack: true,
        ..config()
    });
    world.message(1, 0);
    world.message(2, 1);
    world.events();
    world.expect_nothing();
    let beyond = world.command(|ticket| Command::Ack {
        ticket,
        pos: Pos(3),
    });
    assert!(matches!(world.answers[&beyond], Err(Error::Invalid(_))));
    world.command(|ticket| Command::Ack {
        ticket,
        pos: Pos(1),
    });
    world.expect_ack(1);
    world.command(|ticket| Command::Ack {
        ticket,
        pos: Pos(1),
    });
    world.expect_nothing();
    world.cut();
    world.wait(1_000);
    assert_eq!(world.log_in(resumed()).resume.unwrap().pos, 1);
    world.expect_ack(1);
    world.message(2, 1);
    assert_eq!(
        positions(&world.events()),
        [2],
        "what was not stored comes again"
    );
    assert!(
        world
            .store
            .history(&HistoryQuery::default())
            .unwrap()
            .is_empty()
    );
}

//= spec/10-control.md#flow-of-entries
//= type=test
//# [CTL-026] A client whose app takes its entries MUST raise the event limit before it is used up.
#[test]
fn credit_follows_the_app() {
    let mut world = World::new(config());
    assert_eq!(world.log_in(login_ok()).event_limit, 8);
    for pos in 1..=8 {
        world.message(pos, pos - 1);
    }
    world.expect_nothing();
    let mut limit = 8;
    for taken in 1..=8 {
        world.engine.next_event();
        world.pump();
        let frames: Vec<Frame> = world
            .sent
            .drain(..)
            .map(|frame| frame.decode().unwrap())
            .collect();
        for frame in frames {
            if let Frame::Credit(credit) = frame {
                assert!(credit.event_limit > limit && credit.event_limit <= 8 + taken);
                limit = credit.event_limit;
            }
        }
    }
    assert!(limit >= 12, "{limit}");
    // What waits for the app counts against the next connection as well.
    world.message(9, 8);
    world.cut();
    world.wait(1_000);
    assert!(world.log_in(resumed()).event_limit < 8);
}

#[test]
fn an_app_that_is_gone_holds_nothing_up() {
    let mut world = World::live(config());
    world.input(Input::Command(Command::Deaf));
    for pos in 1..=100 {
        world.message(pos, pos - 1);
    }
    assert!(
        world
            .sent
            .iter()
            .any(|frame| frame.frame_type == FrameType::CREDIT)
    );
    let last = world
        .sent
        .iter()
        .rfind(|frame| frame.frame_type == FrameType::ACK);
    assert_eq!(
        last.unwrap().decode().unwrap(),
        Frame::Ack(proto::Ack { pos: 100 })
    );
    assert!(!world.engine.has_event());
}

#[test]
fn a_message_for_whoever_is_online_moves_nothing() {
    let mut world = World::live(config());
    world.events();
    world.frame(Frame::Message(message(0, 0)).to_raw(Flags::NONE, 0));
    let events = world.events();
    assert!(
        matches!(&events[..], [Event::Entry(Entry::Message(message))] if message.pos().is_none())
    );
    world.expect_nothing();
    for _ in 0..10_000 {
        world.frame(Frame::Message(message(0, 0)).to_raw(Flags::NONE, 0));
    }
    assert!(world.events().len() <= 256, "the queue has a bound");
}

#[test]
fn history_has_both_sides_of_a_conversation() {
    let mut world = World::live(config());
    world.message(1, 0);
    world.events();
    world.send(hello());
    world.expect_ack(1);
    let (reference, _) = world.expect_send();
    world.reply(reference, ack(2));
    let query = HistoryQuery {
        conversation: Some(crate::ids::Conversation::user("bob")),
        ..HistoryQuery::default()
    };
    let history = world.store.history(&query).unwrap();
    let from: Vec<&str> = history
        .iter()
        .map(|found| match &found.entry {
            Entry::Message(message) => message.from(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(from, ["alice", "bob"]);
}
