//! What a report says about the testee.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose side of the protocol is judged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A server: the runner plays the clients.
    #[default]
    Server,
    /// A client SDK: an adapter plays it.
    Client,
    /// A bare codec.
    Codec,
}

impl Role {
    /// The name, as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Client => "client",
            Role::Codec => "codec",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What is known about the testee, as far as it or its file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TesteeFacts {
    /// Its name.
    pub name: String,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Which part it plays.
    pub role: Role,
    /// The features that it enables, by name.
    pub features: Vec<String>,
    /// How it is to be reached, or how it connects.
    pub transports: Vec<String>,
    /// What the runner can make it do besides: `clock`, `restart` and the like.
    pub capabilities: Vec<String>,
}

impl TesteeFacts {
    /// Name and version as one reads them.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.name),
            None => self.name.clone(),
        }
    }
}
