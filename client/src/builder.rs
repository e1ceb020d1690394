//! Options of a client, and its start.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidewire_codec::Feature;
use tidewire_codec::limits::{
    DEVICE_ID_LEN, MAX_AGENT, MAX_FEATURES, MAX_FRAME_DEFAULT, MAX_FRAME_FLOOR, MAX_FRAME_HARD,
    MAX_TOKEN,
};
use tokio::sync::{mpsc, watch};

use crate::client::{Client, Events};
use crate::clock::Clock;
use crate::driver::{Driver, Link, SharedStore, lock};
use crate::engine::{Config, Engine};
use crate::error::{BuildError, ConnectError};
use crate::ids::{DeviceId, Millis};
use crate::store::{MemoryStore, Store, StoreError};
use crate::token::TokenSource;
use crate::url::Address;
use crate::wire::{Trust, Way};

/// Entries on their way to the app, in the connection and here.
const WINDOW: u32 = 256;
/// Requests that may wait.
const OUTBOX: usize = 1_024;
/// Events that are handed over at once. What stands in here counts as taken by the app.
const HANDED: usize = 16;
/// Commands that wait for the task.
const ASKS: usize = 64;

/// Options of a client. Made by [`Client::builder`](crate::Client::builder).
pub struct Builder {
    url: String,
    token: Option<Bytes>,
    tokens: Option<Box<dyn TokenSource>>,
    store: Option<Box<dyn Store>>,
    device: Option<DeviceId>,
    ca: Option<PathBuf>,
    server_name: Option<String>,
    allow_plain: bool,
    manual_clock: Option<Millis>,
    seed: Option<u64>,
    config: Config,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Builder {
        let features = [
            Feature::DEVICES,
            Feature::STATUS_GET,
            Feature::GROUPS,
            Feature::EXPIRY_SET,
        ];
        Builder {
            url: url.to_owned(),
            token: None,
            tokens: None,
            store: None,
            device: None,
            ca: None,
            server_name: None,
            allow_plain: false,
            manual_clock: None,
            seed: None,
            config: Config {
                features: features.map(|feature| feature.0).to_vec(),
                max_frame: MAX_FRAME_DEFAULT,
                window: u64::from(WINDOW),
                outbox: OUTBOX,
                keepalive_ms: None,
                manual_ack: false,
                grease: true,
                renews: false,
                agent: concat!("tidewire-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            },
        }
    }

    /// The credential.
    #[must_use]
    pub fn token(mut self, token: impl Into<Bytes>) -> Builder {
        self.token = Some(token.into());
        self
    }

    /// Where fresh credentials come from. Without one the app is told [`TokenNeeded`](crate::Event::TokenNeeded).
    #[must_use]
    pub fn token_source(mut self, tokens: impl TokenSource) -> Builder {
        self.tokens = Some(Box::new(tokens));
        self
    }

    /// Where the client keeps what has to outlive it. Without one it forgets, and is a new device at each start.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Builder {
        self.store = Some(Box::new(store));
        self
    }

    /// The id of this device where the store is new. Without one it is random.
    #[must_use]
    pub fn device(mut self, device: DeviceId) -> Builder {
        self.device = Some(device);
        self
    }

    /// The features that are offered; all that this crate knows if nothing is said.
    #[must_use]
    pub fn features(mut self, features: impl IntoIterator<Item = Feature>) -> Builder {
        self.config.features = features.into_iter().map(|feature| feature.0).collect();
        self
    }

    /// The certificates to trust, in a PEM file. Without one those that Mozilla trusts.
    #[must_use]
    pub fn ca(mut self, file: impl Into<PathBuf>) -> Builder {
        self.ca = Some(file.into());
        self
    }

    /// The name in the server's certificate, where it is not the host of the address.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Builder {
        self.server_name = Some(name.into());
        self
    }

    /// Allows `tcp://` and `ws://` to other machines. What is sent there can be read on the way, the credential too.
    #[must_use]
    pub fn allow_plain(mut self, allow: bool) -> Builder {
        self.allow_plain = allow;
        self
    }

    /// How long the line may be silent before somebody says something; the server keeps it between 15 seconds and 15
    /// minutes.
    #[must_use]
    pub fn keepalive(mut self, keepalive: Duration) -> Builder {
        self.config.keepalive_ms = Some(u32::try_from(keepalive.as_millis()).unwrap_or(u32::MAX));
        self
    }

    /// Longest body that is received, in bytes: from 16,384 to 1,048,576, 65,536 if nothing is said. Messages that are
    /// larger come without their content.
    #[must_use]
    pub fn max_frame(mut self, bytes: u32) -> Builder {
        self.config.max_frame = bytes;
        self
    }

    /// Entries that may be on their way to the app, at least 1; 256 if nothing is said. An app that takes none stops the
    /// server there.
    #[must_use]
    pub fn window(mut self, entries: u32) -> Builder {
        self.config.window = u64::from(entries);
        self
    }

    /// Requests that may wait in the outbox, at least 1; 1,024 if nothing is said.
    #[must_use]
    pub fn outbox(mut self, requests: usize) -> Builder {
        self.config.outbox = requests;
        self
    }

