//! Family group: the ops. Each checks everything before it changes anything.

use std::collections::BTreeMap;

use tidewire_codec::proto::{self, GroupChange, group_op::Op};
use tidewire_codec::{Code, Permissions};

use crate::core::Core;
use crate::group::Actor;
use crate::group_events::Announcement;
use crate::groups::{Group, POWERS, known_flags, known_permissions, may};
use crate::ids::{ConvKey, GroupId};
use crate::persist::Key;
use crate::refuse::{Handled, Refusal, check};
use crate::store::UserKey;

/// The group that an op was carried out on, and its revision after it.
pub(crate) type Applied = Result<(GroupId, u64), Refusal>;

pub(crate) fn denied() -> Refusal {
    Refusal::of(Code::PERMISSION_DENIED)
}

impl Core {
    //= spec/50-group.md#permissions
    //# [GRP-030] A change for which the asker's mask lacks the permission MUST be answered with ERROR
    //# PERMISSION_DENIED.
    pub(crate) fn apply_op(&mut self, actor: Actor, body: &proto::GroupOp, op: &Op) -> Applied {
        let id = GroupId(body.group);
        match op {
            Op::Create(create) => return self.create_group(actor, create),
            Op::Join(join) => return self.join_group(actor, id, join, body.if_rev),
            _ => {}
        }
        //= spec/50-group.md#operations
        //# [GRP-010] An op other than join on a group that does not exist MUST be answered with ERROR UNKNOWN_GROUP.
        let unknown = || Refusal::of(Code::UNKNOWN_GROUP);
        let group = self.groups.get(&id).ok_or_else(unknown)?;
        let mask = match actor.user {
            Some(user) => *group.members.get(&user).ok_or_else(unknown)?,
            None => Permissions::OWNER,
        };
        check_rev(group, body.if_rev)?;
        match op {
            Op::Update(update) => self.update_group(actor, id, mask, update),
            Op::Delete(_) => self.delete_group(actor, id, mask),
            Op::Add(add) => self.add_members(actor, id, mask, &add.members),
            Op::Remove(remove) => self.remove_members(actor, id, mask, &remove.users),
            Op::Leave(_) => self.leave_group(actor, id, mask),
            Op::SetPermissions(set) => self.set_permissions(actor, id, mask, set),
            Op::SetPin(set) => self.set_pin(actor, id, mask, set),
            Op::Create(_) | Op::Join(_) | Op::Get(_) => Err(Refusal::field("op")),
        }
    }

    //= spec/50-group.md#operations
    //# [GRP-001] To GROUP_OP create the server MUST answer GROUP_INFO with a new group id, rev 1 and the creator as
    //# OWNER.
    fn create_group(&mut self, actor: Actor, create: &proto::GroupCreate) -> Applied {
        let default = create
            .default_permissions
            .map_or(Permissions::DEFAULT, known_permissions);
        let mut members = BTreeMap::new();
        let mut concerned = Vec::new();
        let mut owner = actor.user;
        for member in &create.members {
            let user = self
                .users
                .find(&member.user)
                .ok_or_else(|| Refusal::of(Code::UNKNOWN_USER))?;
            let owner = *owner.get_or_insert(user);
            if user != owner && !members.contains_key(&user) {
                concerned.push(user);
                members.insert(user, member.permissions.map_or(default, known_permissions));
            }
        }
        let owner = owner.ok_or_else(|| Refusal::field("create.members"))?;
        members.insert(owner, Permissions::OWNER);
        self.check_member_count(members.len())?;
        for user in members.keys() {
            self.check_group_count(*user)?;
        }
        let id = self.new_group_id();
        let group = Group {
            id,
            rev: 1,
            name: create.name.clone(),
            info: create.info.to_vec(),
            flags: known_flags(create.flags),
            default_permissions: default,
            pin: None,
            members: BTreeMap::new(),
        };
        //= spec/50-group.md#operations
        //# [GRP-017] Groups, members, permissions and revisions MUST survive a restart.
        self.batch.put_group(&group);
        let (name, flags) = (group.name.clone(), group.flags.0);
        self.groups.insert(id, group);
        for (user, mask) in &members {
            self.enter_group(id, *user, *mask);
        }
        let mut what = Announcement::new(id, 1, GroupChange::Created, concerned);
        what.name = Some(name);
        what.flags = Some(flags);
        let readers: Vec<UserKey> = members.into_keys().collect();
        self.announce(actor, &readers, &what);
        Ok((id, 1))
    }

