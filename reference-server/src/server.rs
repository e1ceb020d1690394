//! A running server: listeners, the engine behind them, and its end.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tidewire_core::api::{AdminOp, Millis};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot, watch};
use tokio::task::JoinSet;
use tracing::info;

use crate::admin;
use crate::clock::Clock;
use crate::disk;
use crate::engine::{Engine, FullCause, Gone, Msg, Setup};
use crate::token::{Token, random_text};
use crate::transport::{self, Hub, Identity, Transport};
use crate::users_file::{Addresses, Admin, User, UsersFile};

/// How a server is to be.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) tcp: Option<SocketAddr>,
    pub(crate) ws: Option<SocketAddr>,
    pub(crate) tls: Option<SocketAddr>,
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) allow_plain: bool,
    pub(crate) identity: TlsIdentity,
    pub(crate) admin_key: Option<String>,
    pub(crate) virtual_clock: bool,
    pub(crate) testing: bool,
    pub(crate) max_connections: usize,
    pub(crate) min_free: u64,
    pub(crate) core: tidewire_core::Config,
}

/// Where the certificate comes from.
#[derive(Clone, Debug)]
pub(crate) enum TlsIdentity {
    /// Made by the server, in its data folder.
    Development,
    /// The operator's.
    Files(Identity),
}

/// Conditions that tests set. They hold across restarts inside the process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) store_full: bool,
    pub(crate) max_inbox: Option<usize>,
    pub(crate) max_group_members: Option<usize>,
}

/// What listeners and operators share.
pub(crate) struct Shared {
    engine: watch::Sender<Option<Engine>>,
    setup: Setup,
    /// The end of the engine that runs; also what makes restarts take turns.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    faults: std::sync::Mutex<Faults>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) testing: bool,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) shared: Arc<Shared>,
    pub(crate) addresses: Addresses,
    pub(crate) admin_url: Option<String>,
    pub(crate) admin_key: String,
    tasks: JoinSet<()>,
}

impl Server {
    /// Starts everything. When it returns the server answers.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Server> {
        for (what, address) in [
            ("TCP", config.tcp),
            ("WebSocket", config.ws),
            ("admin API", config.admin),
        ] {
            refuse_plain(what, address, config.allow_plain)?;
        }
        let clock = Arc::new(if config.virtual_clock {
            Clock::virtual_time()
        } else {
            Clock::real()
        });
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        let setup = Setup {
            data: config.data.clone(),
            core: config.core.clone(),
            clock,
            seed: u64::from_be_bytes(seed),
        };
        let (engine, ended) = start_engine(&setup).await?;
        let disk = disk::Watch {
            folder: config.data.clone(),
            min_free: config.min_free,
        };
        if disk.is_full() {
            let _ = engine.send(Msg::Full {
                cause: FullCause::Disk,
                full: true,
            });
        }
        let (engine, engines) = watch::channel(Some(engine));
        let hub = Arc::new(Hub::new(engines.clone(), config.max_connections));
        let shared = Arc::new(Shared {
            engine,
            setup,
            ended: Mutex::new(Some(ended)),
            faults: std::sync::Mutex::default(),
            hub,
            testing: config.testing,
        });
        let admin_key = config.admin_key.clone().map_or_else(random_text, Ok)?;
        let mut server = Server {
            shared,
            addresses: Addresses::default(),
            admin_url: None,
            admin_key,
            tasks: JoinSet::new(),
        };
        server.tasks.spawn(disk.run(engines));
        server.listen(&config).await?;
        Ok(server)
    }

    async fn listen(&mut self, config: &Config) -> anyhow::Result<()> {
        self.addresses.tcp = self.listen_on(config.tcp, Transport::Tcp).await?;
        self.addresses.ws = self.listen_on(config.ws, Transport::Ws).await?;
        if config.tls.is_some() {
            let identity = match &config.identity {
                TlsIdentity::Files(identity) => identity.clone(),
                TlsIdentity::Development => {
                    let (identity, ca) = Identity::for_development(&config.data)?;
                    self.addresses.ca = Some(std::path::absolute(ca)?);
                    identity
                }
            };
            let acceptor = transport::acceptor(&identity)?;
            self.addresses.tls = self.listen_on(config.tls, Transport::Tls(acceptor)).await?;
        }
        if let Some(listener) = bind(config.admin).await? {
            self.admin_url = Some(format!("http://{}", listener.local_addr()?));
            let serve = admin::serve(listener, Arc::clone(&self.shared), &self.admin_key);
            self.tasks.spawn(serve);
        }
        Ok(())
    }

    async fn listen_on(
        &mut self,
        address: Option<SocketAddr>,
        transport: Transport,
    ) -> anyhow::Result<Option<SocketAddr>> {
        let Some(listener) = bind(address).await? else {
            return Ok(None);
        };
        let address = listener.local_addr()?;
        self.tasks.spawn(transport::listen(
            listener,
            transport,
            Arc::clone(&self.shared.hub),
        ));
        Ok(Some(address))
    }

    /// What programs need to know to use this server.
    pub(crate) fn users_file(&self, users: &[(&str, Token)]) -> UsersFile {
        let admin = self.admin_url.clone().map(|url| Admin {
            url,
            key: self.admin_key.clone(),
            capabilities: self.shared.capabilities(),
            features: features(),
        });
        let users = users
            .iter()
            .map(|(id, token)| User::new(id, token))
            .collect();
        UsersFile {
            server: self.addresses.clone(),
            admin,
            users,
        }
    }

    /// Stops accepting, says goodbye to every session, keeps what was accepted.
    pub(crate) async fn stop(mut self) {
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        self.shared.stop_engine(true).await;
    }
}

