//! The rest of what a server can be asked: states, large contents, lifetimes, devices, the end.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tidewire_codec::{Frame, proto};

use crate::client::Client;
use crate::error::Error;
use crate::ids::{Conversation, DeviceId, MsgId, Pos};
use crate::tracker::MessageState;

/// Longest content that is collected in parts, in bytes. No server takes a longer message in one frame.
const MAX_CONTENT: u64 = tidewire_codec::limits::MAX_FRAME_HARD as u64;

/// A device of this user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Name and version of its app.
    pub agent: String,
    /// It has a session now.
    pub online: bool,
    /// Up to where it has acknowledged the log.
    pub acked: Pos,
    /// The time since its last login.
    pub age: Duration,
}

/// The state of a message at one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryState {
    /// The recipient.
    pub user: String,
    /// The state; `None` for one that this version does not know.
    pub state: Option<MessageState>,
}

/// The states of an own message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCounts {
    /// The state at each recipient, sorted, as far as one frame has room.
    pub recipients: Vec<DeliveryState>,
    /// How many recipients it has.
    pub total: u32,
    /// How many received it, those who read it among them.
    pub delivered: u32,
    /// How many read it.
    pub read: u32,
}

/// Each fails as [`Client::request`] does.
#[allow(clippy::missing_errors_doc, reason = "said once at the block")]
impl Client {
    /// Asks for the states of an own message.
    pub async fn status(
        &self,
        conversation: Conversation,
        id: MsgId,
    ) -> Result<StatusCounts, Error> {
        let conversation = Some(conversation.into());
        let request = proto::StatusGet {
            conversation,
            msg_id: id.0,
            requires: Vec::new(),
        };
        let Frame::StatusList(list) = self.request(request).await? else {
            return Err(unexpected("STATUS_GET"));
        };
        let recipient = |member: proto::MemberStatus| DeliveryState {
            state: MessageState::from_field(member.state),
            user: member.user,
        };
        Ok(StatusCounts {
            total: list.recipients,
            delivered: list.delivered,
            read: list.read,
            recipients: list.members.into_iter().map(recipient).collect(),
        })
    }

    /// The whole content of a message that came without it, by its place in the log.
    ///
    /// [`Error::TooLarge`] beyond 1 MiB, which no message has.
    pub async fn content(&self, pos: Pos) -> Result<Bytes, Error> {
        let mut content = BytesMut::new();
        loop {
            let offset = u64::try_from(content.len()).ok();
            let request = proto::ContentGet {
                pos: pos.0,
                offset,
                requires: Vec::new(),
            };
            let Frame::Content(part) = self.request(request).await? else {
                return Err(unexpected("CONTENT_GET"));
            };
            if part.content_len > MAX_CONTENT {
                let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
                return Err(Error::TooLarge {
                    limit: size(MAX_CONTENT),
                    actual: size(part.content_len),
                });
            }
            content.extend_from_slice(&part.content);
            let have = u64::try_from(content.len()).unwrap_or(u64::MAX);
            if have >= part.content_len {
                return Ok(content.freeze());
            }
            if part.content.is_empty() {
                return Err(unexpected("CONTENT_GET with nothing"));
            }
        }
    }

    /// Lets an own message live for this time from now on.
    pub async fn set_expiry(
        &self,
        conversation: Conversation,
        id: MsgId,
        ttl: Duration,
    ) -> Result<(), Error> {
        let request = proto::ExpirySet {
            conversation: Some(conversation.into()),
            msg_id: id.0,
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
            requires: Vec::new(),
        };
        self.request(request).await.map(drop)
    }

    /// The devices of this user.
    pub async fn devices(&self) -> Result<Vec<Device>, Error> {
        self.ask_devices(None).await
    }

    /// Forgets another device of this user, which ends its session, and returns those that are left. Not repeated after a
    /// cut: [`Error::Lost`].
    pub async fn forget_device(&self, device: DeviceId) -> Result<Vec<Device>, Error> {
        self.ask_devices(Some(device.to_bytes())).await
    }

    /// Puts a fresh credential under the live session. The client uses it from then on.
    pub async fn reauth(&self, token: impl Into<Bytes>) -> Result<(), Error> {
        let request = proto::Reauth {
            token: token.into(),
            requires: Vec::new(),
        };
        self.request(request).await.map(drop)
    }

    /// Tells the server that the user is gone from this device, which ends the client. `forget_device`: the device is no
    /// longer one of this user's; what waits for it is given up.
    pub async fn logout(&self, forget_device: bool) -> Result<(), Error> {
        self.request(proto::Logout {
            forget_device,
            requires: Vec::new(),
        })
        .await
        .map(drop)
    }

    async fn ask_devices(&self, forget: Option<Bytes>) -> Result<Vec<Device>, Error> {
        let Frame::DeviceList(list) = self
            .request(proto::Devices {
                forget,
                requires: Vec::new(),
            })
            .await?
        else {
            return Err(unexpected("DEVICES"));
        };
        let device = |device: proto::Device| {
            Some(Device {
                id: DeviceId::new(&device.device_id)?,
                agent: device.agent,
                online: device.online,
                acked: Pos(device.acked_pos),
                age: Duration::from_millis(device.age_ms),
            })
        };
        Ok(list.devices.into_iter().filter_map(device).collect())
    }
}

/// The engine lets only typed replies through, so this is not seen.
fn unexpected(what: &str) -> Error {
    Error::Invalid(format!("another frame answers {what}"))
}
