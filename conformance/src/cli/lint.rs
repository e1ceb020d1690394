//! `lint-adapter`: holds an adapter against its protocol, before any case: schemas, answers, odd arguments, the end.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use prost_reflect::ReflectMessage;
use serde_json::{Map, Value, json};

use super::target::{TargetArgs, announce};
use super::{EXIT_HARNESS, complain};
use crate::adapter::{Adapter, AdapterFault, AdapterFile, Answer, Event, Role};
use crate::session::Transport;
use crate::testee::Testee;

#[derive(Debug, clap::Args)]
pub(super) struct LintArgs {
    /// The testee file of the adapter.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// An answer that takes longer is none.
const BUDGET: Duration = Duration::from_secs(5);
/// The client whose whole life is played.
const CLIENT: &str = "lint-1";

/// Arguments that make no sense, whatever the op.
fn nonsense(role: Role) -> Value {
    match role {
        Role::Codec => json!({ "body": 7, "hex": "zz", "pieces": "no", "type": [] }),
        _ => {
            json!({ "url": 7, "body": [], "pos": {}, "advance_ms": "soon", "token": 7, "type": 7 })
        }
    }
}

/// What was found.
#[derive(Default)]
struct Findings {
    faults: usize,
    /// The adapter ended, hung or wrote what it may not.
    is_broken: bool,
}

impl Findings {
    fn say(&mut self, is_right: bool, what: &str) {
        self.faults += usize::from(!is_right);
        let word = if is_right { "ok   " } else { "FAULT" };
        // Whoever closed the pipe has seen enough.
        let _ = writeln!(anstream::stdout(), "{word}  {what}");
    }

    /// The adapter is of no more use: what it was asked, what became of it, and what it wrote to stderr.
    fn broke(&mut self, adapter: &Adapter, asked: &str, fault: &AdapterFault) {
        self.is_broken = true;
        self.say(false, &format!("{fault}, asked: {asked}"));
        for line in adapter.stderr() {
            let _ = writeln!(anstream::stdout(), "       stderr: {line}");
        }
    }

    async fn ask(
        &mut self,
        adapter: &Adapter,
        op: &str,
        client: Option<&str>,
        arguments: Value,
    ) -> Result<Answer, Broken> {
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        };
        let asked = format!("{op} {}", Value::Object(arguments.clone()));
        let answer = adapter.ask(op, client, arguments, BUDGET).await;
        answer.map_err(|fault| {
            self.broke(adapter, &asked, &fault);
            Broken
        })
    }

    async fn ask_ok(
        &mut self,
        adapter: &Adapter,
        op: &str,
        arguments: Value,
    ) -> Result<Map<String, Value>, Broken> {
        match self.ask(adapter, op, Some(CLIENT), arguments).await? {
            Answer::Ok(fields) => {
                self.say(true, &format!("{op} is answered with ok"));
                Ok(fields)
            }
            other => {
                self.say(
                    false,
                    &format!("{op} is answered with ok, and not {other:?}"),
                );
                Ok(Map::new())
            }
        }
    }
}

/// The adapter cannot be asked anything more; the findings say why.
struct Broken;

pub(super) fn run(args: &LintArgs) -> u8 {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    let mut findings = Findings::default();
    let linted = runtime.block_on(lint(args, &mut findings));
    match linted {
        Err(code) => code,
        Ok(()) if findings.is_broken => EXIT_HARNESS,
        Ok(()) => u8::from(findings.faults > 0),
    }
}

async fn lint(args: &LintArgs, findings: &mut Findings) -> Result<(), u8> {
    let file = AdapterFile::read(&args.file).map_err(|error| complain(&error.to_string()))?;
    let adapter = start(&file).await?;
    findings.say(true, "hello, and an op that nobody knows is unsupported");
    if file.role != Role::Codec {
        for op in ["open", "send", "ack", "fence", "close"] {
            let has = adapter.hello().can(op);
            findings.say(
                has,
                &format!("the hello lists {op}, which every client needs"),
            );
        }
        let server = TargetArgs::reference().start_one().await?;
        // What it broke on is said; the rest is asked of another process.
        let _: Result<(), Broken> = session(&adapter, &server, findings).await?;
    }
    let mut adapter = adapter;
    for op in adapter.hello().ops.clone() {
        if adapter.fault().is_some() {
            adapter = start(&file).await?;
        }
        // The next op is asked of another process if this one broke.
        let _: Result<(), Broken> = odd(&adapter, &op, file.role, findings).await;
    }
    Ok(())
}

async fn start(file: &AdapterFile) -> Result<Adapter, u8> {
    let started = Adapter::start(file, &announce).await;
    started.map_err(|fault| {
        complain(&format!("the adapter broke its protocol: {fault}"));
        EXIT_HARNESS
    })
}

