//! Family group: who becomes a member and who ceases to be one; the PIN.

use std::collections::BTreeMap;

use tidewire_codec::proto::{self, GroupChange};
use tidewire_codec::{Code, GroupFlags, Permissions};

use crate::core::Core;
use crate::group::Actor;
use crate::group_events::Announcement;
use crate::group_ops::{Applied, check_owner_stays, check_rev, denied};
use crate::groups::{POWERS, Pin, known_permissions, may};
use crate::ids::GroupId;
use crate::persist::Key;
use crate::refuse::{Handled, Refusal, check};
use crate::store::UserKey;

impl Core {
    //= spec/50-group.md#operations
    //# [GRP-013] A create or add that names a user that does not exist MUST be answered with ERROR UNKNOWN_USER and
    //# have no effect.
    //= spec/50-group.md#operations
    //# [GRP-014] Adding a user that is a member already MUST change nothing for it, and an add that changes nothing
    //# leaves rev as it is.
    //= spec/50-group.md#permissions
    //# [GRP-032] add MUST need INVITE, ADMIN or OWNER, and INVITE alone gives no more than the default mask.
    pub(crate) fn add_members(
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
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-058] A create, add or join that would give a group more than 5,000 members MUST be answered with ERROR
        //# GROUP_FULL.
        self.check_member_count(group.members.len() + added.len())?;
        for user in added.keys() {
            self.check_group_count(*user)?;
        }
        for (user, mask) in added {
            self.enter_group(id, user, mask);
        }
        //= spec/50-group.md#operations
        //# [GRP-002] Each successful change MUST raise rev by 1.
        let rev = self.bump(id);
        let mut what = Announcement::new(id, rev, GroupChange::Added, concerned);
        what.newcomers = true;
        self.announce_to_members(actor, id, &what);
        Ok((id, rev))
    }

    //= spec/50-group.md#operations
    //# [GRP-020] Removing a user that is not a member MUST change nothing, and a remove that changes nothing leaves rev
    //# as it is.
    //= spec/50-group.md#permissions
    //# [GRP-033] remove MUST need REMOVE, ADMIN or OWNER, and only an OWNER removes an ADMIN or OWNER.
    pub(crate) fn remove_members(
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

    //= spec/50-group.md#joining-and-leaving
    //# [GRP-044] leave MUST end the membership of the asker.
    //= spec/50-group.md#joining-and-leaving
    //# [GRP-045] In a group with NO_SELF_LEAVE, leave by a member without ADMIN or OWNER MUST be answered with ERROR
    //# PERMISSION_DENIED.
    pub(crate) fn leave_group(&mut self, actor: Actor, id: GroupId, mask: Permissions) -> Applied {
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

    pub(crate) fn set_pin(
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

    //= spec/50-group.md#joining-and-leaving
    //# [GRP-040] join with the group's PIN MUST make the asker a member with the PIN's permissions.
    //= spec/50-group.md#joining-and-leaving
    //# [GRP-041] join with a wrong PIN, to a group that does not exist, or where no PIN is set, MUST be answered with
    //# ERROR BAD_PIN.
    pub(crate) fn join_group(
        &mut self,
        actor: Actor,
        id: GroupId,
        join: &proto::GroupJoin,
        if_rev: Option<u64>,
    ) -> Applied {
        let Some(user) = actor.user else {
            return Err(Refusal::field("op"));
        };
        //= spec/50-group.md#joining-and-leaving
        //# [GRP-047] join by a user that is a member already MUST be answered with GROUP_INFO and change nothing.
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
        //= spec/50-group.md#joining-and-leaving
        //# [GRP-042] join after the PIN's ttl MUST be answered with ERROR BAD_PIN.
        //= spec/50-group.md#joining-and-leaving
        //# [GRP-043] join after the PIN was used as often as its uses say MUST be answered with ERROR BAD_PIN.
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

    pub(crate) fn enter_group(&mut self, id: GroupId, user: UserKey, mask: Permissions) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.members.insert(user, mask);
        }
        if let Some(user) = self.users.get_mut(user) {
            user.groups.insert(id);
        }
        self.batch.put_member(id, user, mask.0);
    }

    pub(crate) fn check_member_count(&self, count: usize) -> Handled {
        let limit = self.cfg.max_group_members;
        check(count <= limit, || {
            Refusal::of(Code::GROUP_FULL).bound(limit as u64, count as u64)
        })
    }

    //= spec/50-group.md#messages-to-a-group
    //# [GRP-061] A create, add or join that would put a user into more than 1,000 groups MUST be answered with ERROR
    //# TOO_MANY_GROUPS.
    pub(crate) fn check_group_count(&self, user: UserKey) -> Handled {
        let limit = self.cfg.max_groups_per_user;
        let count = self.users.get(user).map_or(0, |user| user.groups.len()) + 1;
        check(count <= limit, || {
            Refusal::of(Code::TOO_MANY_GROUPS).bound(limit as u64, count as u64)
        })
    }
}