    fn new_group_id(&mut self) -> GroupId {
        loop {
            let id = GroupId(self.rng.next_id());
            // An id of a group that is gone must not come back either: its messages may still be in logs.
            if !self.groups.contains_key(&id) && !self.convs.contains_key(&ConvKey::Group(id)) {
                return id;
            }
        }
    }

    //= spec/50-group.md#operations
    //# [GRP-012] An update MUST leave the fields that it does not carry as they are.
    //= spec/50-group.md#permissions
    //# [GRP-031] update of name or info MUST need EDIT_INFO, ADMIN or OWNER, and of flags or default_permissions ADMIN
    //# or OWNER.
    fn update_group(
        &mut self,
        actor: Actor,
        id: GroupId,
        mask: Permissions,
        update: &proto::GroupUpdate,
    ) -> Applied {
        let words = update.name.is_some() || update.info.is_some();
        let rules = update.flags.is_some() || update.default_permissions.is_some();
        check(!words || may(mask, Permissions::EDIT_INFO), denied)?;
        check(!rules || mask.intersects(POWERS), denied)?;
        let Some(group) = self.groups.get_mut(&id) else {
            return Err(Refusal::of(Code::UNKNOWN_GROUP));
        };
        let flags = update.flags.map_or(group.flags, known_flags);
        let default = update
            .default_permissions
            .map_or(group.default_permissions, known_permissions);
        check(
            !touches_powers(group.default_permissions, default)
                || mask.contains(Permissions::OWNER),
            denied,
        )?;
        let name = update.name.as_ref().filter(|name| **name != group.name);
        let info = update.info.as_ref().filter(|info| **info != group.info);
        let new_flags = (flags != group.flags).then_some(flags.0);
        if name.is_none()
            && info.is_none()
            && new_flags.is_none()
            && default == group.default_permissions
        {
            return Ok((id, group.rev));
        }
        if let Some(name) = name {
            group.name.clone_from(name);
        }
        if let Some(info) = info {
            group.info = info.to_vec();
        }
        group.flags = flags;
        group.default_permissions = default;
        let rev = self.bump(id);
        let mut what = Announcement::new(id, rev, GroupChange::Updated, Vec::new());
        what.name = name.cloned();
        what.flags = new_flags;
        self.announce_to_members(actor, id, &what);
        Ok((id, rev))
    }

    //= spec/50-group.md#operations
    //# [GRP-015] After delete, ops other than join and SENDs to the group MUST be answered with ERROR UNKNOWN_GROUP,
    //# and its former members get GROUP_EVENT DELETED.
    //= spec/50-group.md#permissions
    //# [GRP-035] delete MUST need OWNER.
    fn delete_group(&mut self, actor: Actor, id: GroupId, mask: Permissions) -> Applied {
        check(mask.contains(Permissions::OWNER), denied)?;
        Ok((id, self.dissolve_group(actor, id)))
    }

    /// The group is gone; its former members learn it.
    pub(crate) fn dissolve_group(&mut self, actor: Actor, id: GroupId) -> u64 {
        let Some(group) = self.groups.remove(&id) else {
            return 0;
        };
        let rev = group.rev + 1;
        self.batch.remove(Key::Group(id));
        let members: Vec<UserKey> = group.members.into_keys().collect();
        for user in &members {
            self.batch.remove(Key::Member(id, *user));
            if let Some(user) = self.users.get_mut(*user) {
                user.groups.remove(&id);
            }
        }
        self.forget_conv(ConvKey::Group(id));
        self.announce(
            actor,
            &members,
            &Announcement::new(id, rev, GroupChange::Deleted, Vec::new()),
        );
        rev
    }