    /// The app stores what it gets, and says so with [`Client::ack`](crate::Client::ack). The client keeps no history then.
    #[must_use]
    pub fn manual_ack(mut self, manual: bool) -> Builder {
        self.config.manual_ack = manual;
        self
    }

    /// Whether values that nobody will ever assign are sent now and then, which keeps servers open to later versions; on if
    /// nothing is said.
    #[must_use]
    pub fn grease(mut self, grease: bool) -> Builder {
        self.config.grease = grease;
        self
    }

    /// Name and version of the app for the server's log, at most 64 bytes.
    #[must_use]
    pub fn agent(mut self, agent: impl Into<String>) -> Builder {
        self.config.agent = agent.into();
        self
    }

    /// For tests: waits and grease come from this seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// For tests: time begins here and stands still but for [`Client::advance`](crate::Client::advance).
    #[must_use]
    pub fn manual_clock(mut self, start: Millis) -> Builder {
        self.manual_clock = Some(start);
        self
    }

    /// Makes the client and returns at once; it connects by itself. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`BuildError::Url`] for an address of no known scheme, without host or port, or in the clear to another machine
    /// without [`allow_plain`](Builder::allow_plain); [`BuildError::Certificates`]; [`BuildError::Option`] for a token that
    /// is missing, empty or longer than 4,096 bytes, an agent longer than 64 bytes, more than 63 features, or a `max_frame`
    /// out of its bounds; [`BuildError::Store`]; [`BuildError::Random`].
    pub async fn start(mut self) -> Result<(Client, Events), BuildError> {
        self.check()?;
        let address = Address::parse(&self.url)?;
        if !address.scheme.is_encrypted() && !address.is_loopback() && !self.allow_plain {
            let reason =
                "in the clear, to another machine: use tls:// or wss://, or allow_plain".to_owned();
            return Err(BuildError::Url {
                url: self.url,
                reason,
            });
        }
        let trust = Trust::new(self.ca.as_deref(), self.server_name)?;
        let device = match self.device {
            Some(device) => device,
            None => random_device()?,
        };
        let seed = self
            .seed
            .map_or_else(|| random().map(u64::from_be_bytes), Ok)?;
        let store = self.store.unwrap_or_else(|| Box::new(MemoryStore::new()));
        let store: SharedStore = Arc::new(Mutex::new(store));
        let loading = Arc::clone(&store);
        let snapshot = tokio::task::spawn_blocking(move || lock(&loading).load())
            .await
            .map_err(|error| StoreError::Io(error.to_string()))??;
        let clock = self.manual_clock.map_or_else(Clock::real, Clock::Manual);
        self.config.renews = self.tokens.is_some();
        let engine = Engine::new(self.config, snapshot, device, self.token, seed, clock.now());
        let (asking, asks) = mpsc::channel(ASKS);
        let (telling, events) = mpsc::channel(HANDED);
        let (standing, stands) = watch::channel(engine.standing());
        let client = Client::new(asking, stands, Arc::downgrade(&store));
        let driver = Driver {
            engine,
            way: Way { address, trust },
            store,
            clock,
            tokens: self.tokens,
            asks,
            events: telling,
            standing,
            link: Link::default(),
        };
        tokio::spawn(driver.run());
        Ok((client, Events::new(events)))
    }

    /// Makes the client and waits for its first session.
    ///
    /// # Errors
    /// [`ConnectError::Build`] as [`start`](Builder::start); [`ConnectError::Credential`] if the server refuses the
    /// credential and there is no source of others; [`ConnectError::Stopped`] if the server turns the client away for good.
    /// A server that cannot be reached is no error: it is tried again, with growing waits. Put a time-out around the call,
    /// or use [`start`](Builder::start).
    pub async fn connect(self) -> Result<(Client, Events), ConnectError> {
        let (client, events) = self.start().await?;
        client.connected().await?;
        Ok((client, events))
    }

    fn check(&self) -> Result<(), BuildError> {
        let wrong = |what: &str| Err(BuildError::Option(what.to_owned()));
        match &self.token {
            None if self.tokens.is_none() => {
                return wrong("neither a token nor a source of tokens");
            }
            Some(token) if token.is_empty() || token.len() > MAX_TOKEN => {
                return wrong("a token has 1 to 4096 bytes");
            }
            _ => {}
        }
        if self.config.agent.len() > MAX_AGENT {
            return wrong("an agent has at most 64 bytes");
        }
        // One place is for grease.
        if self.config.features.len() >= MAX_FEATURES {
            return wrong("at most 63 features can be offered");
        }
        if !(MAX_FRAME_FLOOR..=MAX_FRAME_HARD).contains(&self.config.max_frame) {
            return wrong("max_frame is from 16384 to 1048576");
        }
        if self.config.outbox == 0 {
            return wrong("an outbox has room for at least one request");
        }
        Ok(())
    }
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], BuildError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| BuildError::Random(error.to_string()))?;
    Ok(bytes)
}

fn random_device() -> Result<DeviceId, BuildError> {
    let bytes: [u8; DEVICE_ID_LEN] = random()?;
    DeviceId::new(&bytes).ok_or_else(|| BuildError::Random("all zero".to_owned()))
}
