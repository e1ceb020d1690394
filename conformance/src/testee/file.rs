//! The users file: what a server in another terminal, or one that was started, says about itself.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::admin::AdminTable;
use super::commands::Commands;
use super::{Account, StartError};
use crate::transport::Addresses;

/// Addresses, back door, and users that exist.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsersFile {
    pub(crate) testee: Option<TesteeTable>,
    pub(crate) server: Option<Addresses>,
    pub(crate) admin: Option<AdminTable>,
    pub(crate) commands: Option<Commands>,
    #[serde(default)]
    pub(crate) user: Vec<Account>,
}

/// `[testee]`: what a report calls it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TesteeTable {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
}

/// `[start]` of a testee file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StartTable {
    /// The program and its arguments; `{users_file}` and `{data}` are replaced.
    pub(super) command: Vec<String>,
    /// The users file that it writes when it is ready; default: one in a temporary folder, named by `{users_file}`.
    pub(super) users_file: Option<std::path::PathBuf>,
}

/// A testee file: a users file that may say how to start the testee.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TesteeFile {
    /// As reports say it.
    #[serde(default, rename = "name")]
    _name: Option<String>,
    /// Who it is; the files of clients and codecs have other tables.
    #[serde(default, rename = "role")]
    _role: Option<crate::adapter::Role>,
    pub(super) start: Option<StartTable>,
    testee: Option<TesteeTable>,
    server: Option<Addresses>,
    admin: Option<AdminTable>,
    commands: Option<Commands>,
    #[serde(default)]
    user: Vec<Account>,
}

impl UsersFile {
    /// # Errors
    /// If it cannot be read or holds what no users file has.
    pub(crate) fn read(path: &Path) -> Result<UsersFile, StartError> {
        read_toml(path)
    }

    /// What this file does not say, from another.
    pub(super) fn or(self, other: UsersFile) -> UsersFile {
        UsersFile {
            testee: self.testee.or(other.testee),
            server: self.server.or(other.server),
            admin: self.admin.or(other.admin),
            commands: self.commands.or(other.commands),
            user: if self.user.is_empty() {
                other.user
            } else {
                self.user
            },
        }
    }
}

impl TesteeFile {
    pub(super) fn read(path: &Path) -> Result<TesteeFile, StartError> {
        read_toml(path)
    }

    pub(super) fn into_users(self) -> UsersFile {
        UsersFile {
            testee: self.testee,
            server: self.server,
            admin: self.admin,
            commands: self.commands,
            user: self.user,
        }
    }
}

/// Reads a TOML file into a type that says what may stand in it.
///
/// # Errors
/// If it cannot be read, or something else stands in it.
pub(crate) fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, StartError> {
    let fail = |what: String| StartError::new(format!("{}: {what}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    toml::from_str(&text).map_err(|error| fail(error.to_string()))
}