impl Shared {
    /// What operators can have done here beyond the protocol.
    pub(crate) fn capabilities(&self) -> Vec<&'static str> {
        let mut capabilities = vec!["provision"];
        if self.testing {
            capabilities.extend([
                "restart",
                "fault:store-full",
                "fault:max-inbox",
                "fault:max-group-members",
            ]);
            if self.setup.clock.is_virtual() {
                capabilities.push("clock");
            }
        }
        capabilities
    }

    /// Carries out an operator's wishes in one burst.
    pub(crate) async fn admin(
        &self,
        ops: Vec<AdminOp>,
    ) -> Result<Vec<tidewire_core::api::AdminReply>, Gone> {
        let engine = self
            .engine
            .subscribe()
            .wait_for(Option::is_some)
            .await
            .map_err(|_| Gone)?
            .clone();
        engine.ok_or(Gone)?.admin(ops).await
    }

    /// The time of the server.
    pub(crate) fn now(&self) -> Millis {
        self.setup.clock.now()
    }

    /// Moves virtual time. `None`: time is real.
    pub(crate) async fn advance(&self, by: Duration) -> Option<Millis> {
        if !self.setup.clock.is_virtual() {
            return None;
        }
        // No restart in between.
        let _turn = self.ended.lock().await;
        let to = later(self.now(), by);
        let engine = self.engine.borrow().clone()?;
        let (done, is_done) = oneshot::channel();
        engine.send(Msg::Advance { to, done }).ok()?;
        is_done.await.ok()?;
        Some(self.now())
    }

    /// Stops the engine and starts another one on the same data. All connections end.
    pub(crate) async fn restart(&self, graceful: bool, down: Duration) -> anyhow::Result<()> {
        let mut ended = self.ended.lock().await;
        self.end(&mut ended, graceful).await;
        if self.setup.clock.is_virtual() {
            self.setup.clock.advance_to(later(self.now(), down));
        }
        let (engine, has_ended) = start_engine(&self.setup).await?;
        *ended = Some(has_ended);
        self.apply(&engine, self.faults()).await;
        self.engine.send_replace(Some(engine));
        info!(graceful, "restarted");
        Ok(())
    }

    pub(crate) fn faults(&self) -> Faults {
        *self
            .faults
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Sets the conditions for a test, for this engine and those after it.
    pub(crate) async fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        let faults = {
            let mut faults = self
                .faults
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            change(&mut faults);
            *faults
        };
        let engine = self.engine.borrow().clone();
        if let Some(engine) = engine {
            self.apply(&engine, faults).await;
        }
    }

    async fn apply(&self, engine: &Engine, faults: Faults) {
        if !self.testing {
            return;
        }
        let _ = engine.send(Msg::Full {
            cause: FullCause::Fault,
            full: faults.store_full,
        });
        // The answer comes after the message before it was dealt with as well.
        let ops = vec![
            AdminOp::SetMaxInbox(faults.max_inbox),
            AdminOp::SetMaxGroupMembers(faults.max_group_members),
        ];
        let _ = engine.admin(ops).await;
    }

    async fn stop_engine(&self, graceful: bool) {
        let mut ended = self.ended.lock().await;
        self.end(&mut ended, graceful).await;
    }

    async fn end(&self, ended: &mut Option<oneshot::Receiver<()>>, graceful: bool) {
        if let Some(engine) = self.engine.send_replace(None) {
            let _ = engine.send(Msg::Stop { graceful });
        }
        if let Some(ended) = ended.take() {
            let _ = ended.await;
        }
    }
}

/// Names of the features that the server may enable.
fn features() -> Vec<String> {
    [
        tidewire_codec::Feature::DEVICES,
        tidewire_codec::Feature::STATUS_GET,
        tidewire_codec::Feature::GROUPS,
        tidewire_codec::Feature::EXPIRY_SET,
    ]
    .map(|feature| feature.to_string())
    .to_vec()
}

fn later(time: Millis, by: Duration) -> Millis {
    Millis(
        time.0
            .saturating_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX)),
    )
}

async fn start_engine(setup: &Setup) -> anyhow::Result<(Engine, oneshot::Receiver<()>)> {
    let setup = setup.clone();
    Ok(tokio::task::spawn_blocking(move || Engine::start(&setup)).await??)
}

async fn bind(address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))?;
    Ok(Some(listener))
}

//= spec/01-framing.md#transports
//# [FRM-007] The server MUST refuse plain TCP on addresses other than loopback unless its operator asked for it.
fn refuse_plain(what: &str, address: Option<SocketAddr>, allowed: bool) -> anyhow::Result<()> {
    match address {
        Some(address) if !address.ip().is_loopback() && !allowed => {
            bail!("{what} on {address} would be readable by others: use TLS, or say --allow-plain")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_needs_loopback_or_a_word() {
        let cases = [
            ("127.0.0.1:1", false, true),
            ("[::1]:1", false, true),
            ("0.0.0.0:1", false, false),
        ];
        for (address, allowed, fine) in cases.into_iter().chain([("10.0.0.1:1", true, true)]) {
            assert_eq!(
                refuse_plain("TCP", address.parse().ok(), allowed).is_ok(),
                fine,
                "{address}"
            );
        }
        assert!(refuse_plain("TCP", None, false).is_ok());
    }
}
