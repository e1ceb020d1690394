//! Family group: what members learn of changes, and GROUP_INFO.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message;
use tidewire_codec::Permissions;
use tidewire_codec::limits::{GROUP_INFO_MEMBERS, MAX_FRAME_FLOOR};
use tidewire_codec::proto::{self, GroupChange};

use crate::core::Core;
use crate::entry::EntryKind;
use crate::group::Actor;
use crate::groups::{Group, may};
use crate::ids::{DeviceUid, GroupId};
use crate::store::{Body, UserKey};

/// A GROUP_EVENT takes at most so many bytes without its place in a log, so that it fits into the smallest frame that a
/// client may announce: three fields of one byte for the key and ten for the number go before it.
const MAX_EVENT_BYTES: usize = MAX_FRAME_FLOOR as usize - 3 * 11;

/// A change to announce.
#[derive(Clone, Debug)]
pub(crate) struct Announcement {
    pub(crate) group: GroupId,
    pub(crate) rev: u64,
    pub(crate) change: GroupChange,
    /// Whom it concerns.
    pub(crate) users: Vec<UserKey>,
    /// For every reader.
    pub(crate) name: Option<String>,
    pub(crate) flags: Option<u32>,
    pub(crate) permissions: Option<u32>,
    /// Concerned readers are new: they learn the name, the flags and their mask.
    pub(crate) newcomers: bool,
}

impl Announcement {
    pub(crate) fn new(
        group: GroupId,
        rev: u64,
        change: GroupChange,
        users: Vec<UserKey>,
    ) -> Announcement {
        Announcement {
            group,
            rev,
            change,
            users,
            name: None,
            flags: None,
            permissions: None,
            newcomers: false,
        }
    }
}

impl Core {
    //= spec/50-group.md#operations
    //# [GRP-007] Each change MUST give every member a GROUP_EVENT with the change, who made it, whom it concerns and
    //# the new rev, except the device that made it.
    //= spec/50-group.md#operations
    //# [GRP-008] A user that is removed or leaves MUST get the GROUP_EVENT of it and no later one.
    /// Appends a GROUP_EVENT to the log of each reader; the device that made the change does not see it.
    pub(crate) fn announce(&mut self, actor: Actor, readers: &[UserKey], what: &Announcement) {
        let mut plain: Option<Vec<Bytes>> = None;
        let mut for_newcomers: BTreeMap<u32, Vec<Bytes>> = BTreeMap::new();
        for reader in readers {
            let own = actor.user == Some(*reader);
            if own
                && !self
                    .users
                    .get(*reader)
                    .is_some_and(|user| user.has_other_device(actor.device))
            {
                continue;
            }
            let tails = if what.newcomers && what.users.contains(reader) {
                let mask = self
                    .groups
                    .get(&what.group)
                    .and_then(|group| group.members.get(reader))
                    .map_or(0, |mask| mask.0);
                for_newcomers
                    .entry(mask)
                    .or_insert_with(|| self.event_tails(actor, what, Some(mask)))
                    .clone()
            } else {
                plain
                    .get_or_insert_with(|| self.event_tails(actor, what, None))
                    .clone()
            };
            let origin = if own { actor.device } else { DeviceUid::NONE };
            for tail in tails {
                self.append(
                    *reader,
                    origin,
                    EntryKind::GroupEvent,
                    &tail,
                    Body::Inline(tail.clone()),
                );
            }
        }
    }

    fn event_tails(&self, actor: Actor, what: &Announcement, newcomer: Option<u32>) -> Vec<Bytes> {
        let name = |user| {
            self.users
                .name(user)
                .map_or_else(String::new, |name| name.to_string())
        };
        let mut event = proto::GroupEvent {
            group: what.group.0,
            rev: what.rev,
            change: what.change.into(),
            by: actor.user.map_or_else(String::new, name),
            name: what.name.clone(),
            flags: what.flags,
            permissions: what.permissions,
            ..proto::GroupEvent::default()
        };
        if let (Some(mask), Some(group)) = (newcomer, self.groups.get(&what.group)) {
            event.name = Some(group.name.clone());
            event.flags = Some(group.flags.0);
            event.permissions = Some(mask);
        }
        //= spec/50-group.md#operations
        //# [GRP-021] A change that concerns more users than fit into one GROUP_EVENT of 16,384 bytes MUST be told in
        //# several GROUP_EVENTs of the same rev, each user in one of them.
        let mut tails = Vec::new();
        let empty = event.encoded_len();
        let mut len = empty;
        for user in &what.users {
            let user = name(*user);
            // Key and length take a byte each, as names are shorter than 128 bytes.
            let more = user.len() + 2;
            if len + more > MAX_EVENT_BYTES {
                tails.push(event.encode_to_vec().into());
                event.users.clear();
                len = empty;
            }
            len += more;
            event.users.push(user);
        }
        tails.push(event.encode_to_vec().into());
        tails
    }

    //= spec/50-group.md#permissions
    //# [GRP-037] GROUP_INFO MUST list the members only to those with LIST, ADMIN or OWNER.
    //= spec/50-group.md#permissions
    //# [GRP-038] GROUP_INFO MUST say the asker's own mask in my_permissions.
    /// What the asker may see of a group; the operator sees all.
    pub(crate) fn group_info(
        &self,
        group: &Group,
        asker: Option<UserKey>,
        with_members: bool,
    ) -> proto::GroupInfo {
        let mask = asker
            .and_then(|asker| group.members.get(&asker))
            .copied()
            .unwrap_or_default();
        let lists = asker.is_none() || may(mask, Permissions::LIST);
        let mut members = Vec::new();
        if with_members && lists {
            for (member, mask) in &group.members {
                if let Some(name) = self.users.name(*member) {
                    members.push(proto::GroupMember {
                        user: name.to_string(),
                        permissions: Some(mask.0),
                    });
                }
            }
            members.sort_unstable_by(|a, b| a.user.cmp(&b.user));
            members.truncate(GROUP_INFO_MEMBERS);
        }
        proto::GroupInfo {
            group: group.id.0,
            rev: group.rev,
            name: group.name.clone(),
            flags: group.flags.0,
            default_permissions: group.default_permissions.0,
            my_permissions: mask.0,
            member_count: group.members.len() as u32,
            members,
            info: group.info.clone().into(),
            duplicate: false,
        }
    }
}
