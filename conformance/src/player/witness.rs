//! The witness: a user of the run's own that logs in afresh, to see that a server that closed is not a server that died.
//! Before the cases it measures the round trip and learns the features.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, Value};
use tidewire_codec::{Feature, FrameType, limits};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::expect::body_of;
use super::pooled::{message, send};
use super::{Miss, Stage};
use crate::testee::{AdminError, Testee};
use crate::transport::{Connection, Incoming, Opening};
use crate::verdict::FailureClass;

/// A device of its own for each of so many checks at once; a user may have eight.
const SLOTS: usize = 4;

/// Who looks whether the server still serves.
pub(crate) struct Witness {
    token: std::sync::Mutex<Option<Bytes>>,
    slots: [Mutex<()>; SLOTS],
    next: std::sync::atomic::AtomicUsize,
}

/// What the first login showed.
#[derive(Clone, Debug)]
pub(crate) struct Probe {
    /// The middle one of some round trips.
    pub(crate) round_trip: Duration,
    /// What the testee enables.
    pub(crate) features: Vec<u32>,
    /// The longest body that it takes.
    pub(crate) max_frame: u32,
}

impl Witness {
    /// Makes the user of the witness. Where users cannot be made, there is no witness: it would take one from the cases.
    pub(crate) async fn new(testee: &Testee, run: &str) -> Result<Witness, AdminError> {
        let witness = Witness {
            token: Default::default(),
            slots: Default::default(),
            next: Default::default(),
        };
        if testee.pool.is_none() {
            witness.renew(testee, run).await?;
        }
        Ok(witness)
    }

    /// Makes the user anew: the testee may have forgotten it.
    pub(super) async fn renew(&self, testee: &Testee, run: &str) -> Result<(), AdminError> {
        let user = format!("{run}.witness");
        let mut tokens = testee.provision(std::slice::from_ref(&user)).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) =
            tokens.remove(&user).map(Bytes::from);
        Ok(())
    }

    fn token(&self) -> Option<Bytes> {
        self.token
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a new connection is served right now; `None` where there is no witness.
    pub(super) async fn is_served(&self, stage: &Stage) -> Option<bool> {
        self.token()?;
        // Whether the testee lives has nothing to do with what a mutant makes of it.
        let plain = Stage {
            mutation: None,
            ..stage.clone()
        };
        Some(self.check(&plain).await.is_ok())
    }

    /// A new connection logs in and gets the PONG to its PING.
    pub(super) async fn check(&self, stage: &Stage) -> Result<(), Miss> {
        let Some(token) = self.token() else {
            return Ok(());
        };
        let slot = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % SLOTS;
        let Some(lock) = self.slots.get(slot) else {
            return Ok(());
        };
        // One at a time on a device, or the next login would replace this one.
        let _held = lock.lock().await;
        let failed = |miss: Miss| Miss {
            class: match miss.class {
                FailureClass::NothingCame => FailureClass::NothingCame,
                _ => FailureClass::WitnessFailed,
            },
            expected: "a new connection logs in and fences".to_owned(),
            ..miss
        };
        let (mut connection, _) = quick_login(stage, token, device(slot))
            .await
            .map_err(failed)?;
        ping(&mut connection, 2, stage.budget).await.map_err(failed)
    }

    /// Logs in, and measures.
    pub(crate) async fn probe(&self, stage: &Stage) -> Option<Probe> {
        let token = match (self.token(), &stage.testee.pool) {
            (Some(token), _) => token,
            (None, Some(pool)) => pool
                .borrow(1)
                .await
                .accounts()
                .first()?
                .token
                .clone()
                .into(),
            (None, None) => return None,
        };
        let (mut connection, login_ok) = quick_login(stage, token, device(0)).await.ok()?;
        let features = login_ok.get_field_by_name("features")?;
        let features = features
            .as_list()?
            .iter()
            .filter_map(Value::as_u32)
            .collect();
        let max_frame = super::login::announced(&login_ok).unwrap_or(limits::MAX_FRAME_DEFAULT);
        let mut times = Vec::new();
        for reference in 2..9 {
            let start = Instant::now();
            ping(&mut connection, reference, stage.budget).await.ok()?;
            times.push(start.elapsed());
        }
        times.sort();
        let round_trip = times.get(times.len() / 2).copied()?;
        if stage.testee.pool.is_some() {
            let mut logout = message("Logout").ok()?;
            logout
                .try_set_field_by_name("forget_device", Value::Bool(true))
                .ok()?;
            send(
                &mut connection,
                FrameType::LOGOUT,
                100,
                &logout,
                stage.budget,
            )
            .await
            .ok()?;
            while let Incoming::Frame(_) = connection.receive(Instant::now() + stage.budget).await {
            }
        }
        Some(Probe {
            round_trip,
            features,
            max_frame,
        })
    }
}

