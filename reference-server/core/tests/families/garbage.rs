//! Frames that make little sense, by the thousand: the core answers by the rules, and never falls over.

use tidewire_codec::proto::{self, group_op::Op};
use tidewire_codec::{Flags, Frame, FrameType};
use tidewire_core::api::ConnId;

use crate::world::{SECOND, World, create, group_message, mark, message, op};

/// Xorshift: the same garbage on every run.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

/// One good request of each kind, to be spoiled.
fn models(group: u64, msg_id: u64) -> Vec<Frame> {
    let user = |name: &str| name.to_owned();
    let pin = proto::GroupSetPin {
        pin: "4711".into(),
        permissions: 7,
        ttl_ms: Some(u64::MAX),
        uses: Some(1),
    };
    vec![
        message("bob", "hi").into(),
        message("alice", "note").into(),
        proto::Send {
            ttl_ms: Some(u64::MAX),
            ..group_message(group, "all")
        }
        .into(),
        proto::Ack { pos: 1 }.into(),
        proto::Sync {
            after_pos: 1,
            ..Default::default()
        }
        .into(),
        proto::ContentGet {
            pos: 1,
            offset: Some(u64::MAX),
            ..Default::default()
        }
        .into(),
        proto::Credit {
            event_limit: u64::MAX,
        }
        .into(),
        proto::Ping {
            data: "x".into(),
            ..Default::default()
        }
        .into(),
        mark("bob", msg_id, proto::MarkScope::Public).into(),
        proto::StatusGet {
            conversation: Some(proto::status_get::Conversation::User(user("bob"))),
            msg_id,
            ..Default::default()
        }
        .into(),
        proto::ExpirySet {
            conversation: Some(proto::expiry_set::Conversation::User(user("bob"))),
            msg_id,
            ttl_ms: u64::MAX,
            ..Default::default()
        }
        .into(),
        create("team", &["bob"]).into(),
        op(group, Op::SetPin(pin)).into(),
        op(group, Op::Join(proto::GroupJoin { pin: "4711".into() })).into(),
        op(group, Op::Leave(proto::GroupLeave {})).into(),
        proto::GroupOp {
            if_rev: Some(u64::MAX),
            ..op(group, Op::Delete(proto::GroupDelete {}))
        }
        .into(),
        proto::GroupList {
            after_group: u64::MAX,
            ..Default::default()
        }
        .into(),
        proto::Devices {
            forget: Some(vec![1; 16].into()),
            ..Default::default()
        }
        .into(),
        proto::Reauth {
            token: "bob".into(),
            ..Default::default()
        }
        .into(),
        proto::Logout::default().into(),
    ]
}

#[test]
fn garbage_ends_at_most_its_own_connection() {
    let mut w = World::of(&["alice", "bob", "witness"]);
    let mut rng = Rng(0x7EDE_0001);
    let (alice, witness) = (w.login_quiet("alice", 1), w.login_quiet("witness", 1));
    let group = w.info(alice, create("team", &["bob"])).group;
    let msg_id = w.send(alice, "bob", "hi").msg_id;
    let models = models(group, msg_id);
    let mut conns: Vec<(&str, ConnId)> = vec![("alice", alice), ("bob", w.login_quiet("bob", 1))];
    for round in 0..6_000 {
        let which = rng.below(conns.len());
        let (user, conn) = conns[which];
        let frame = &models[rng.below(models.len())];
        let mut body = frame.encode_body().to_vec();
        for _ in 0..rng.below(4) {
            if body.is_empty() {
                break;
            }
            let at = rng.below(body.len());
            match rng.below(4) {
                0 => body.truncate(at),
                1 => body[at] ^= 1 << rng.below(8),
                2 => body.insert(at, rng.below(256) as u8),
                _ => drop(body.remove(at)),
            }
        }
        let frame_type = match rng.below(40) {
            0 => FrameType(rng.below(0x0600) as u16),
            _ => frame.frame_type(),
        };
        let flags = if rng.below(30) == 0 {
            Flags(rng.below(256) as u8)
        } else {
            Flags::NONE
        };
        let reference = if rng.below(8) == 0 { 0 } else { round };
        w.raw(conn, frame_type, flags, reference, &body);
        if !w.is_open(conn) {
            w.hang_up(conn);
            conns[which] = (user, w.login_quiet(user, 1 + rng.below(3) as u8));
        }
        w.take(conns[which].1);
        if rng.below(500) == 0 {
            w.advance(SECOND);
        }
    }
    assert!(w.is_open(witness));
    w.crash();
    for user in ["alice", "bob", "witness"] {
        w.login_quiet(user, 1);
    }
}