/// Arguments that make no sense are refused, and the adapter lives on.
async fn odd(
    adapter: &Adapter,
    op: &str,
    role: Role,
    findings: &mut Findings,
) -> Result<(), Broken> {
    let client = (role != Role::Codec).then_some("lint-nobody");
    match findings.ask(adapter, op, client, nonsense(role)).await? {
        Answer::Unsupported => {
            findings.say(false, &format!("{op}, which the hello lists, is not known"));
        }
        answer => findings.say(
            matches!(answer, Answer::Err { .. }),
            &format!(
                "{op} with arguments that make no sense is answered with err: {}",
                nonsense(role)
            ),
        ),
    }
    Ok(())
}

/// A client from `open` to `close`, and what it may not say after it.
async fn session(
    adapter: &Adapter,
    server: &Testee,
    findings: &mut Findings,
) -> Result<Result<(), Broken>, u8> {
    let user = format!("lint-{:x}", crate::run::fresh_seed() & 0xff_ffff);
    let made = server.provision(std::slice::from_ref(&user)).await;
    let tokens = made.map_err(|error| complain(&error.to_string()))?;
    let store = tempfile::tempdir().map_err(|error| complain(&error.to_string()))?;
    let (name, transport) = match adapter.hello().transports.iter().any(|name| name == "tcp") {
        true => ("tcp", Transport::Tcp),
        false => ("ws", Transport::Ws),
    };
    let address = server
        .address(transport)
        .ok_or_else(|| complain("the reference server has no address"))?;
    let host = address.rsplit('/').find(|part| !part.is_empty());
    let opening = json!({
        "url": format!("{name}://{}", host.unwrap_or(&address)), "token": tokens.get(&user), "store": store.path(),
        "device": "00112233445566778899aabbccddeeff", "manual_ack": true, "seed": 7,
    });
    Ok(life(adapter, &user, opening, findings).await)
}

async fn life(
    adapter: &Adapter,
    user: &str,
    opening: Value,
    findings: &mut Findings,
) -> Result<(), Broken> {
    let mut events = adapter.subscribe(CLIENT);
    findings.ask_ok(adapter, "open", opening).await?;
    let seen = until(&mut events, "synced").await;
    let order: Vec<&str> = seen.iter().map(|event| event.name.as_str()).collect();
    findings.say(
        order.first() == Some(&"connected") && order.last() == Some(&"synced"),
        &format!("after open come connected and synced: {}", order.join(", ")),
    );
    let message = json!({ "message": "m1", "body": { "to_user": user, "delivery": "STORE", "content": "6869" } });
    findings.ask_ok(adapter, "send", message).await?;
    let told = until(&mut events, "accepted").await;
    let accepted = told.last().filter(|event| event.name == "accepted");
    findings.say(
        accepted.is_some_and(|event| event.text("message") == Some("m1")),
        "accepted names the message as it was given",
    );
    if adapter.hello().can("state") {
        let state = findings.ask_ok(adapter, "state", json!({})).await?;
        findings.say(
            is_whole_state(&state),
            "state says connected, pos, outbox and attempts, each in its type",
        );
    }
    findings.ask_ok(adapter, "fence", json!({})).await?;
    findings.ask_ok(adapter, "close", json!({})).await?;
    // Another client's question lies between: what the closed one has to say would have come.
    let other = Some("lint-nobody");
    findings.ask(adapter, "state", other, json!({})).await?;
    let mut late = Vec::new();
    while let Ok(event) = events.try_recv() {
        late.push(event.describe());
    }
    late.retain(|event| !event.starts_with("status") && !event.starts_with("disconnected"));
    findings.say(
        late.is_empty(),
        "a client says nothing after its close was answered",
    );
    let gone = findings
        .ask(adapter, "fence", Some(CLIENT), json!({}))
        .await?;
    findings.say(
        matches!(gone, Answer::Err { .. }),
        "a closed client refuses what it is asked",
    );
    adapter.unsubscribe(CLIENT);
    Ok(())
}

fn is_whole_state(state: &Map<String, Value>) -> bool {
    crate::sdk::events::message_of("state", state).is_ok_and(|state| {
        ["connected", "outbox", "attempts"].iter().all(|field| {
            let known = state.descriptor().get_field_by_name(field);
            known.is_some_and(|field| state.has_field(&field))
        })
    })
}

/// The events up to the first of this name, or those that came in time.
async fn until(events: &mut crate::adapter::ClientEvents, name: &str) -> Vec<Event> {
    let mut seen = Vec::new();
    let waited = tokio::time::timeout(BUDGET, async {
        while let Some(event) = events.recv().await {
            let is_it = event.name == name;
            seen.push(event);
            if is_it {
                return;
            }
        }
    });
    // What did not come in time is not among those that did.
    let _ = waited.await;
    seen
}