fn device(slot: usize) -> Bytes {
    let mut id = *b"conformance-wit0";
    if let (Some(last), Ok(slot)) = (id.last_mut(), u8::try_from(slot)) {
        *last += slot;
    }
    Bytes::copy_from_slice(&id)
}

/// Waits for the PONG to a PING; what comes before it is of no interest.
pub(super) async fn ping(
    connection: &mut Connection,
    reference: u32,
    budget: Duration,
) -> Result<(), Miss> {
    send(
        connection,
        FrameType::PING,
        reference,
        &message("Ping")?,
        budget,
    )
    .await?;
    let deadline = Instant::now() + budget;
    loop {
        match connection.receive(deadline).await {
            Incoming::Frame(frame)
                if frame.frame_type == FrameType::PONG && frame.reference == reference =>
            {
                return Ok(());
            }
            Incoming::Frame(frame) if frame.frame_type == FrameType::GOAWAY => {
                return Err(Miss::new(
                    FailureClass::ClosedInsteadOfAnswering,
                    "PONG",
                    "GOAWAY",
                ));
            }
            Incoming::Frame(_) => {}
            Incoming::Nothing => {
                return Err(Miss::new(FailureClass::NothingCame, "PONG", "nothing"));
            }
            Incoming::Closed => {
                return Err(Miss::new(
                    FailureClass::ClosedInsteadOfAnswering,
                    "PONG",
                    "closed",
                ));
            }
            Incoming::Broken(what) => {
                return Err(Miss::new(FailureClass::BrokenFraming, "PONG", what));
            }
        }
    }
}

/// Opens a connection and logs in, outside of the steps of any case. Entries are left to the caller.
pub(super) async fn quick_login(
    stage: &Stage,
    token: Bytes,
    device: Bytes,
) -> Result<(Connection, DynamicMessage), Miss> {
    let budget = stage.budget;
    let tap = stage.taps().map(|taps| taps.tap("witness"));
    let opened = stage
        .testee
        .open(stage.transport, &Opening::default(), tap, budget)
        .await;
    let mut connection = opened.map_err(|error| {
        Miss::new(
            FailureClass::NoConnection,
            "a connection",
            error.to_string(),
        )
    })?;
    let mut login = message("Login")?;
    let features = Feature::ALL
        .iter()
        .map(|feature| Value::U32(feature.0))
        .collect();
    for (field, value) in [
        ("version_min", Value::U32(1)),
        ("version_max", Value::U32(1)),
        ("features", Value::List(features)),
        ("token", Value::Bytes(token)),
        ("device_id", Value::Bytes(device)),
        ("event_limit", Value::U64(1_000_000)),
        ("agent", Value::String("conformance".to_owned())),
    ] {
        login
            .try_set_field_by_name(field, value)
            .map_err(Miss::harness)?;
    }
    send(&mut connection, FrameType::LOGIN, 1, &login, budget).await?;
    match connection.receive(Instant::now() + budget).await {
        Incoming::Frame(frame) if frame.frame_type == FrameType::LOGIN_OK => {
            connection.set_max_frame(limits::MAX_FRAME_DEFAULT);
            let body = body_of(&frame)?.ok_or_else(|| Miss::harness("no message LoginOk"))?;
            Ok((connection, body))
        }
        Incoming::Frame(frame) => Err(Miss::new(
            FailureClass::WrongFrame,
            "LOGIN_OK",
            super::expect::describe(&frame),
        )),
        Incoming::Nothing => Err(Miss::new(FailureClass::NothingCame, "LOGIN_OK", "nothing")),
        Incoming::Closed => Err(Miss::new(
            FailureClass::ClosedInsteadOfAnswering,
            "LOGIN_OK",
            "closed",
        )),
        Incoming::Broken(what) => Err(Miss::new(FailureClass::BrokenFraming, "LOGIN_OK", what)),
    }
}
