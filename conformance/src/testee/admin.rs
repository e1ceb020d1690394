//! The operators' back door of a testee: over HTTP, by commands, or none.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use serde_json::{Value, json};

use super::commands::Commands;
use super::http::HttpAdmin;
use super::{AdminError, StartError};
use crate::session::FaultSwitch;

/// `[admin]` of a users file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminTable {
    /// `http://host:port`, where there is an HTTP API.
    url: Option<String>,
    /// The bearer key.
    #[serde(default)]
    key: String,
    /// What it can do.
    #[serde(default)]
    capabilities: BTreeSet<String>,
    /// Informational: what a login enables is what counts.
    #[serde(default, rename = "features")]
    _features: Vec<String>,
}

impl AdminTable {
    /// `host:port` of the API.
    pub(super) fn authority(&self) -> Option<String> {
        let url = self.url.as_deref()?.strip_prefix("http://")?;
        Some(url.trim_end_matches('/').to_owned())
    }
}

/// How operations reach the testee.
pub(crate) enum Admin {
    None,
    Http(HttpAdmin),
    Commands(Commands),
    /// Says yes to everything and does nothing; for peers that only pretend.
    Fake,
}

impl Admin {
    /// The back door that a file describes, and what it can do.
    pub(super) fn from_file(
        admin: Option<AdminTable>,
        commands: Option<Commands>,
    ) -> Result<(Admin, BTreeSet<String>), StartError> {
        let mut capabilities = admin
            .as_ref()
            .map(|table| table.capabilities.clone())
            .unwrap_or_default();
        let url = admin.as_ref().and_then(|table| table.url.clone());
        match (url, commands) {
            (Some(_), Some(_)) => Err(StartError::new(
                "[admin] url and [commands] exclude each other",
            )),
            (Some(url), None) => {
                let key = admin.map(|table| table.key).unwrap_or_default();
                Ok((Admin::Http(HttpAdmin::new(&url, &key)?), capabilities))
            }
            (None, Some(commands)) => {
                capabilities.extend(commands.capabilities());
                Ok((Admin::Commands(commands), capabilities))
            }
            (None, None) => Ok((Admin::None, BTreeSet::new())),
        }
    }

    /// The testee was started anew and wrote this.
    pub(super) fn renew(&self, written: Option<AdminTable>) -> Result<(), StartError> {
        match (self, written) {
            (
                Admin::Http(http),
                Some(AdminTable {
                    url: Some(url),
                    key,
                    ..
                }),
            ) => http.retarget(&url, &key),
            _ => Ok(()),
        }
    }

    pub(super) async fn provision(
        &self,
        users: &[String],
    ) -> Result<HashMap<String, String>, AdminError> {
        match self {
            Admin::None => Err(lacking()),
            Admin::Http(http) => {
                let answer = http
                    .call("POST", "/v1/batch", &json!({ "users": users }))
                    .await?;
                let tokens = answer.get("tokens").and_then(Value::as_object);
                let tokens = tokens
                    .ok_or_else(|| AdminError("/v1/batch answered without tokens".to_owned()))?;
                Ok(tokens
                    .iter()
                    .filter_map(|(user, token)| Some((user.clone(), token.as_str()?.to_owned())))
                    .collect())
            }
            Admin::Commands(commands) => {
                let mut tokens = HashMap::new();
                for user in users {
                    tokens.insert(user.clone(), commands.provision(user).await?);
                }
                Ok(tokens)
            }
            // The token is the user's name, so that even a peer that pretends can say who logged in.
            Admin::Fake => Ok(users
                .iter()
                .map(|user| (user.clone(), user.clone()))
                .collect()),
        }
    }

    pub(crate) async fn new_token(
        &self,
        user: &str,
        ttl_ms: Option<u64>,
    ) -> Result<String, AdminError> {
        match self {
            Admin::None => Err(lacking()),
            Admin::Http(http) => {
                let body = ttl_ms.map_or_else(|| json!({}), |ttl_ms| json!({ "ttl_ms": ttl_ms }));
                let answer = http
                    .call("POST", &format!("/v1/users/{user}/tokens"), &body)
                    .await?;
                let token = answer.get("token").and_then(Value::as_str);
                token
                    .map(str::to_owned)
                    .ok_or_else(|| AdminError("no token in the answer".to_owned()))
            }
            Admin::Commands(commands) => commands.new_token(user, ttl_ms).await,
            Admin::Fake => Ok(user.to_owned()),
        }
    }

    pub(crate) async fn revoke_token(&self, token: &str) -> Result<(), AdminError> {
        match self {
            Admin::None => Err(lacking()),
            Admin::Http(http) => http
                .call("DELETE", "/v1/tokens", &json!({ "token": token }))
                .await
                .map(drop),
            Admin::Commands(commands) => commands.revoke_token(token).await,
            Admin::Fake => Ok(()),
        }
    }

    pub(crate) async fn new_user(&self, user: &str) -> Result<(), AdminError> {
        match self {
            Admin::None => Err(lacking()),
            Admin::Http(http) => http
                .call("PUT", &format!("/v1/users/{user}"), &json!({}))
                .await
                .map(drop),
            // A command that provisions makes the user and a token at once.
            Admin::Commands(_) | Admin::Fake => Ok(()),
        }
    }

    pub(crate) async fn delete_user(&self, user: &str) -> Result<(), AdminError> {
        match self {
            Admin::None => Err(lacking()),
            Admin::Http(http) => http
                .call("DELETE", &format!("/v1/users/{user}"), &Value::Null)
                .await
                .map(drop),
            Admin::Commands(commands) => commands.delete_user(user).await,
            Admin::Fake => Ok(()),
        }
    }

    pub(crate) async fn advance(&self, ms: u64) -> Result<(), AdminError> {
        match self {
            Admin::None => Err(lacking()),
            Admin::Http(http) => http
                .call("POST", "/v1/testing/clock", &json!({ "advance_ms": ms }))
                .await
                .map(drop),
            Admin::Commands(commands) => commands.advance(ms).await,
            Admin::Fake => Ok(()),
        }
    }

    pub(super) async fn restart(
        &self,
        graceful: bool,
        down_ms: Option<u64>,
    ) -> Result<(), AdminError> {
        let mode = if graceful { "graceful" } else { "crash" };
        match self {
            Admin::None => Err(lacking()),
            Admin::Http(http) => {
                let body = match down_ms {
                    Some(down_ms) => json!({ "mode": mode, "down_ms": down_ms }),
                    None => json!({ "mode": mode }),
                };
                http.call("POST", "/v1/testing/restart", &body)
                    .await
                    .map(drop)
            }
            Admin::Commands(commands) => commands.restart(mode, down_ms).await,
            Admin::Fake => Ok(()),
        }
    }

    pub(super) async fn fault(&self, switch: FaultSwitch) -> Result<(), AdminError> {
        let body = match switch {
            FaultSwitch::StoreFull(full) => json!({ "store_full": full }),
            FaultSwitch::MaxInbox(bound) => json!({ "max_inbox": bound }),
            FaultSwitch::MaxGroupMembers(bound) => json!({ "max_group_members": bound }),
        };
        match self {
            Admin::Http(http) => http
                .call("POST", "/v1/testing/fault", &body)
                .await
                .map(drop),
            Admin::Fake => Ok(()),
            Admin::None | Admin::Commands(_) => Err(lacking()),
        }
    }
}

fn lacking() -> AdminError {
    AdminError("the testee has no way to do this".to_owned())
}
