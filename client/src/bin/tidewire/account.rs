//! Which server, which user, which device.

use std::path::{Path, PathBuf};

use tidewire_client::{Client, ConnectError, Events, FileStore};

use crate::Failure;
use crate::args::{Args, Command};

pub(crate) struct Account {
    url: String,
    token: String,
    ca: Option<PathBuf>,
    store: Option<PathBuf>,
}

impl Account {
    /// What the arguments say, and what they leave out from the users file.
    pub(crate) fn find(args: &Args) -> Result<Account, Failure> {
        if matches!(args.command, Command::History { .. }) && args.store.is_none() {
            return Err(Failure::usage(
                "history is what a device stored: say which with --store",
            ));
        }
        let (ca, store) = (args.ca.clone(), args.store.clone());
        if let (Some(url), Some(token)) = (args.url.clone(), args.token.clone()) {
            return Ok(Account {
                url,
                token,
                ca,
                store,
            });
        }
        let file = UsersFile::read(&args.users)?;
        let address = || file.tcp().map(|address| format!("tcp://{address}"));
        Ok(Account {
            url: args.url.clone().map_or_else(address, Ok)?,
            token: args
                .token
                .clone()
                .map_or_else(|| file.token(&args.user), Ok)?,
            ca,
            store,
        })
    }

    /// The device ends with the command.
    pub(crate) fn is_for_once(&self) -> bool {
        self.store.is_none()
    }

    pub(crate) async fn connect(&self) -> Result<(Client, Events), Failure> {
        let mut builder = Client::builder(&self.url)
            .token(self.token.clone())
            .agent(concat!("tidewire/", env!("CARGO_PKG_VERSION")));
        if let Some(ca) = &self.ca {
            builder = builder.ca(ca);
        }
        if let Some(folder) = &self.store {
            builder = builder.store(FileStore::open(folder).map_err(Failure::refused)?);
        }
        builder
            .connect()
            .await
            .map_err(|error: ConnectError| error.into())
    }
}

/// What `tidewire-server --dev` writes.
struct UsersFile {
    path: PathBuf,
    table: toml::Table,
}

impl UsersFile {
    fn read(path: &Path) -> Result<UsersFile, Failure> {
        let explain = |error: &dyn std::fmt::Display| {
            let path = path.display();
            Failure::usage(format!(
                "{path}: {error}\nstart `tidewire-server --dev` here, or say --url and --token"
            ))
        };
        let text = std::fs::read_to_string(path).map_err(|error| explain(&error))?;
        let table = text
            .parse()
            .map_err(|error: toml::de::Error| explain(&error))?;
        Ok(UsersFile {
            path: path.to_owned(),
            table,
        })
    }

    fn tcp(&self) -> Result<&str, Failure> {
        let address = self
            .table
            .get("server")
            .and_then(|server| server.get("tcp")?.as_str());
        address.ok_or_else(|| self.lacks("an address for TCP"))
    }

    fn token(&self, user: &str) -> Result<String, Failure> {
        let users = self
            .table
            .get("user")
            .and_then(toml::Value::as_array)
            .into_iter()
            .flatten();
        let token = users
            .filter(|entry| entry.get("id").and_then(toml::Value::as_str) == Some(user))
            .find_map(|entry| entry.get("token")?.as_str());
        token
            .map(str::to_owned)
            .ok_or_else(|| self.lacks(&format!("a token of {user}")))
    }

    fn lacks(&self, what: &str) -> Failure {
        Failure::usage(format!("{} has not {what}", self.path.display()))
    }
}
