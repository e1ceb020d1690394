//! Groups as they are kept: members, masks, PIN.

use std::collections::BTreeMap;

use tidewire_codec::{GroupFlags, Permissions};

use crate::api::Millis;
use crate::ids::{DeviceUid, GroupId, IdemKey};
use crate::store::UserKey;

/// The PIN that lets users join.
#[derive(Clone, Debug)]
pub(crate) struct Pin {
    pub(crate) pin: String,
    pub(crate) permissions: Permissions,
    /// Absent: it does not expire.
    pub(crate) expires: Option<Millis>,
    /// Absent: any number of joins.
    pub(crate) uses: Option<u32>,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) rev: u64,
    pub(crate) name: String,
    pub(crate) info: Vec<u8>,
    pub(crate) flags: GroupFlags,
    pub(crate) default_permissions: Permissions,
    pub(crate) pin: Option<Pin>,
    pub(crate) members: BTreeMap<UserKey, Permissions>,
}

/// What ADMIN and OWNER have without being told.
pub(crate) const POWERS: Permissions = Permissions::ADMIN.union(Permissions::OWNER);

/// True if the mask has one of the bits, or ADMIN or OWNER, who may do all that members may.
pub(crate) fn may(mask: Permissions, one_of: Permissions) -> bool {
    mask.intersects(one_of.union(POWERS))
}

/// Every bit that is defined; others are not kept, for a later version may give them a meaning.
pub(crate) fn known_permissions(bits: u32) -> Permissions {
    let mask = Permissions(bits);
    mask.difference(mask.unknown())
}

/// As [`known_permissions`], for flags.
pub(crate) fn known_flags(bits: u32) -> GroupFlags {
    let flags = GroupFlags(bits);
    flags.difference(flags.unknown())
}

impl Group {
    pub(crate) fn owners(&self) -> usize {
        self.members
            .values()
            .filter(|mask| mask.contains(Permissions::OWNER))
            .count()
    }

    /// Members that receive, sorted.
    pub(crate) fn receivers(&self) -> Vec<UserKey> {
        let receiving = self
            .members
            .iter()
            .filter(|(_, mask)| may(**mask, Permissions::RECV));
        receiving.map(|(user, _)| *user).collect()
    }
}

/// A GROUP_OP that was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AcceptedOp {
    pub(crate) at: Millis,
    pub(crate) device: DeviceUid,
    pub(crate) key: IdemKey,
    /// Of the decoded fields.
    pub(crate) digest: u128,
    pub(crate) group: GroupId,
    /// The revision after it.
    pub(crate) rev: u64,
}
