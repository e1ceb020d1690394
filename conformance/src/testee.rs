//! What is tested: where it listens, what it can do besides, and how to make it do that.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::player::Probe;
use crate::report::{Role, TesteeFacts};
use crate::session::{FaultSwitch, Need, Session, Transport};
use crate::tap::Tap;
use crate::transport::{self, Addresses, Connection, OpenError, Opening, TlsTrust};

pub(crate) mod admin;
mod commands;
mod file;
mod http;
mod pool;
mod process;

use admin::Admin;
use file::TesteeTable;
pub(crate) use file::{UsersFile, read_toml};
pub(crate) use pool::Loan;
use pool::Pool;
use process::Process;
pub use process::{StartError, Starter};

/// A user and a token for it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) token: String,
}

/// An implementation under test.
pub struct Testee {
    label: TesteeTable,
    addresses: Mutex<Addresses>,
    trust: Option<TlsTrust>,
    pub(crate) admin: Admin,
    capabilities: BTreeSet<String>,
    pub(crate) pool: Option<Pool>,
    process: Option<Process>,
}

/// Why an operation of the back door did not work: never the fault of the wire.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct AdminError(pub(crate) String);

impl Testee {
    /// A testee by its users file, already running.
    pub(crate) fn from_users_file(
        users: UsersFile,
        server: Option<&str>,
    ) -> Result<Testee, StartError> {
        let mut addresses = users.server.unwrap_or_default();
        if let Some(server) = server {
            addresses.tcp = Some(server.to_owned());
        }
        if addresses.tcp.is_none() && addresses.ws.is_none() && addresses.tls.is_none() {
            return Err(StartError::new(
                "no address: give --server, or [server] in the users file",
            ));
        }
        let trust = match (&addresses.tls, &addresses.ca) {
            (Some(_), Some(ca)) => Some(TlsTrust::read(ca).map_err(StartError::new)?),
            _ => None,
        };
        let (admin, mut capabilities) = Admin::from_file(users.admin, users.commands)?;
        let pool = if capabilities.contains("provision") {
            None
        } else if users.user.is_empty() {
            return Err(StartError::new("neither users nor a way to make some"));
        } else {
            Some(Pool::new(users.user))
        };
        if matches!(admin, Admin::None) {
            capabilities.clear();
        }
        let label = users.testee.unwrap_or_else(|| {
            let known = [&addresses.tcp, &addresses.ws, &addresses.tls];
            let address = known.into_iter().flatten().next().cloned();
            TesteeTable {
                name: address.unwrap_or_default(),
                version: None,
            }
        });
        Ok(Testee {
            label,
            addresses: Mutex::new(addresses),
            trust,
            admin,
            capabilities,
            pool,
            process: None,
        })
    }

    /// A testee within this process, which claims every capability and does nothing for it.
    pub(crate) fn fake(tcp: String) -> Testee {
        let capabilities = [
            "provision",
            "clock",
            "restart",
            "fault:store-full",
            "fault:max-inbox",
            "fault:max-group-members",
        ];
        Testee {
            label: TesteeTable {
                name: "null testee".to_owned(),
                version: None,
            },
            addresses: Mutex::new(Addresses {
                ws: Some(tcp.clone()),
                tcp: Some(tcp),
                ..Addresses::default()
            }),
            trust: None,
            admin: Admin::Fake,
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            pool: None,
            process: None,
        }
    }

    fn named(mut self, name: &str, version: &str) -> Testee {
        self.label = TesteeTable {
            name: name.to_owned(),
            version: Some(version.to_owned()),
        };
        self
    }

    fn with_process(mut self, process: Process) -> Testee {
        self.process = Some(process);
        self
    }

    /// Why the case cannot run here, if it cannot.
    ///
    /// `probe` is what a first login showed. Where none succeeded nothing is known, and the cases show it themselves.
    pub(crate) fn lacks(
        &self,
        session: &Session,
        transport: Transport,
        probe: Option<&Probe>,
    ) -> Option<String> {
        for need in &session.needs {
            let there = match need {
                Need::Feature(name) => probe.is_none_or(|probe| {
                    tidewire_codec::Feature::from_name(name)
                        .is_some_and(|feature| probe.features.contains(&feature.0))
                }),
                Need::MaxFrame(bytes) => probe.is_none_or(|probe| probe.max_frame >= *bytes),
                Need::Transport(needed) => self.has(*needed),
                other => self.capabilities.contains(&other.to_string()),
            };
            if !there {
                return Some(format!("the testee has no {need}"));
            }
        }
        let mut used = session
            .actors
            .iter()
            .map(|actor| actor.transport.unwrap_or(transport));
        if let Some(missing) = used.find(|used| !self.has(*used)) {
            return Some(format!("the testee has no address for {missing}"));
        }
        let users: BTreeSet<&str> = session
            .actors
            .iter()
            .map(|actor| actor.user.as_str())
            .collect();
        match &self.pool {
            Some(pool) if pool.size() < users.len() => Some(format!(
                "it needs {} users, and there are {}",
                users.len(),
                pool.size()
            )),
            _ => None,
        }
    }

