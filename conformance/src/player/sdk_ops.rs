//! What the player has an SDK do: ops of its adapter, opening its client, killing it, ending it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep_until};

use super::mutated::Mutated;
use super::sdk::{Client, SdkLink};
use super::{Miss, Player};
use crate::adapter::{AdapterFault, Answer};
use crate::ladder::Event;
use crate::mutant::{Asked, merge};
use crate::report::Direction;
use crate::sdk::gate::{Between, Gate};
use crate::value::{Scope, Val, hex};
use crate::verdict::FailureClass;

/// The time that an op may take: it is no message over a network, but a busy machine is slow.
pub(super) const OP_BUDGET: Duration = Duration::from_secs(6);

impl Player<'_> {
    /// Asks the adapter for an op of this client, and gives what it answers, as it is.
    pub(super) async fn try_op(
        &mut self,
        actor: usize,
        op: &str,
        arguments: Json,
    ) -> Result<Answer, Miss> {
        let Json::Object(arguments) = arguments else {
            return Err(Miss::harness("the arguments of an op are an object"));
        };
        let shown = shown(op, &arguments);
        self.ladder.push(Event::Adapter {
            actor,
            direction: Direction::Received,
            text: shown,
        });
        let link = self.sdk_mut(actor)?;
        let Some(client) = &link.client else {
            return Err(Miss::harness("this client is not open"));
        };
        let (adapter, name) = (client.adapter.clone(), client.name.clone());
        let (arguments, changes) = match &mut link.mutant {
            None => (arguments, Map::new()),
            Some(mutant) => match mutant.ask(op, arguments) {
                Asked::Ask(arguments, changes) => (arguments, changes),
                Asked::Answered(answer) => return Ok(answer),
            },
        };
        let mut answer = adapter
            .ask(op, Some(&name), arguments, OP_BUDGET)
            .await
            .map_err(broke)?;
        if let Answer::Ok(fields) = &mut answer {
            merge(fields, &changes);
        }
        self.catch_up(actor)?;
        Ok(answer)
    }

    /// Asks for a fence; `None` if its answer does not come, for which a server that is silent is to blame as well.
    pub(super) async fn ask_fence(
        &mut self,
        actor: usize,
        budget: Duration,
    ) -> Result<Option<Answer>, Miss> {
        self.note(Some(actor), "asks: fence");
        let link = self.sdk_mut(actor)?;
        let Some(client) = &link.client else {
            return Err(Miss::harness("this client is not open"));
        };
        let (adapter, name) = (client.adapter.clone(), client.name.clone());
        let answer = adapter.ask_for(&name, "fence", budget).await;
        let answer = answer.map_err(broke)?;
        self.catch_up(actor)?;
        Ok(answer)
    }

    /// A connection that ends may be the death of an adapter, which shows when it is asked.
    pub(super) async fn blame(&mut self, miss: Miss) -> Miss {
        if miss.class == FailureClass::Adapter {
            return miss;
        }
        for actor in 0..self.session.actors.len() {
            let can_tell = self
                .sdk(actor)
                .is_some_and(|link| link.client.is_some() && link.pool.hello().can("state"));
            if can_tell
                && let Err(broken) = self.op(actor, "state", json!({})).await
                && broken.class == FailureClass::Adapter
            {
                return broken.of(actor);
            }
        }
        miss
    }

    /// An op that has to be done.
    pub(super) async fn op(
        &mut self,
        actor: usize,
        op: &str,
        arguments: Json,
    ) -> Result<Map<String, Json>, Miss> {
        let expected = format!("the SDK does {op}");
        match self.try_op(actor, op, arguments).await? {
            Answer::Ok(fields) => Ok(fields),
            Answer::Err { code, text } => Err(Miss::new(
                FailureClass::RefusedByClient,
                expected,
                format!("{code} {text}").trim_end().to_owned(),
            )),
            Answer::Unsupported => Err(Miss::new(
                FailureClass::RefusedByClient,
                expected,
                "unsupported, although the hello lists it",
            )),
        }
    }

    /// Opens the client: it begins to connect to its gate.
    pub(super) async fn sdk_open(
        &mut self,
        actor: usize,
        given: Map<String, Json>,
    ) -> Result<(), Miss> {
        self.sdk_gate(actor).await?;
        let known = self.session.actors.get(actor);
        let known = known.ok_or_else(|| Miss::harness("no such actor"))?;
        let (user, name) = (known.user.clone(), known.name.clone());
        let token = self.world.lookup(&format!("t.{user}"));
        let device = self.world.lookup(&format!("d.{name}"));
        let (Some(Val::Bytes(token)), Some(Val::Bytes(device))) = (token, device) else {
            return Err(Miss::harness(format!("{name} has no token")));
        };
        let token = String::from_utf8(token.to_vec()).map_err(Miss::harness)?;
        let prefix = self.world.user(&name);
        // As adapters take it: 32 bits.
        let seed = self.stage.seed & u64::from(u32::MAX);
        let link = self.sdk_mut(actor)?;
        if link.client.is_some() {
            return Err(Miss::harness("this client is open already"));
        }
        let adapter = match link.is_own {
            true => link.pool.own().await,
            false => link.pool.shared().await,
        };
        let adapter = adapter.map_err(broke)?;
        link.opened += 1;
        link.arrivals = 0;
        let client = format!("{prefix}.{}", link.opened);
        link.manual_clock = match given.get("manual_clock") {
            Some(Json::Bool(manual)) => *manual,
            _ => link.pool.hello().can("clock"),
        };
        let store = link.store().map_err(Miss::harness)?;
        let mut arguments = json!({
            "url": link.gate.as_ref().map(Gate::url),
            "token": token,
            "store": store,
            "device": hex(&device),
            "manual_ack": link.is_led,
            "manual_clock": link.manual_clock,
            "seed": seed & u64::from(u32::MAX),
        });
        if let Json::Object(arguments) = &mut arguments {
            arguments.extend(given);
        }
        let events = adapter.subscribe(&client);
        link.client = Some(Client {
            adapter,
            name: client,
            events,
        });
        if let Some(gate) = &link.gate {
            gate.refuse(false);
        }
        self.op(actor, "open", arguments).await.map(drop)
    }

    /// The gate that this actor's SDK connects to, which is there before the SDK.
    pub(super) async fn sdk_gate(&mut self, actor: usize) -> Result<&Gate, Miss> {
        let server = Arc::clone(&self.stage.testee);
        let known = self.session.actors.get(actor);
        let known = known.ok_or_else(|| Miss::harness("no such actor"))?.clone();
        let between = Between {
            actor: known.name.clone(),
            case: Arc::clone(&self.wire),
            mutant: self.taps.as_ref().map(super::mutated::Taps::behind),
            pcap: self.pcap.clone(),
        };
        let link = self.sdk_mut(actor)?;
        if link.gate.is_none() {
            let transport = crate::sdk::transport(&link.pool, &known)
                .ok_or_else(|| broke(AdapterFault::new("the hello names neither tcp nor ws")))?;
            let gate = Gate::open(server, transport, link.is_led, between).await;
            link.gate = Some(gate.map_err(Miss::harness)?);
        }
        link.gate.as_ref().ok_or_else(|| Miss::harness("no gate"))
    }

    /// Kills the adapter. What lies in the store is what the next `open` finds.
    pub(super) async fn sdk_crash(&mut self, actor: usize) -> Result<(), Miss> {
        self.note(Some(actor), "the SDK's process is killed");
        let link = self.sdk_mut(actor)?;
        if let Some(client) = link.client.take() {
            client.adapter.crash();
            client.adapter.gone().await;
        }
        if link.mutant.as_ref().is_some_and(Mutated::loses_store) {
            link.store = None;
        }
        link.told.clear();
        let deadline = Instant::now() + self.stage.budget;
        self.sdk_gone(actor, deadline).await?;
        let link = self.sdk_mut(actor)?;
        link.told.clear();
        link.from_sdk.clear();
        link.to_sdk.clear();
        link.connected = false;
        Ok(())
    }

    /// Waits until the gate saw the end of the connection, with no client to listen to.
    async fn sdk_gone(&mut self, actor: usize, deadline: Instant) -> Result<(), Miss> {
        loop {
            self.catch_up(actor)?;
            let Some(Some(link)) = self.sdks.get_mut(actor) else {
                return Ok(());
            };
            let Some(gate) = link.gate.as_mut().filter(|_| link.is_open) else {
                return Ok(());
            };
            let seen = tokio::select! {
                seen = gate.seen.recv() => seen,
                () = sleep_until(deadline) => None,
            };
            match seen {
                Some(seen) => link.pass(actor, seen, &mut self.ladder)?,
                None => return Ok(()),
            }
        }
    }

    /// The clients of the case are closed, whatever it came to; what an adapter has to say last is shown with a failure.
    pub(super) async fn end_sdks(&mut self) {
        for actor in 0..self.sdks.len() {
            let Some(Some(link)) = self.sdks.get_mut(actor) else {
                continue;
            };
            // So that nothing of this case comes back while the client ends.
            if let Some(gate) = &link.gate {
                gate.refuse(true);
            }
            let Some(client) = link.client.take() else {
                continue;
            };
            let closing = client
                .adapter
                .ask("close", Some(&client.name), Map::new(), OP_BUDGET);
            // An adapter that cannot even close is broken, which the next case sees.
            let _ = closing.await;
            client.adapter.unsubscribe(&client.name);
            if link.is_own {
                client.adapter.crash();
                client.adapter.gone().await;
            }
        }
    }

    /// The last words of the adapters of this case.
    pub(super) fn stderr(&self) -> Vec<String> {
        let clients = self.sdks.iter().flatten();
        let adapters = clients.filter_map(|link| link.client.as_ref());
        adapters
            .flat_map(|client| client.adapter.stderr())
            .collect()
    }
}

impl SdkLink {
    fn store(&mut self) -> std::io::Result<PathBuf> {
        if self.store.is_none() {
            self.store = Some(TempDir::with_prefix("tidewire-client-")?);
        }
        Ok(self
            .store
            .as_ref()
            .map(|store| store.path().to_owned())
            .unwrap_or_default())
    }
}

/// The adapter broke its contract.
pub(super) fn broke(fault: AdapterFault) -> Miss {
    Miss::new(
        FailureClass::Adapter,
        "the adapter keeps to its protocol",
        fault.to_string(),
    )
}

fn shown(op: &str, arguments: &Map<String, Json>) -> String {
    // A folder and a token say nothing to a reader.
    let told = arguments.iter().filter(|(name, _)| {
        !matches!(name.as_str(), "store" | "token" | "url" | "device" | "seed")
    });
    let told: Map<String, Json> = told
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let text = Json::Object(told).to_string();
    let head: String = text.chars().take(160).collect();
    format!("{op} {head}")
}
