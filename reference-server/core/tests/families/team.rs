//! A group to play with, and ops for it.

#![allow(unreachable_pub, reason = "a test has no outside")]

use tidewire_codec::proto::{self, GroupChange, group_op::Op};
use tidewire_codec::{Code, Frame, GroupFlags, Permissions};
use tidewire_core::api::ConnId;

use crate::world::{World, create, op};

pub fn bits(permissions: &[Permissions]) -> u32 {
    permissions
        .iter()
        .fold(0, |mask, permission| mask | permission.0)
}

pub fn update(update: proto::GroupUpdate) -> Op {
    Op::Update(update)
}

pub fn flags(flags: GroupFlags) -> Op {
    update(proto::GroupUpdate {
        flags: Some(flags.0),
        ..Default::default()
    })
}

pub fn add(members: &[proto::GroupMember]) -> Op {
    Op::Add(proto::GroupAdd {
        members: members.to_vec(),
    })
}

pub fn remove(users: &[&str]) -> Op {
    Op::Remove(proto::GroupRemove {
        users: users.iter().map(|user| (*user).to_owned()).collect(),
    })
}

pub fn permit(user: &str, permissions: &[Permissions]) -> Op {
    Op::SetPermissions(proto::GroupSetPermissions {
        user: user.into(),
        permissions: bits(permissions),
    })
}

pub fn pin(pin: &str, ttl_ms: Option<u64>, uses: Option<u32>) -> Op {
    let permissions = bits(&[Permissions::SEND, Permissions::RECV]);
    Op::SetPin(proto::GroupSetPin {
        pin: pin.into(),
        permissions,
        ttl_ms,
        uses,
    })
}

pub fn join(pin: &str) -> Op {
    Op::Join(proto::GroupJoin { pin: pin.into() })
}

pub fn leave() -> Op {
    Op::Leave(proto::GroupLeave {})
}

pub fn events(frames: &[Frame]) -> Vec<proto::GroupEvent> {
    let event = |frame: &Frame| match frame {
        Frame::GroupEvent(event) => Some(event.clone()),
        _ => None,
    };
    frames.iter().filter_map(event).collect()
}

/// A group of alice (OWNER), bob and carol, everybody logged in and nothing on the wire.
pub struct Team {
    pub w: World,
    pub alice: ConnId,
    pub bob: ConnId,
    pub carol: ConnId,
    pub id: u64,
}

impl Team {
    pub fn new() -> Team {
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
    pub fn change(&mut self, conn: ConnId, change: Op) -> proto::GroupInfo {
        self.w.info(conn, op(self.id, change))
    }

    #[track_caller]
    pub fn refused(&mut self, conn: ConnId, change: Op, code: Code) -> proto::Error {
        self.w.refused(conn, op(self.id, change), code)
    }

    /// What each of the three was sent since the last look.
    pub fn heard(&mut self) -> [Vec<(GroupChange, Vec<String>)>; 3] {
        [self.alice, self.bob, self.carol].map(|conn| {
            let events = events(&self.w.take(conn));
            events
                .into_iter()
                .map(|event| (event.change(), event.users))
                .collect()
        })
    }
}