    /// What a report says of it; `probe` is what a first login showed.
    pub(crate) fn facts(&self, probe: Option<&Probe>) -> TesteeFacts {
        let features = probe.map(|probe| probe.features.as_slice());
        let features = features.unwrap_or_default().iter();
        let transports = [Transport::Tcp, Transport::Ws, Transport::Tls].into_iter();
        TesteeFacts {
            name: self.label.name.clone(),
            version: self.label.version.clone(),
            role: Role::Server,
            features: features
                .map(|id| tidewire_codec::Feature(*id).to_string())
                .collect(),
            transports: transports
                .filter(|transport| self.has(*transport))
                .map(|transport| transport.to_string())
                .collect(),
            capabilities: self.capabilities.iter().cloned().collect(),
        }
    }

    fn has(&self, transport: Transport) -> bool {
        self.addresses().of(transport).is_some()
            && (transport != Transport::Tls || self.trust.is_some())
    }

    /// Where it listens for this transport, if it does.
    pub(crate) fn address(&self, transport: Transport) -> Option<String> {
        self.addresses().of(transport).map(str::to_owned)
    }

    fn addresses(&self) -> Addresses {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Opens a connection, with a tap on it if there is one.
    pub(crate) async fn open(
        &self,
        transport: Transport,
        opening: &Opening,
        tap: Option<Tap>,
        budget: Duration,
    ) -> Result<Connection, OpenError> {
        Connection::open(
            &self.addresses(),
            transport,
            opening,
            self.trust.as_ref(),
            tap,
            budget,
        )
        .await
    }

    /// Opens a connection over this transport, or over what the testee has: whoever sits between has no wish.
    pub(crate) async fn open_any(
        &self,
        transport: Transport,
        opening: &Opening,
        budget: Duration,
    ) -> Result<Connection, OpenError> {
        let others = [Transport::Tcp, Transport::Ws, Transport::Tls];
        let found = std::iter::once(transport)
            .chain(others)
            .find(|found| self.has(*found));
        self.open(found.unwrap_or(transport), opening, None, budget)
            .await
    }

    /// Whether something listens where the run connects to: where nothing does, every case would say so.
    ///
    /// # Errors
    /// Where, and why not.
    pub async fn reach(&self, transport: Transport, budget: Duration) -> Result<(), StartError> {
        let addresses = self.addresses();
        // Without an address the cases are not run, and say that.
        let Some(address) = addresses.of(transport) else {
            return Ok(());
        };
        transport::reach(address, budget)
            .await
            .map_err(|reason| StartError::new(format!("no server at {address}: {reason}")))
    }

    /// Makes users, and gives a token for each.
    pub(crate) async fn provision(
        &self,
        users: &[String],
    ) -> Result<HashMap<String, String>, AdminError> {
        self.admin.provision(users).await
    }

    /// Stops the testee and starts it again on the same data.
    pub(crate) async fn restart(
        &self,
        graceful: bool,
        down_ms: Option<u64>,
    ) -> Result<(), AdminError> {
        match &self.process {
            // A process that is killed says no goodbye, and its clock stands still while it is down.
            Some(process) if process.kills() && !graceful && down_ms.is_none() => {
                self.kill_and_start(process, false).await
            }
            _ => self.admin.restart(graceful, down_ms).await,
        }
    }

    /// Kills the testee and starts it without anything that it had stored.
    pub(crate) async fn start_empty(&self) -> Result<(), AdminError> {
        match &self.process {
            Some(process) => self.kill_and_start(process, true).await,
            None => Err(AdminError(
                "the store of a testee that runs elsewhere cannot be emptied".to_owned(),
            )),
        }
    }

    async fn kill_and_start(&self, process: &Process, forget: bool) -> Result<(), AdminError> {
        let fail = |error: StartError| AdminError(error.to_string());
        let written = process
            .kill_and_start(&self.addresses(), forget)
            .await
            .map_err(fail)?;
        self.admin.renew(written.admin).map_err(fail)?;
        if let Some(addresses) = written.server {
            *self
                .addresses
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = addresses;
        }
        Ok(())
    }

    /// Switches a fault on or off.
    pub(crate) async fn fault(&self, switch: FaultSwitch) -> Result<(), AdminError> {
        self.admin.fault(switch).await
    }
}
