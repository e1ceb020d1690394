//! Family group: the ops. Each checks everything before it changes anything.

use std::collections::BTreeMap;

use tidewire_codec::proto::{self, GroupChange, group_op::Op};
use tidewire_codec::{Code, GroupFlags, Permissions};

use crate::core::Core;
use crate::group::Actor;
use crate::group_events::Announcement;
use crate::groups::{Group, POWERS, Pin, known_flags, known_permissions, may};
use crate::ids::{ConvKey, GroupId};
use crate::persist::Key;
use crate::refuse::{Handled, Refusal, check};
use crate::store::UserKey;

/// The group that an op was carried out on, and its revision after it.
type Applied = Result<(GroupId, u64), Refusal>;

fn denied() -> Refusal {
    Refusal::of(Code::PERMISSION_DENIED)
}

impl Core {
    //# [GRP-030]
    pub(crate) fn apply_op(&mut self, actor: Actor, body: &proto::GroupOp, op: &Op) -> Applied {
        let id = GroupId(body.group);
        match op {
            Op::Create(create) => return self.create_group(actor, create),
            Op::Join(join) => return self.join_group(actor, id, join, body.if_rev),
            _ => {}
        }
        //# [GRP-010]
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

    //# [GRP-001]
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
        //# [GRP-017]
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

    //# [GRP-012]
    //# [GRP-031]
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

    //# [GRP-015]
    //# [GRP-035]
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

    //# [GRP-013]
    //# [GRP-014]
    //# [GRP-032]
    fn add_members(
        &mut self,
        actor: Actor,
        id: GroupId,
        mask: Permissions,
        members: &[proto::GroupMember],
    ) -> Applied {
        check(may(mask, Permissions::INVITE), denied)?;
        let Some(group) = self.groups.get(&id) else {
            return Err(Refusal::of(Code::UNKNOWN_GROUP));
        };
        let mut added: BTreeMap<UserKey, Permissions> = BTreeMap::new();
        let mut concerned = Vec::new();
        for member in members {
            let user = self
                .users
                .find(&member.user)
                .ok_or_else(|| Refusal::of(Code::UNKNOWN_USER))?;
            let given = member
                .permissions
                .map_or(group.default_permissions, known_permissions);
            let beyond = given.difference(group.default_permissions);
            check(
                mask.intersects(POWERS) || beyond == Permissions::NONE,
                denied,
            )?;
            check(
                mask.contains(Permissions::OWNER) || !beyond.intersects(POWERS),
                denied,
            )?;
            if !group.members.contains_key(&user) && !added.contains_key(&user) {
                concerned.push(user);
                added.insert(user, given);
            }
        }
        if added.is_empty() {
            return Ok((id, group.rev));
        }
        //# [GRP-058]
        self.check_member_count(group.members.len() + added.len())?;
        for user in added.keys() {
            self.check_group_count(*user)?;
        }
        for (user, mask) in added {
            self.enter_group(id, user, mask);
        }
        //# [GRP-002]
        let rev = self.bump(id);
        let mut what = Announcement::new(id, rev, GroupChange::Added, concerned);
        what.newcomers = true;
        self.announce_to_members(actor, id, &what);
        Ok((id, rev))
    }

    //# [GRP-020]
    //# [GRP-033]
    fn remove_members(
        &mut self,
        actor: Actor,
        id: GroupId,
        mask: Permissions,
        names: &[String],
    ) -> Applied {
        check(may(mask, Permissions::REMOVE), denied)?;
        let Some(group) = self.groups.get(&id) else {
            return Err(Refusal::of(Code::UNKNOWN_GROUP));
        };
        let mut removed = Vec::new();
        for user in names.iter().filter_map(|name| self.users.find(name)) {
            let Some(theirs) = group.members.get(&user) else {
                continue;
            };
            check(
                mask.contains(Permissions::OWNER) || !theirs.intersects(POWERS),
                denied,
            )?;
            if !removed.contains(&user) {
                removed.push(user);
            }
        }
        if removed.is_empty() {
            return Ok((id, group.rev));
        }
        check_owner_stays(group, &removed)?;
        let rev = self.remove_from_group(actor, id, removed, GroupChange::Removed);
        Ok((id, rev))
    }

    //# [GRP-044]
    //# [GRP-045]
    fn leave_group(&mut self, actor: Actor, id: GroupId, mask: Permissions) -> Applied {
        let Some(user) = actor.user else {
            return Err(Refusal::field("op"));
        };
        let Some(group) = self.groups.get(&id) else {
            return Err(Refusal::of(Code::UNKNOWN_GROUP));
        };
        let kept = group.flags.contains(GroupFlags::NO_SELF_LEAVE) && !mask.intersects(POWERS);
        check(!kept, denied)?;
        check_owner_stays(group, &[user])?;
        let rev = self.remove_from_group(actor, id, vec![user], GroupChange::Left);
        Ok((id, rev))
    }

    /// Ends memberships; those who are gone learn it too, and nothing after it.
    pub(crate) fn remove_from_group(
        &mut self,
        actor: Actor,
        id: GroupId,
        removed: Vec<UserKey>,
        change: GroupChange,
    ) -> u64 {
        let Some(group) = self.groups.get_mut(&id) else {
            return 0;
        };
        let readers: Vec<UserKey> = group.members.keys().copied().collect();
        for user in &removed {
            group.members.remove(user);
            self.batch.remove(Key::Member(id, *user));
            if let Some(user) = self.users.get_mut(*user) {
                user.groups.remove(&id);
            }
        }
        let rev = self.bump(id);
        self.announce(
            actor,
            &readers,
            &Announcement::new(id, rev, change, removed),
        );
        rev
    }

    //# [GRP-034]
    //# [GRP-039]
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

    fn set_pin(
        &mut self,
        actor: Actor,
        id: GroupId,
        mask: Permissions,
        set: &proto::GroupSetPin,
    ) -> Applied {
        check(mask.intersects(POWERS), denied)?;
        let permissions = known_permissions(set.permissions);
        check(
            mask.contains(Permissions::OWNER) || !permissions.intersects(POWERS),
            denied,
        )?;
        let expires = self.now;
        let Some(group) = self.groups.get_mut(&id) else {
            return Err(Refusal::of(Code::UNKNOWN_GROUP));
        };
        group.pin = (!set.pin.is_empty()).then(|| Pin {
            pin: set.pin.clone(),
            permissions,
            expires: set.ttl_ms.map(|ttl| expires.plus(ttl)),
            uses: set.uses,
        });
        let rev = self.bump(id);
        self.announce_to_members(
            actor,
            id,
            &Announcement::new(id, rev, GroupChange::Updated, Vec::new()),
        );
        Ok((id, rev))
    }

    //# [GRP-040]
    //# [GRP-041]
    fn join_group(
        &mut self,
        actor: Actor,
        id: GroupId,
        join: &proto::GroupJoin,
        if_rev: Option<u64>,
    ) -> Applied {
        let Some(user) = actor.user else {
            return Err(Refusal::field("op"));
        };
        //# [GRP-047]
        if let Some(group) = self.groups.get(&id)
            && group.members.contains_key(&user)
        {
            return Ok((id, group.rev));
        }
        let now = self.now;
        if let Some(wait) = self.pin_tries.wait_ms(user, id, now) {
            return Err(
                Refusal::of(Code::RATE_LIMITED).retry(wait.clamp(1, u64::from(u32::MAX)) as u32)
            );
        }
        //# [GRP-042]
        //# [GRP-043]
        let valid = |pin: &&mut Pin| {
            pin.pin == join.pin
                && pin.expires.is_none_or(|expires| now < expires)
                && pin.uses != Some(0)
        };
        let pin = self
            .groups
            .get_mut(&id)
            .and_then(|group| group.pin.as_mut())
            .filter(valid);
        let Some(mask) = pin.map(|pin| pin.permissions) else {
            self.pin_tries.wrong(user, id, now);
            return Err(Refusal::of(Code::BAD_PIN));
        };
        let Some(group) = self.groups.get(&id) else {
            return Err(Refusal::of(Code::BAD_PIN));
        };
        check_rev(group, if_rev)?;
        self.check_member_count(group.members.len() + 1)?;
        self.check_group_count(user)?;
        if let Some(pin) = self
            .groups
            .get_mut(&id)
            .and_then(|group| group.pin.as_mut())
        {
            pin.uses = pin.uses.map(|uses| uses - 1);
        }
        self.enter_group(id, user, mask);
        let rev = self.bump(id);
        let mut what = Announcement::new(id, rev, GroupChange::Joined, vec![user]);
        what.newcomers = true;
        self.announce_to_members(actor, id, &what);
        Ok((id, rev))
    }

    fn announce_to_members(&mut self, actor: Actor, id: GroupId, what: &Announcement) {
        let readers: Vec<UserKey> = self
            .groups
            .get(&id)
            .map_or_else(Vec::new, |group| group.members.keys().copied().collect());
        self.announce(actor, &readers, what);
    }

    fn enter_group(&mut self, id: GroupId, user: UserKey, mask: Permissions) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.members.insert(user, mask);
        }
        if let Some(user) = self.users.get_mut(user) {
            user.groups.insert(id);
        }
        self.batch.put_member(id, user, mask.0);
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

    fn check_member_count(&self, count: usize) -> Handled {
        let limit = self.cfg.max_group_members;
        check(count <= limit, || {
            Refusal::of(Code::GROUP_FULL).bound(limit as u64, count as u64)
        })
    }

    fn check_group_count(&self, user: UserKey) -> Handled {
        let limit = self.cfg.max_groups_per_user;
        let count = self.users.get(user).map_or(0, |user| user.groups.len()) + 1;
        check(count <= limit, || {
            Refusal::of(Code::TOO_MANY_GROUPS).bound(limit as u64, count as u64)
        })
    }
}

//# [GRP-003]
fn check_rev(group: &Group, if_rev: Option<u64>) -> Handled {
    check(if_rev.is_none_or(|rev| rev == group.rev), || {
        Refusal::of(Code::REVISION_CONFLICT).actual(group.rev)
    })
}

//# [GRP-036]
fn check_owner_stays(group: &Group, leaving: &[UserKey]) -> Handled {
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