    //= spec/50-group.md#permissions
    //# [GRP-034] set_permissions and set_pin MUST need ADMIN or OWNER, and only an OWNER gives or takes ADMIN or OWNER,
    //# in whatever op.
    //= spec/50-group.md#permissions
    //# [GRP-039] A set_permissions for a user that is not a member MUST be answered with ERROR UNKNOWN_USER.
    fn set_permissions(
        &mut self,
        actor: Actor,
        id: GroupId,
        mask: Permissions,
        set: &proto::GroupSetPermissions,
    ) -> Applied {
        check(mask.intersects(POWERS), denied)?;
        let Some(group) = self.groups.get_mut(&id) else {
            return Err(Refusal::of(Code::UNKNOWN_GROUP));
        };
        let member = self
            .users
            .find(&set.user)
            .filter(|user| group.members.contains_key(user));
        let Some(member) = member else {
            return Err(Refusal::of(Code::UNKNOWN_USER));
        };
        let old = group.members.get(&member).copied().unwrap_or_default();
        let new = known_permissions(set.permissions);
        check(
            !touches_powers(old, new) || mask.contains(Permissions::OWNER),
            denied,
        )?;
        if old == new {
            return Ok((id, group.rev));
        }
        if !new.contains(Permissions::OWNER) {
            check_owner_stays(group, &[member])?;
        }
        group.members.insert(member, new);
        self.batch.put_member(id, member, new.0);
        let rev = self.bump(id);
        let mut what = Announcement::new(id, rev, GroupChange::Permissions, vec![member]);
        what.permissions = Some(new.0);
        self.announce_to_members(actor, id, &what);
        Ok((id, rev))
    }

    pub(crate) fn announce_to_members(&mut self, actor: Actor, id: GroupId, what: &Announcement) {
        let readers: Vec<UserKey> = self
            .groups
            .get(&id)
            .map_or_else(Vec::new, |group| group.members.keys().copied().collect());
        self.announce(actor, &readers, what);
    }

    /// The next revision.
    pub(crate) fn bump(&mut self, id: GroupId) -> u64 {
        let Some(group) = self.groups.get_mut(&id) else {
            return 0;
        };
        group.rev += 1;
        self.batch.put_group(group);
        group.rev
    }
}

//= spec/50-group.md#operations
//# [GRP-003] When if_rev is present and is not the group's rev, the server MUST answer ERROR REVISION_CONFLICT with the
//# rev in actual.
pub(crate) fn check_rev(group: &Group, if_rev: Option<u64>) -> Handled {
    check(if_rev.is_none_or(|rev| rev == group.rev), || {
        Refusal::of(Code::REVISION_CONFLICT).actual(group.rev)
    })
}

//= spec/50-group.md#permissions
//# [GRP-036] A change that would leave the group without an OWNER MUST be answered with ERROR LAST_OWNER.
pub(crate) fn check_owner_stays(group: &Group, leaving: &[UserKey]) -> Handled {
    let is_owner = |user: &&UserKey| {
        group
            .members
            .get(user)
            .is_some_and(|mask| mask.contains(Permissions::OWNER))
    };
    let owners_leaving = leaving.iter().filter(is_owner).count();
    check(
        owners_leaving == 0 || group.owners() > owners_leaving,
        || Refusal::of(Code::LAST_OWNER),
    )
}

/// True if the change gives or takes ADMIN or OWNER.
fn touches_powers(old: Permissions, new: Permissions) -> bool {
    old.difference(new)
        .union(new.difference(old))
        .intersects(POWERS)
}
