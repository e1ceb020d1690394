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
                //# [SND-011]
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
        //# [GRP-051]
        let unknown = || Refusal::of(Code::UNKNOWN_GROUP);
        let group = self.groups.get(&id).ok_or_else(unknown)?;
        let mask = *group.members.get(&sender).ok_or_else(unknown)?;
        //# [GRP-052]
        let open = group.flags.contains(GroupFlags::ANYONE_MAY_SEND);
        check(open || may(mask, Permissions::SEND), || {
            Refusal::of(Code::PERMISSION_DENIED)
        })?;
        //# [GRP-053]
        let paused = group.flags.contains(GroupFlags::PAUSED);
        check(!paused || may(mask, Permissions::MODERATE), || {
            Refusal::of(Code::GROUP_PAUSED)
        })?;
        //# [GRP-056]
        let online = online || group.flags.contains(GroupFlags::NO_STORE);
        //# [GRP-057]
        let loopback = group.flags.contains(GroupFlags::LOOPBACK);
        let rev = group.rev;
        //# [GRP-050]
        //# [GRP-054]
        //# [GRP-055]
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

    pub(crate) fn check_room(&self, sender: UserKey, device: DeviceUid, route: &Route) -> Handled {
        if !route.online {
            let limit = self.cfg.max_inbox;
            let full =
                |user: UserKey| self.users.get(user).map_or(0, |user| user.inbox.len()) >= limit;
            let any_full = match &route.recipients {
                Recipients::One(to) => full(*to),
                Recipients::Members { set, .. } => {
                    set.iter().any(|member| *member != sender && full(*member))
                }
            };
            check(!any_full, || Refusal::inbox_full(limit, limit))?;
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
        //# [ERR-042]
        //# [ERR-043]
        //# [SND-024]
        check(!self.store_full, Refusal::store_full)
    }
}
