//! Testees that the runner starts itself: as processes of their own, so that they can be killed.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::Testee;
use super::file::{TesteeFile, UsersFile};
use crate::run::Testees;
use crate::transport::Addresses;

/// A server that is not ready by then will not be.
const START_BUDGET: Duration = Duration::from_secs(30);
/// The folder of the testee's store in its home.
const DATA: &str = "data";
/// Between two looks for the file that says it is ready.
const LOOK: Duration = Duration::from_millis(2);

/// Why there is no testee.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

impl StartError {
    pub(crate) fn new(message: impl Into<String>) -> StartError {
        StartError(message.into())
    }
}

/// How to come by a testee.
#[derive(Clone, Debug)]
pub enum Starter {
    /// A server that runs elsewhere: its users file, and its address where the file has none.
    Running {
        /// `host:port`.
        server: Option<String>,
        /// The users file.
        users: PathBuf,
    },
    /// A testee file.
    File(PathBuf),
    /// A program that takes the arguments of the reference server, with those that come before them.
    Reference {
        /// The program.
        program: PathBuf,
        /// Its first arguments.
        arguments: Vec<OsString>,
        /// A crash is a SIGKILL, and not the server's own hook.
        kill: bool,
    },
}

impl Starter {
    /// Starts it with as many more of its kind as cases that need one for themselves keep busy: only the reference
    /// server can be had twice.
    ///
    /// # Errors
    /// As [`start`](Starter::start).
    pub async fn start_all(&self, lanes: usize) -> Result<Testees, StartError> {
        let lanes = if matches!(self, Starter::Reference { .. }) {
            lanes
        } else {
            0
        };
        let mut starts = tokio::task::JoinSet::new();
        for _ in 0..=lanes {
            let starter = self.clone();
            starts.spawn(async move { starter.start().await });
        }
        let mut started = Vec::new();
        while let Some(testee) = starts.join_next().await {
            started.push(testee.map_err(|error| StartError::new(error.to_string()))??);
        }
        let shared = started.pop().ok_or_else(|| StartError::new("no testee"))?;
        Ok(Testees {
            shared,
            lanes: started,
        })
    }

    /// Starts it, or finds it.
    ///
    /// # Errors
    /// If a file is wrong or the program does not get ready.
    pub async fn start(&self) -> Result<Testee, StartError> {
        match self {
            Starter::Running { server, users } => {
                Testee::from_users_file(UsersFile::read(users)?, server.as_deref())
            }
            Starter::File(path) => {
                let mut file = TesteeFile::read(path)?;
                let Some(start) = file.start.take() else {
                    return Testee::from_users_file(file.into_users(), None);
                };
                let home = home()?;
                let users_file = start
                    .users_file
                    .unwrap_or_else(|| home.path().join("users.toml"));
                let data = home.path().join(DATA);
                let fill = |word: &String| {
                    OsString::from(
                        word.replace("{users_file}", &users_file.to_string_lossy())
                            .replace("{data}", &data.to_string_lossy()),
                    )
                };
                let words: Vec<OsString> = start.command.iter().map(fill).collect();
                let mut process = Process::new(words, users_file, home, false)?;
                let written = process.start().await?;
                Ok(
                    Testee::from_users_file(file.into_users().or(written), None)?
                        .with_process(process),
                )
            }
            Starter::Reference {
                program,
                arguments,
                kill,
            } => {
                let home = home()?;
                let users_file = home.path().join("users.toml");
                let mut words = vec![program.into()];
                words.extend(arguments.iter().cloned());
                words.extend(reference_arguments(home.path(), &users_file));
                let mut process = Process::new(words, users_file, home, *kill)?;
                let written = process.start().await?;
                let testee = Testee::from_users_file(written, None)?.with_process(process);
                Ok(testee.named("tidewire-server", env!("CARGO_PKG_VERSION")))
            }
        }
    }
}

fn home() -> Result<TempDir, StartError> {
    TempDir::with_prefix("tidewire-conformance-")
        .map_err(|error| StartError::new(error.to_string()))
}

