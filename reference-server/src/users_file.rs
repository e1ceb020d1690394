//! The users file: addresses, the operator's key and tokens, for programs that are to use this server.
//!
//! ```toml
//! [server]
//! tcp = "127.0.0.1:7400"
//! ws = "127.0.0.1:7401"
//! tls = "127.0.0.1:7402"
//! ca = "/path/ca.pem"
//!
//! [admin]
//! url = "http://127.0.0.1:7480"
//! key = "..."
//! capabilities = ["provision"]
//! features = ["groups"]
//!
//! [[user]]
//! id = "alice"
//! token = "twt_..."
//! ```

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::token::Token;

/// Everything in the file.
#[derive(Debug, Serialize)]
pub(crate) struct UsersFile {
    pub(crate) server: Addresses,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<Admin>,
    #[serde(rename = "user")]
    pub(crate) users: Vec<User>,
}

/// Where the server listens.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Addresses {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tcp: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ws: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<SocketAddr>,
    /// What signed the certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

/// The operator's door.
#[derive(Debug, Serialize)]
pub(crate) struct Admin {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) capabilities: Vec<&'static str>,
    pub(crate) features: Vec<String>,
}

/// One user that can log in.
#[derive(Debug, Serialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) token: String,
}

impl User {
    pub(crate) fn new(id: &str, token: &Token) -> User {
        User {
            id: id.into(),
            token: token.reveal().into(),
        }
    }
}

impl UsersFile {
    /// Writes the file in one step, for its owner alone.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        crate::files::write_secret(path, &toml::to_string(self)?)?;
        Ok(())
    }
}
