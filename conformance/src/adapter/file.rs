//! Testee files of adapters: how to start one, or where to wait for it.

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub(crate) use crate::report::Role;
use crate::testee::StartError;

/// A testee file with an `[adapter]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdapterFile {
    /// As reports say it.
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) adapter: How,
}

/// How to come by the adapter: a command, or an address to wait at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct How {
    /// The program and its arguments. `{bin}` is the folder of the runner's own program, `{self}` that program.
    #[serde(default)]
    pub(crate) command: Vec<String>,
    /// `host:port` of a TCP port where the adapter dials in, as lines or over WebSocket.
    pub(crate) listen: Option<String>,
    /// Where the command starts; default: the folder of the file.
    #[serde(default)]
    pub(crate) cwd: PathBuf,
}

/// What every testee file may say first.
#[derive(Debug, Deserialize)]
struct Head {
    role: Option<Role>,
}

impl AdapterFile {
    /// The role that a testee file of any kind names; a server where it names none.
    ///
    /// # Errors
    /// If it cannot be read or is no TOML.
    pub(crate) fn role_of(path: &Path) -> Result<Role, StartError> {
        let head: Head = crate::testee::read_toml(path)?;
        Ok(head.role.unwrap_or(Role::Server))
    }

    /// Reads the file; what is relative in it is relative to its folder.
    ///
    /// # Errors
    /// If it cannot be read, holds what no such file has, or says neither or both of `command` and `listen`.
    pub(crate) fn read(path: &Path) -> Result<AdapterFile, StartError> {
        let mut file: AdapterFile = crate::testee::read_toml(path)?;
        let wrong = |what: &str| StartError::new(format!("{}: {what}", path.display()));
        if file.adapter.command.is_empty() == file.adapter.listen.is_none() {
            return Err(wrong("[adapter] has either a command or listen"));
        }
        if file.role == Role::Server {
            return Err(wrong("a server has no adapter"));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        file.adapter.cwd = folder.join(&file.adapter.cwd);
        let program = std::env::current_exe().unwrap_or_default();
        let bin = program.parent().unwrap_or(Path::new("")).to_owned();
        for word in &mut file.adapter.command {
            *word = word
                .replace("{bin}", &bin.to_string_lossy())
                .replace("{self}", &program.to_string_lossy());
        }
        Ok(file)
    }

    /// An adapter that a command starts here.
    pub(crate) fn of_command(name: &str, role: Role, command: Vec<String>) -> AdapterFile {
        AdapterFile {
            name: name.to_owned(),
            role,
            adapter: How {
                command,
                listen: None,
                cwd: PathBuf::from("."),
            },
        }
    }
}
