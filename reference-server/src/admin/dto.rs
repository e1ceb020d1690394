//! The JSON of this API.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize};
use tidewire_codec::proto;
use tidewire_core::api::{self, Millis};

/// Answer where there is nothing to say.
#[derive(Serialize)]
pub(super) struct Empty {}

/// Query of GET /v1/users.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    #[serde(default)]
    pub(super) after: String,
    pub(super) limit: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Users {
    pub(super) users: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    pub(super) ttl_ms: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct MadeToken {
    pub(super) token: String,
    pub(super) token_id: String,
}

/// A token is named by itself or by its id.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichToken {
    pub(super) token: Option<String>,
    pub(super) token_id: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Stats {
    users: usize,
    sessions: usize,
    connections: usize,
    groups: usize,
    undelivered: usize,
    now_ms: u64,
}

impl Stats {
    pub(super) fn new(stats: api::Stats, connections: usize, now: Millis) -> Stats {
        Stats {
            users: stats.users,
            sessions: stats.sessions,
            connections,
            groups: stats.groups,
            undelivered: stats.undelivered,
            now_ms: now.0,
        }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Member {
    pub(super) user: String,
    /// A mask. Absent: the default of the group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) permissions: Option<u32>,
}

impl From<Member> for proto::GroupMember {
    fn from(member: Member) -> proto::GroupMember {
        proto::GroupMember {
            user: member.user,
            permissions: member.permissions,
        }
    }
}

/// Opaque bytes as base64.
#[derive(Default)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Base64, D::Error> {
        let text = String::deserialize(from)?;
        STANDARD
            .decode(text)
            .map(Base64)
            .map_err(serde::de::Error::custom)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewGroup {
    pub(super) name: String,
    #[serde(default)]
    pub(super) flags: u32,
    pub(super) default_permissions: Option<u32>,
    /// The first one becomes OWNER.
    #[serde(default)]
    pub(super) members: Vec<Member>,
    #[serde(default)]
    pub(super) info: Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupChange {
    pub(super) name: Option<String>,
    pub(super) flags: Option<u32>,
    pub(super) default_permissions: Option<u32>,
    pub(super) info: Option<Base64>,
    pub(super) if_rev: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMembers {
    pub(super) members: Vec<Member>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Permissions {
    pub(super) permissions: u32,
}

#[derive(Serialize)]
pub(super) struct Group {
    /// As text: numbers of 64 bits do not survive every JSON reader.
    id: String,
    rev: u64,
    name: String,
    flags: u32,
    default_permissions: u32,
    member_count: u32,
    /// At most 256.
    members: Vec<Member>,
    info: String,
}

impl From<proto::GroupInfo> for Group {
    fn from(info: proto::GroupInfo) -> Group {
        let members = info.members.into_iter();
        Group {
            id: info.group.to_string(),
            rev: info.rev,
            name: info.name,
            flags: info.flags,
            default_permissions: info.default_permissions,
            member_count: info.member_count,
            members: members
                .map(|member| Member {
                    user: member.user,
                    permissions: member.permissions,
                })
                .collect(),
            info: STANDARD.encode(&info.info),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    pub(super) users: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Tokens {
    pub(super) tokens: std::collections::BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    pub(super) advance_ms: u64,
}

#[derive(Serialize)]
pub(super) struct Now {
    pub(super) now_ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restart {
    pub(super) mode: RestartMode,
    /// Virtual time that passes while the server is down.
    #[serde(default)]
    pub(super) down_ms: u64,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum RestartMode {
    Crash,
    Graceful,
}

/// Absent fields stay as they are; `null` lifts a bound.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    pub(super) store_full: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub(super) max_inbox: Option<Option<usize>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) max_group_members: Option<Option<usize>>,
}

/// Tells `null` from absent.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<usize>>, D::Error> {
    Option::deserialize(from).map(Some)
}
