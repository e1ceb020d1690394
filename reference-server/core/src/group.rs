//! Family group: GROUP_OP and GROUP_LIST up to the point where an op is carried out.

use prost::Message;
use tidewire_codec::limits::{
    GROUP_PAGE_LIMIT, IDEM_LEN, MAX_GROUP_INFO, MAX_GROUP_NAME, MAX_PIN, MIN_PIN,
};
use tidewire_codec::proto::{self, group_op::Op};
use tidewire_codec::{Code, FrameType};

use crate::api::ConnId;
use crate::core::{Core, SWEEP_INTERVAL_MS};
use crate::groups::AcceptedOp;
use crate::idem::op_digest;
use crate::ids::{DeviceUid, GroupId, IdemKey};
use crate::journal::Record;
use crate::refuse::{Handled, Refusal, check};
use crate::store::UserKey;

/// Who does something to a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    /// Absent: the operator.
    pub(crate) user: Option<UserKey>,
    pub(crate) device: DeviceUid,
}

impl Actor {
    pub(crate) const OPERATOR: Actor = Actor {
        user: None,
        device: DeviceUid::NONE,
    };
}

impl Core {
    pub(crate) fn on_group_op(
        &mut self,
        conn: ConnId,
        reference: u32,
        body: proto::GroupOp,
    ) -> Handled {
        let Some((user, device)) = self.who(conn) else {
            return Ok(());
        };
        //= spec/50-group.md#operations
        //# [GRP-004] A GROUP_OP other than get whose idem is not 16 bytes MUST be answered with ERROR INVALID_FIELD for
        //# idem.
        let with_key = !matches!(body.op, Some(Op::Get(_)));
        check_group(&body)?;
        let key = IdemKey::try_from(&body.idem[..]);
        check(!with_key || key.is_ok(), || {
            Refusal::field("idem").bound(IDEM_LEN as u64, body.idem.len() as u64)
        })?;
        let op = check_op(&body)?;
        //= spec/50-group.md#operations
        //# [GRP-016] get MUST be answered with GROUP_INFO of the group as it is, and change nothing.
        if let Op::Get(_) = op {
            let info = self.get_group(user, GroupId(body.group))?;
            self.reply_info(conn, reference, info);
            return Ok(());
        }
        let key = key.map_err(|_| Refusal::field("idem"))?;
        let digest = op_digest(&body);
        //= spec/50-group.md#operations
        //# [GRP-005] A GROUP_OP whose key was accepted before with the same decoded fields MUST be answered with
        //# GROUP_INFO with duplicate true and have no effect.
        if let Some(done) = self.ops.get(&(device, key)).copied() {
            //= spec/50-group.md#operations
            //# [GRP-006] A GROUP_OP whose key was accepted before with other fields MUST be answered with ERROR
            //# IDEM_CONFLICT.
            check(done.digest == digest, || Refusal::of(Code::IDEM_CONFLICT))?;
            let info = proto::GroupInfo {
                duplicate: true,
                ..self.info_or_rest(user, done.group, done.rev)
            };
            self.reply_info(conn, reference, info);
            return Ok(());
        }
        self.check_op_room(user, device)?;
        let actor = Actor {
            user: Some(user),
            device,
        };
        let (group, rev) = self.apply_op(actor, &body, op)?;
        let done = AcceptedOp {
            at: self.now,
            device,
            key,
            digest,
            group,
            rev,
        };
        self.note(&Record::GroupOp(done));
        self.remember_op(done);
        let info = self.info_or_rest(user, group, rev);
        self.reply_info(conn, reference, info);
        Ok(())
    }

    /// Remembers the key of an op, in memory.
    pub(crate) fn remember_op(&mut self, done: AcceptedOp) {
        self.ops.insert((done.device, done.key), done);
        self.op_window.push_back((done.at, done.device, done.key));
    }

    fn check_op_room(&self, user: UserKey, device: DeviceUid) -> Handled {
        let keys = self
            .users
            .get(user)
            .and_then(|user| user.device(device))
            .map_or(0, |device| device.keys);
        let limit = self.cfg.max_idem_per_device;
        check(keys < limit, || {
            let refusal =
                Refusal::of(Code::RATE_LIMITED).bound(u64::from(limit), u64::from(keys) + 1);
            refusal.retry(SWEEP_INTERVAL_MS as u32)
        })?;
        check(!self.store_full, Refusal::store_full)
    }

    //= spec/04-security.md#security
    //# [SEC-007] To a non-member the server MUST answer every op on an existing group but join as it answers one on a
    //# group that does not exist.
    fn get_group(&self, user: UserKey, id: GroupId) -> Result<proto::GroupInfo, Refusal> {
        let unknown = || Refusal::of(Code::UNKNOWN_GROUP);
        let group = self.groups.get(&id).ok_or_else(unknown)?;
        check(group.members.contains_key(&user), unknown)?;
        Ok(self.group_info(group, Some(user), true))
    }