fn reference_arguments(home: &Path, users_file: &Path) -> Vec<OsString> {
    let any = "127.0.0.1:0";
    let mut words: Vec<OsString> = ["--dev", "--virtual-clock", "--testing"]
        .into_iter()
        .map(OsString::from)
        .collect();
    for listen in ["--listen", "--ws-listen", "--tls-listen", "--admin-listen"] {
        words.extend([OsString::from(listen), OsString::from(any)]);
    }
    words.extend([OsString::from("--data"), home.join(DATA).into()]);
    words.extend([OsString::from("--users-out"), users_file.into()]);
    words
}

/// A started program.
pub(super) struct Process {
    words: Vec<OsString>,
    users_file: PathBuf,
    home: TempDir,
    kill: bool,
    child: Mutex<Option<Child>>,
}

impl Process {
    fn new(
        words: Vec<OsString>,
        users_file: PathBuf,
        home: TempDir,
        kill: bool,
    ) -> Result<Process, StartError> {
        if words.is_empty() {
            return Err(StartError::new("an empty command"));
        }
        Ok(Process {
            words,
            users_file,
            home,
            kill,
            child: Mutex::new(None),
        })
    }

    pub(super) fn kills(&self) -> bool {
        self.kill
    }

    async fn start(&mut self) -> Result<UsersFile, StartError> {
        self.launch(&[]).await
    }

    /// Kills the program as a crash would, and starts it again on the same ports and the same data, or on none.
    pub(super) async fn kill_and_start(
        &self,
        addresses: &Addresses,
        forget: bool,
    ) -> Result<UsersFile, StartError> {
        if let Some(mut child) = self.child.lock().await.take() {
            child
                .kill()
                .await
                .map_err(|error| StartError::new(error.to_string()))?;
        }
        if forget {
            fs::remove_dir_all(self.home.path().join(DATA))
                .map_err(|error| StartError::new(error.to_string()))?;
        }
        let mut same_ports = Vec::new();
        let old = UsersFile::read(&self.users_file)?;
        let admin = old
            .admin
            .as_ref()
            .and_then(super::admin::AdminTable::authority);
        for (flag, address) in [
            ("--listen", addresses.tcp.clone()),
            ("--ws-listen", addresses.ws.clone()),
            ("--tls-listen", addresses.tls.clone()),
            ("--admin-listen", admin),
        ] {
            if let Some(address) = address {
                same_ports.push((flag, address));
            }
        }
        self.launch(&same_ports).await
    }

    /// `listen` replaces the addresses after these flags.
    async fn launch(&self, listen: &[(&str, String)]) -> Result<UsersFile, StartError> {
        // What an earlier start left must not pass for a sign that this one is ready.
        let _ = fs::remove_file(&self.users_file);
        let mut words = self.words.clone();
        for (flag, address) in listen {
            if let Some(at) = words.iter().position(|word| word == flag)
                && let Some(value) = words.get_mut(at + 1)
            {
                *value = address.into();
            }
        }
        let Some((program, arguments)) = words.split_first() else {
            return Err(StartError::new("an empty command"));
        };
        let log = self.home.path().join("log.txt");
        let log_file = fs::OpenOptions::new().create(true).append(true).open(&log);
        let log_file = log_file.map_err(|error| StartError::new(error.to_string()))?;
        let both = log_file
            .try_clone()
            .map_err(|error| StartError::new(error.to_string()))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::from(log_file))
            .stderr(Stdio::from(both))
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| StartError::new(format!("{}: {error}", program.to_string_lossy())))?;
        let deadline = Instant::now() + START_BUDGET;
        loop {
            // The file is written in one go by a rename, so once it is there it is whole.
            if self.users_file.exists() {
                *self.child.lock().await = Some(child);
                return UsersFile::read(&self.users_file);
            }
            let ended = child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let why = ended.map_or_else(
                    || "is not ready in time".to_owned(),
                    |status| format!("ended: {status}"),
                );
                return Err(StartError::new(format!(
                    "the testee {why}\n{}",
                    tail(&said)
                )));
            }
            sleep(LOOK).await;
        }
    }
}

/// The last lines of a log.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}
