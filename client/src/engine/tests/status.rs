//! States of own messages.

use tidewire_codec::proto;
use tidewire_codec::proto::MessageState::{Delivered, Expired, Failed, Read};

use super::*;
use crate::ids::{Conversation, GroupId, MsgId};
use crate::tracker::{MessageState, MessageStatus};

fn status(
    pos: u64,
    conversation: Conversation,
    state: proto::MessageState,
    by: &str,
    msg_id: u64,
) -> proto::Status {
    proto::Status {
        pos,
        prev_pos: pos - 1,
        conversation: Some(conversation.into()),
        msg_id,
        state: state.into(),
        by: by.to_owned(),
        ..proto::Status::default()
    }
}

fn bob() -> Conversation {
    Conversation::user("bob")
}

/// Sends and has accepted; the label is the id.
fn accepted(world: &mut World, conversation: Conversation, id: u64) {
    world.send(Message::text("x").to(conversation).label(id.to_string()));
    let (reference, _) = world.expect_send();
    world.reply(reference, ack(id));
}

/// The states that the app is told, as `label:state[@member]`.
fn told(world: &mut World) -> Vec<String> {
    let show = |status: &MessageStatus| {
        let member = status.member.as_ref().map(|member| format!("@{member}"));
        format!(
            "{}:{:?}{}",
            status.label.as_deref().unwrap_or("-"),
            status.state,
            member.unwrap_or_default()
        )
    };
    let events = world.events();
    world.sent.clear();
    let mut told = Vec::new();
    for event in &events {
        match event {
            Event::Entry(crate::entry::Entry::Status(status)) => {
                told.extend(status.messages().iter().map(show))
            }
            Event::Entry(crate::entry::Entry::Expired(expired)) => {
                told.extend(expired.message().map(show))
            }
            Event::Accepted { states, .. } => told.extend(states.iter().map(show)),
            _ => {}
        }
    }
    told
}

//= spec/40-status.md#order-of-states
//= type=test
//# [STA-053] A client MUST take a watermark for each of its messages in the conversation whose id is not above msg_id.
//= spec/40-status.md#order-of-states
//= type=test
//# [STA-054] A client MUST NOT let the state of a message fall in rank.
#[test]
fn a_watermark_holds_for_every_message_below_it_and_states_only_rise() {
    let mut world = World::live(config());
    for id in 1..=3 {
        accepted(&mut world, bob(), id);
    }
    world.event(status(1, bob(), Delivered, "bob", 2));
    assert_eq!(told(&mut world), ["1:Delivered", "2:Delivered"]);
    world.event(status(2, bob(), Read, "bob", 1));
    assert_eq!(told(&mut world), ["1:Read"]);
    world.event(status(3, bob(), Delivered, "bob", 3));
    assert_eq!(told(&mut world), ["3:Delivered"]);
    world.event(status(4, bob(), Delivered, "bob", 1));
    assert!(told(&mut world).is_empty());
    assert_eq!(
        world.engine.tracker.state_of(&bob(), MsgId(1), None),
        Some(MessageState::Read)
    );
    // Another conversation with the same ids is another one.
    world.event(status(5, Conversation::user("carol"), Read, "carol", 3));
    assert!(told(&mut world).is_empty());
}

//= spec/40-status.md#order-of-states
//= type=test
//# [STA-055] A client MUST apply a STATUS that comes before the SEND_ACK of its message.
#[test]
fn a_status_before_the_acknowledgement_counts() {
    let mut world = World::live(config());
    world.event(status(1, bob(), Read, "bob", 5));
    assert!(told(&mut world).is_empty());
    accepted(&mut world, bob(), 5);
    assert_eq!(told(&mut world), ["5:Read"]);
}

//= spec/40-status.md#order-of-states
//= type=test
//# [STA-032] A client MUST let a terminal state stand against later watermarks.
#[test]
fn a_terminal_state_stands() {
    let mut world = World::live(config());
    accepted(&mut world, bob(), 1);
    accepted(&mut world, bob(), 2);
    world.event(proto::Expired {
        pos: 1,
        conversation: Some(bob().into()),
        msg_id: 1,
        undelivered: 1,
        ..proto::Expired::default()
    });
    assert_eq!(told(&mut world), ["1:Expired"]);
    world.event(status(2, bob(), Read, "bob", 2));
    assert_eq!(told(&mut world), ["2:Read"]);
    world.event(status(3, bob(), Failed, "bob", 1));
    assert!(told(&mut world).is_empty());
    // Also over a restart.
    let (store, now) = (world.store, world.now);
    let mut world = World::from_store(config(), store, now);
    world.log_in(resumed());
    world.event(status(4, bob(), Read, "bob", 3));
    assert!(told(&mut world).is_empty());
    let state = |world: &World, id| world.engine.tracker.state_of(&bob(), MsgId(id), None);
    assert_eq!(state(&world, 1), Some(MessageState::Expired));
    assert_eq!(state(&world, 2), Some(MessageState::Read));
    assert_eq!(state(&world, 3), None);
}

#[test]
fn each_member_of_a_group_has_a_state() {
    let team = || Conversation::Group(GroupId(7));
    let mut world = World::live(config());
    accepted(&mut world, team(), 1);
    world.event(status(1, team(), Delivered, "bob", 1));
    world.event(status(2, team(), Failed, "carol", 1));
    world.event(status(3, team(), Read, "carol", 1));
    world.event(status(4, team(), Read, "bob", 1));
    assert_eq!(
        told(&mut world),
        ["1:Delivered@bob", "1:Failed@carol", "1:Read@bob"]
    );
    let state = |world: &World, member| {
        world
            .engine
            .tracker
            .state_of(&team(), MsgId(1), Some(member))
    };
    assert_eq!(state(&world, "bob"), Some(MessageState::Read));
    assert_eq!(state(&world, "carol"), Some(MessageState::Failed));
    world.event(status(5, team(), Expired, "", 1));
    assert_eq!(told(&mut world), ["1:Expired"]);
}

#[test]
fn the_answer_to_a_repeat_tells_the_state_now() {
    let mut world = World::live(config());
    world.send(hello().label("late"));
    let (reference, _) = world.expect_send();
    let state = proto::MessageState::Expired.into();
    world.reply(
        reference,
        proto::SendAck {
            duplicate: true,
            state,
            ttl_ms: 0,
            ..ack(4)
        },
    );
    assert_eq!(told(&mut world), ["late:Expired"]);
}

#[test]
fn marks_of_other_devices_are_no_state_of_own_messages() {
    let mut world = World::live(config());
    accepted(&mut world, bob(), 1);
    world.event(status(1, bob(), Read, "alice", 1));
    assert!(told(&mut world).is_empty());
    // A message of another own device has a state, and no name here.
    world.event(proto::Message {
        pos: 2,
        prev_pos: 1,
        msg_id: 2,
        from: "alice".to_owned(),
        target: Some(proto::message::Target::ToUser("bob".to_owned())),
        ..proto::Message::default()
    });
    world.event(status(3, bob(), Delivered, "bob", 2));
    assert_eq!(told(&mut world), ["1:Delivered", "-:Delivered"]);
}
