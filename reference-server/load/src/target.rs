//! The server under load: started here, or running already.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::admin::Admin;
use crate::measure::Usage;

/// A server has so long to come up.
const START_TIME: Duration = Duration::from_secs(20);

/// The server under load.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Admin,
    pid: Option<u32>,
    /// Ends with this value, and then its folder is removed.
    _process: Option<(Child, TempDir)>,
}

#[derive(Deserialize)]
struct UsersFile {
    server: Server,
    admin: AdminDoor,
}

#[derive(Deserialize)]
struct Server {
    tcp: SocketAddr,
}

#[derive(Deserialize)]
struct AdminDoor {
    url: String,
    key: String,
}

impl Target {
    /// A server that wrote this file.
    pub(crate) fn read(file: &Path, pid: Option<u32>) -> anyhow::Result<Target> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let users: UsersFile = toml::from_str(&text).with_context(|| file.display().to_string())?;
        let admin = Admin {
            url: users.admin.url,
            key: users.admin.key,
        };
        Ok(Target {
            address: users.server.tcp,
            admin,
            pid,
            _process: None,
        })
    }

    /// Starts a server on ports and data of its own.
    pub(crate) async fn spawn(path: &Path, parent: Option<&Path>) -> anyhow::Result<Target> {
        let folder = match parent {
            Some(parent) => TempDir::new_in(parent)?,
            None => TempDir::new()?,
        };
        let file = folder.path().join("users.toml");
        let mut command = Command::new(path);
        command
            .args(["--dev", "--testing", "--log", "warn", "--data"])
            .arg(folder.path());
        command.arg("--users-out").arg(&file);
        command.args(["--max-connections", "100000"]);
        for listener in ["--listen", "--ws-listen", "--tls-listen", "--admin-listen"] {
            command.args([listener, "127.0.0.1:0"]);
        }
        let mut child = command
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context(path.display().to_string())?;
        let start = Instant::now();
        while !file.exists() {
            if let Some(status) = child.try_wait()? {
                bail!("the server ended: {status}");
            }
            if start.elapsed() > START_TIME {
                bail!("the server does not come up");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut target = Target::read(&file, child.id())?;
        target._process = Some((child, folder));
        Ok(target)
    }

    /// What the server's process has used so far, where it is known which that is.
    pub(crate) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.pid.map(Usage::of).transpose()
    }
}
