//! Family send: where a message goes, and whether there is room for it.

use std::sync::Arc;

use tidewire_codec::proto::Delivery;
use tidewire_codec::view::{SendView, TargetView};
use tidewire_codec::{Code, GroupFlags, Permissions};

use crate::core::Core;
use crate::groups::may;
use crate::ids::{ConvKey, DeviceUid, GroupId};
use crate::msgs::Recipients;
use crate::refuse::{Handled, Refusal, check};
use crate::store::UserKey;

/// Where a message goes.
pub(crate) struct Route {
    pub(crate) conv: ConvKey,
    /// Revision of the group; 0 in a conversation of two.
    pub(crate) rev: u64,
    pub(crate) recipients: Recipients,
    pub(crate) online: bool,
    pub(crate) loopback: bool,
}

impl Core {
    pub(crate) fn route(&mut self, sender: UserKey, send: &SendView<'_>) -> Result<Route, Refusal> {
        let online = send.delivery() == Delivery::OnlineOnly;
        match send.target {
            Some(TargetView::Group(id)) => self.route_to_group(sender, GroupId(id), online),
            Some(TargetView::User(name)) => {
                //= spec/30-send.md#send-1
                //# [SND-011] A SEND to a user that does not exist MUST be answered with ERROR UNKNOWN_USER.
                let to = self
                    .users
                    .find(name)
                    .ok_or_else(|| Refusal::of(Code::UNKNOWN_USER))?;
                let conv = ConvKey::direct(sender, to);
                Ok(Route {
                    conv,
                    rev: 0,
                    recipients: Recipients::One(to),
                    online,
                    loopback: false,
                })
            }
            None => Err(Refusal::field("target")),
        }
    }

    fn route_to_group(
        &mut self,
        sender: UserKey,
        id: GroupId,
        online: bool,
    ) -> Result<Route, Refusal> {
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-051] A SEND to a group that does not exist or of which the sender is not a member MUST be answered with
        //# ERROR UNKNOWN_GROUP.
        let unknown = || Refusal::of(Code::UNKNOWN_GROUP);
        let group = self.groups.get(&id).ok_or_else(unknown)?;
        let mask = *group.members.get(&sender).ok_or_else(unknown)?;
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-052] A SEND by a member without SEND, ADMIN or OWNER MUST be answered with ERROR PERMISSION_DENIED,
        //# unless the group has ANYONE_MAY_SEND.
        let open = group.flags.contains(GroupFlags::ANYONE_MAY_SEND);
        check(open || may(mask, Permissions::SEND), || {
            Refusal::of(Code::PERMISSION_DENIED)
        })?;
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-053] A SEND to a group with PAUSED by a member without MODERATE, ADMIN or OWNER MUST be answered with
        //# ERROR GROUP_PAUSED.
        let paused = group.flags.contains(GroupFlags::PAUSED);
        check(!paused || may(mask, Permissions::MODERATE), || {
            Refusal::of(Code::GROUP_PAUSED)
        })?;
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-056] In a group with NO_STORE every SEND MUST be treated as ONLINE_ONLY.
        let online = online || group.flags.contains(GroupFlags::NO_STORE);
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-057] In a group with LOOPBACK the sending device MUST get its own message as an entry too.
        let loopback = group.flags.contains(GroupFlags::LOOPBACK);
        let rev = group.rev;
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-050] A SEND to a group MUST reach every member that has RECV, ADMIN or OWNER at acceptance, except the
        //# sending device outside of LOOPBACK.
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-054] A member that joined later MUST NOT get messages that were accepted before.
        //= spec/50-group.md#messages-to-a-group
        //# [GRP-055] A removed member MUST NOT get messages that are accepted later.
        let set = self.member_set(id);
        Ok(Route {
            conv: ConvKey::Group(id),
            rev,
            recipients: Recipients::Members { set, loopback },
            online,
            loopback,
        })
    }

    /// Who receives at the group's revision; kept as long as a message refers to it.
    fn member_set(&mut self, id: GroupId) -> Arc<[UserKey]> {
        let Some(group) = self.groups.get(&id) else {
            return Arc::from([]);
        };
        if let Some(set) = self.msgs.member_sets.get(&(id, group.rev)) {
            return set.clone();
        }
        let set: Arc<[UserKey]> = group.receivers().into();
        self.msgs.member_sets.insert((id, group.rev), set.clone());
        self.batch.put_member_set(id, group.rev, &set);
        set
    }

    /// True if the user holds as many undelivered messages as allowed.
    pub(crate) fn inbox_full(&self, user: UserKey) -> bool {
        self.users
            .get(user)
            .is_some_and(|user| user.inbox.len() >= self.cfg.max_inbox)
    }

    pub(crate) fn check_room(&self, sender: UserKey, device: DeviceUid, route: &Route) -> Handled {
        if !route.online {
            let limit = self.cfg.max_inbox;
            let full = matches!(route.recipients, Recipients::One(to) if self.inbox_full(to));
            //= spec/30-send.md#bounds
            //# [SND-080] When the addressed user has as many undelivered messages as allowed, the server MUST answer
            //# ERROR INBOX_FULL.
            check(!full, || Refusal::inbox_full(limit, limit))?;
        }
        let keys = self
            .users
            .get(sender)
            .and_then(|user| user.device(device))
            .map_or(0, |device| device.keys);
        let limit = self.cfg.max_idem_per_device;
        check(keys < limit, || {
            let refusal =
                Refusal::of(Code::RATE_LIMITED).bound(u64::from(limit), u64::from(keys) + 1);
            refusal.retry(crate::core::SWEEP_INTERVAL_MS as u32)
        })?;
        //= spec/02-errors-and-limits.md#budgets
        //# [ERR-042] While the server cannot store, it MUST answer each request that needs storing with ERROR
        //# STORE_FULL and keep serving the rest.
        //= spec/02-errors-and-limits.md#budgets
        //# [ERR-043] After an ERROR STORE_FULL, the same request repeated when there is room again MUST succeed.
        //= spec/30-send.md#idempotency
        //# [SND-024] A SEND that was refused MUST NOT consume its key.
        check(!self.store_full, Refusal::store_full)
    }
}
