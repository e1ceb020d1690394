//! Groups: making them, changing them, looking at them.

use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::limits::GROUP_PAGE_LIMIT;
use tidewire_codec::proto::{self, group_op::Op};
use tidewire_codec::{Frame, GroupFlags, Permissions};

use crate::client::Client;
use crate::error::Error;
use crate::ids::GroupId;

/// A member and what it may do; without a mask what the group gives by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The user.
    pub user: String,
    /// What it may do.
    pub permissions: Option<Permissions>,
}

impl Member {
    /// A member with the group's default mask.
    pub fn new(user: impl Into<String>) -> Member {
        Member {
            user: user.into(),
            permissions: None,
        }
    }

    /// The same with this mask.
    #[must_use]
    pub fn with(mut self, permissions: Permissions) -> Member {
        self.permissions = Some(permissions);
        self
    }
}

impl<T: Into<String>> From<T> for Member {
    fn from(user: T) -> Member {
        Member::new(user)
    }
}

impl From<Member> for proto::GroupMember {
    fn from(member: Member) -> proto::GroupMember {
        let permissions = member.permissions.map(|mask| mask.0);
        proto::GroupMember {
            user: member.user,
            permissions,
        }
    }
}

/// A group to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewGroup(proto::GroupCreate);

impl NewGroup {
    /// With this name, 1 to 128 bytes. Whoever makes a group is its owner.
    pub fn named(name: impl Into<String>) -> NewGroup {
        NewGroup(proto::GroupCreate {
            name: name.into(),
            ..proto::GroupCreate::default()
        })
    }

    /// With this member.
    #[must_use]
    pub fn member(mut self, member: impl Into<Member>) -> NewGroup {
        self.0.members.push(member.into().into());
        self
    }

    /// How it works.
    #[must_use]
    pub fn flags(mut self, flags: GroupFlags) -> NewGroup {
        self.0.flags = flags.0;
        self
    }

    /// What members may do that are added without a mask.
    #[must_use]
    pub fn default_permissions(mut self, permissions: Permissions) -> NewGroup {
        self.0.default_permissions = Some(permissions.0);
        self
    }

    /// Opaque, for the app; at most 4,096 bytes.
    #[must_use]
    pub fn info(mut self, info: impl Into<Bytes>) -> NewGroup {
        self.0.info = info.into();
        self
    }
}

/// Changes of a group. What is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupChanges(proto::GroupUpdate);

impl GroupChanges {
    /// None so far.
    #[must_use]
    pub fn new() -> GroupChanges {
        GroupChanges::default()
    }

    /// Another name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> GroupChanges {
        self.0.name = Some(name.into());
        self
    }

    /// Works otherwise.
    #[must_use]
    pub fn flags(mut self, flags: GroupFlags) -> GroupChanges {
        self.0.flags = Some(flags.0);
        self
    }

    /// Another default mask.
    #[must_use]
    pub fn default_permissions(mut self, permissions: Permissions) -> GroupChanges {
        self.0.default_permissions = Some(permissions.0);
        self
    }

    /// Another info.
    #[must_use]
    pub fn info(mut self, info: impl Into<Bytes>) -> GroupChanges {
        self.0.info = Some(info.into());
        self
    }
}

/// A PIN that lets users join.
#[derive(Clone, Debug, PartialEq)]
pub struct Pin(proto::GroupSetPin);

impl Pin {
    /// This PIN, 4 to 32 bytes, for members with this mask.
    pub fn new(pin: impl Into<String>, permissions: Permissions) -> Pin {
        let (pin, permissions) = (pin.into(), permissions.0);
        Pin(proto::GroupSetPin {
            pin,
            permissions,
            ttl_ms: None,
            uses: None,
        })
    }

    /// It ends after this time.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Pin {
        self.0.ttl_ms = Some(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// It ends after so many joins.
    #[must_use]
    pub fn uses(mut self, uses: u32) -> Pin {
        self.0.uses = Some(uses);
        self
    }
}

/// What this user may see of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupInfo(proto::GroupInfo);

impl GroupInfo {
    /// The group.
    #[must_use]
    pub fn id(&self) -> GroupId {
        GroupId(self.0.group)
    }

    /// Rises with each change.
    #[must_use]
    pub fn rev(&self) -> u64 {
        self.0.rev
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// How it works.
    #[must_use]
    pub fn flags(&self) -> GroupFlags {
        GroupFlags(self.0.flags)
    }

    /// What this user may do.
    #[must_use]
    pub fn my_permissions(&self) -> Permissions {
        Permissions(self.0.my_permissions)
    }

    /// How many members there are.
    #[must_use]
    pub fn member_count(&self) -> u32 {
        self.0.member_count
    }

    /// The members, sorted, as far as this user may see them and one frame has room.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        self.0.members.iter().map(|member| Member {
            user: member.user.clone(),
            permissions: member.permissions.map(Permissions),
        })
    }

    /// The body of the frame, for fields that have no method here.
    #[must_use]
    pub fn as_proto(&self) -> &proto::GroupInfo {
        &self.0
    }
}