    /// What the asker sees of a group, or id and revision if it is none of its members any more.
    fn info_or_rest(&self, user: UserKey, id: GroupId, rev: u64) -> proto::GroupInfo {
        self.get_group(user, id).unwrap_or(proto::GroupInfo {
            group: id.0,
            rev,
            ..proto::GroupInfo::default()
        })
    }

    /// Answers GROUP_INFO with as many members as the client has room for.
    fn reply_info(&mut self, conn: ConnId, reference: u32, mut info: proto::GroupInfo) {
        let room = self
            .session(conn)
            .map_or(0, |session| session.max_frame as usize);
        while info.encoded_len() > room && info.members.pop().is_some() {}
        self.reply(conn, FrameType::GROUP_INFO, reference, &info);
    }

    //= spec/50-group.md#operations
    //# [GRP-018] To GROUP_LIST the server MUST answer GROUP_PAGE with the asker's groups with ids above after_group,
    //# rising, and more true exactly when there are further ones.
    pub(crate) fn on_group_list(
        &mut self,
        conn: ConnId,
        reference: u32,
        list: &proto::GroupList,
    ) -> Handled {
        //= spec/50-group.md#operations
        //# [GRP-019] GROUP_LIST with a limit of 0 or above 100 MUST be answered with ERROR INVALID_FIELD for limit.
        let limit = list.limit.map_or(GROUP_PAGE_LIMIT, |limit| limit as usize);
        check(limit > 0, || Refusal::field("limit").bound(1, 0))?;
        check(limit <= GROUP_PAGE_LIMIT, || {
            Refusal::field("limit").bound(GROUP_PAGE_LIMIT as u64, limit as u64)
        })?;
        let Some(user) = self.user_of(conn) else {
            return Ok(());
        };
        let room = self
            .session(conn)
            .map_or(0, |session| session.max_frame as usize);
        let mut page = proto::GroupPage::default();
        // The field `more`, and the key and length of each group.
        let mut len = 2;
        for id in user
            .groups
            .range(GroupId(list.after_group.saturating_add(1))..)
        {
            let Some(group) = self.groups.get(id) else {
                continue;
            };
            let info = self.group_info(group, Some(user.key), false);
            len += info.encoded_len() + 6;
            if page.groups.len() >= limit || len > room {
                page.more = true;
                break;
            }
            page.groups.push(info);
        }
        if list.after_group == u64::MAX {
            page = proto::GroupPage::default();
        }
        self.reply(conn, FrameType::GROUP_PAGE, reference, &page);
        Ok(())
    }
}

//= spec/50-group.md#operations
//# [GRP-009] A GROUP_OP without an op, or create with a group or another op without one, MUST be answered with ERROR
//# INVALID_FIELD for op or group.
/// Field 1: absent only in create.
pub(crate) fn check_group(body: &proto::GroupOp) -> Handled {
    match &body.op {
        Some(Op::Create(_)) => check(body.group == 0, || Refusal::field("group")),
        Some(_) => check(body.group != 0, || Refusal::field("group")),
        None => Ok(()),
    }
}

/// The op and the bounds of its fields.
pub(crate) fn check_op(body: &proto::GroupOp) -> Result<&Op, Refusal> {
    let op = body.op.as_ref().ok_or_else(|| Refusal::field("op"))?;
    match op {
        Op::Create(create) => {
            check_name("create.name", &create.name)?;
            check_info("create.info", &create.info)?;
        }
        Op::Update(update) => {
            if let Some(name) = &update.name {
                check_name("update.name", name)?;
            }
            if let Some(info) = &update.info {
                check_info("update.info", info)?;
            }
        }
        Op::Join(join) => check_pin("join.pin", &join.pin)?,
        Op::SetPin(set) => check_pin("set_pin.pin", &set.pin)?,
        _ => {}
    }
    Ok(op)
}

//= spec/50-group.md#operations
//# [GRP-011] A group name that is empty or longer than 128 bytes, or an info longer than 4,096 bytes, MUST be answered
//# with ERROR INVALID_FIELD for name or info.
fn check_name(field: &str, name: &str) -> Handled {
    check(!name.is_empty(), || Refusal::field(field).bound(1, 0))?;
    check(name.len() <= MAX_GROUP_NAME, || {
        Refusal::field(field).bound(MAX_GROUP_NAME as u64, name.len() as u64)
    })
}

fn check_info(field: &str, info: &[u8]) -> Handled {
    check(info.len() <= MAX_GROUP_INFO, || {
        Refusal::field(field).bound(MAX_GROUP_INFO as u64, info.len() as u64)
    })
}

//= spec/50-group.md#joining-and-leaving
//# [GRP-046] A PIN whose length is neither 0 nor 4 to 32 bytes MUST be answered with ERROR INVALID_FIELD for pin.
fn check_pin(field: &str, pin: &str) -> Handled {
    let len = pin.len();
    check(len == 0 || len >= MIN_PIN, || {
        Refusal::field(field).bound(MIN_PIN as u64, len as u64)
    })?;
    check(len <= MAX_PIN, || {
        Refusal::field(field).bound(MAX_PIN as u64, len as u64)
    })
}
