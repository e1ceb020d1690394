//! Which testee, and which cases: the options that `run` shares with the commands around it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{EXIT_HARNESS, Suite, broken, complain, selects};
use crate::sdk::Sdk;
use crate::session::{Session, Transport};
use crate::testee::{Starter, Testee};

/// What is tested; without any of these the reference server, which is part of the program.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct TargetArgs {
    /// A server that runs already: its host and port for plain TCP. Needs --users.
    #[arg(long, requires = "users", value_name = "HOST:PORT")]
    pub(super) server: Option<String>,
    /// The users file of a server that runs already.
    #[arg(long, value_name = "FILE")]
    pub(super) users: Option<PathBuf>,
    /// A testee file, which says how to start the testee. For a client SDK, the server options say what stands behind it.
    #[arg(long, value_name = "FILE")]
    pub(super) testee: Option<PathBuf>,
    /// What actors use whose case does not say.
    #[arg(long, default_value = "tcp")]
    pub(super) transport: Transport,
    /// A restart kills the reference server with SIGKILL, and does not use its own hook.
    #[arg(long)]
    pub(super) kill: bool,
}

impl TargetArgs {
    /// The reference server, as it comes.
    pub(super) fn reference() -> TargetArgs {
        TargetArgs {
            server: None,
            users: None,
            testee: None,
            transport: Transport::Tcp,
            kill: false,
        }
    }

    /// True if this testee file is one of a client SDK.
    fn is_sdk(&self, file: &Path) -> Result<bool, u8> {
        Sdk::is_one(file).map_err(|error| complain(&error.to_string()))
    }

    /// The SDK under test, started; none where a server is tested.
    pub(super) async fn sdks(&self) -> Result<Vec<Sdk>, u8> {
        match &self.testee {
            Some(file) if self.is_sdk(file)? => start_sdk(file).await.map(|sdk| vec![sdk]),
            _ => Ok(Vec::new()),
        }
    }

    /// How to come by the testee, or by the server behind it.
    pub(super) fn starter(&self) -> Result<Starter, u8> {
        match &self.testee {
            Some(file) if !self.is_sdk(file)? => {
                if self.users.is_some() {
                    return Err(complain(
                        "--users and the testee file of a server exclude each other",
                    ));
                }
                return Ok(Starter::File(file.clone()));
            }
            // What is behind an SDK is chosen as if there were none.
            _ => {}
        }
        if let Some(users) = &self.users {
            return Ok(Starter::Running {
                server: self.server.clone(),
                users: users.clone(),
            });
        }
        if !cfg!(feature = "reference-server") {
            return Err(complain(
                "built without the reference server: give --users or --testee",
            ));
        }
        let program = std::env::current_exe().map_err(|error| complain(&error.to_string()))?;
        Ok(Starter::Reference {
            program,
            arguments: vec![OsString::from("reference-server")],
            kill: self.kill,
        })
    }

    /// Starts it, or finds it, and makes sure that something listens there.
    pub(super) async fn start_one(&self) -> Result<Testee, u8> {
        let testee = self.starter()?.start().await;
        let testee =
            testee.map_err(|error| broken(&format!("the testee did not start: {error}")))?;
        let reached = testee.reach(self.transport, REACH_BUDGET).await;
        reached.map_err(|error| broken(&error.to_string()))?;
        Ok(testee)
    }
}

/// What does not take a connection in this time is not there.
pub(super) const REACH_BUDGET: Duration = Duration::from_secs(5);

/// Says where an adapter that dials in is awaited.
pub(super) fn announce(text: String) {
    // Whoever has to dial in is told; without a reader nobody will.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Starts the SDK of a testee file; what it has to say goes to stderr.
pub(super) async fn start_sdk(file: &Path) -> Result<Sdk, u8> {
    Sdk::start(file, announce).await.map_err(|error| {
        complain(&format!("the adapter of {}: {error}", file.display()));
        EXIT_HARNESS
    })
}

/// Which cases; without any of these all of the suite.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct CaseArgs {
    /// Only the cases whose id holds this text, or fits this pattern with `*`.
    #[arg(long)]
    pub(super) filter: Vec<String>,
    /// A session file that is no part of the suite: one of your own, or a recorded one.
    #[arg(long, value_name = "FILE")]
    pub(super) session: Vec<PathBuf>,
}

impl CaseArgs {
    /// The ids of the cases; none for all. Files of one's own join the suite.
    ///
    /// A filter that fits nothing is an error, so that a typing mistake is no green run.
    pub(super) fn choose(&self, suite: &mut Suite) -> Result<BTreeSet<String>, u8> {
        let mut ids = BTreeSet::new();
        for path in &self.session {
            ids.insert(suite.add(path)?);
        }
        for filter in &self.filter {
            let fits = |session| selects(std::slice::from_ref(filter), session);
            if !suite.sessions.iter().any(fits) {
                return Err(complain(&format!("no case fits the filter {filter}")));
            }
        }
        if self.filter.is_empty() {
            return Ok(ids);
        }
        // An exact id means that case alone, also where it begins the id of others.
        let is_exact = |filter: &String| suite.sessions.get(filter).is_some();
        let (exact, loose): (Vec<String>, Vec<String>) =
            self.filter.iter().cloned().partition(is_exact);
        let fits = |session: &&Session| {
            exact.contains(&session.id) || (!loose.is_empty() && selects(&loose, session))
        };
        let found = suite.sessions.iter().filter(fits);
        ids.extend(found.map(|session| session.id.clone()));
        Ok(ids)
    }
}