/// A group, for operations on it. All of them wait for the server, and are repeated after a cut without being done twice.
///
/// Each fails as [`Client::request`] does.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    client: &'a Client,
    id: GroupId,
    if_rev: Option<u64>,
}

#[allow(clippy::missing_errors_doc, reason = "said once at the type")]
impl Group<'_> {
    /// The next operations happen only if the revision of the group is this one.
    #[must_use]
    pub fn if_rev(mut self, rev: u64) -> Self {
        self.if_rev = Some(rev);
        self
    }

    /// The group as it is.
    pub async fn get(self) -> Result<GroupInfo, Error> {
        self.op(Op::Get(proto::GroupGet {})).await
    }

    /// Changes name, flags, default mask or info.
    pub async fn update(self, changes: GroupChanges) -> Result<GroupInfo, Error> {
        self.op(Op::Update(changes.0)).await
    }

    /// Adds members.
    pub async fn add(
        self,
        members: impl IntoIterator<Item = impl Into<Member>>,
    ) -> Result<GroupInfo, Error> {
        let members = members
            .into_iter()
            .map(|member| member.into().into())
            .collect();
        self.op(Op::Add(proto::GroupAdd { members })).await
    }

    /// Removes members.
    pub async fn remove(
        self,
        users: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<GroupInfo, Error> {
        let users = users.into_iter().map(Into::into).collect();
        self.op(Op::Remove(proto::GroupRemove { users })).await
    }

    /// Changes what a member may do.
    pub async fn set_permissions(
        self,
        user: impl Into<String>,
        permissions: Permissions,
    ) -> Result<GroupInfo, Error> {
        let (user, permissions) = (user.into(), permissions.0);
        self.op(Op::SetPermissions(proto::GroupSetPermissions {
            user,
            permissions,
        }))
        .await
    }

    /// Makes or replaces the PIN; `None` removes it.
    pub async fn set_pin(self, pin: Option<Pin>) -> Result<GroupInfo, Error> {
        let pin = pin.map_or_else(proto::GroupSetPin::default, |pin| pin.0);
        self.op(Op::SetPin(pin)).await
    }

    /// Joins with a PIN.
    pub async fn join(self, pin: impl Into<String>) -> Result<GroupInfo, Error> {
        self.op(Op::Join(proto::GroupJoin { pin: pin.into() }))
            .await
    }

    /// Leaves.
    pub async fn leave(self) -> Result<(), Error> {
        self.op(Op::Leave(proto::GroupLeave {})).await.map(drop)
    }

    /// Deletes the group.
    pub async fn delete(self) -> Result<(), Error> {
        self.op(Op::Delete(proto::GroupDelete {})).await.map(drop)
    }

    async fn op(self, op: Op) -> Result<GroupInfo, Error> {
        self.client.group_op(self.id.0, self.if_rev, op).await
    }
}

impl Client {
    /// Makes a group. However often it is repeated on the way, there is one.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn create_group(&self, group: NewGroup) -> Result<GroupInfo, Error> {
        self.group_op(0, None, Op::Create(group.0)).await
    }

    /// A group, for operations on it.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Group<'_> {
        Group {
            client: self,
            id,
            if_rev: None,
        }
    }

    /// The groups of this user, by id, without their members.
    ///
    /// # Errors
    /// As [`request`](Client::request).
    pub async fn groups(&self) -> Result<Vec<GroupInfo>, Error> {
        let mut groups: Vec<GroupInfo> = Vec::new();
        loop {
            let after_group = groups.last().map_or(0, |group| group.id().0);
            let limit = u32::try_from(GROUP_PAGE_LIMIT).ok();
            let reply = self
                .request(proto::GroupList {
                    after_group,
                    limit,
                    requires: Vec::new(),
                })
                .await?;
            let Frame::GroupPage(page) = reply else {
                return Ok(groups);
            };
            // A page that brings nothing would come for ever.
            let more = page.more && !page.groups.is_empty();
            groups.extend(page.groups.into_iter().map(GroupInfo));
            if !more {
                return Ok(groups);
            }
        }
    }

    async fn group_op(&self, group: u64, if_rev: Option<u64>, op: Op) -> Result<GroupInfo, Error> {
        let request = proto::GroupOp {
            group,
            if_rev,
            op: Some(op),
            ..proto::GroupOp::default()
        };
        match self.request(request).await? {
            Frame::GroupInfo(info) => Ok(GroupInfo(info)),
            other => Err(Error::Invalid(format!(
                "{} answers GROUP_OP",
                other.frame_type()
            ))),
        }
    }
}
