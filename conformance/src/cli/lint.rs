//! `lint-adapter`: holds an adapter against its protocol, before any case: schemas, answers, odd arguments, the end.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use prost_reflect::ReflectMessage;
use serde_json::{Map, Value, json};

use super::target::{TargetArgs, start_sdk};
use super::{EXIT_HARNESS, complain};
use crate::adapter::{Adapter, AdapterFault, AdapterFile, Answer, Event, Role};
use crate::testee::Testee;

#[derive(Debug, clap::Args)]
pub(super) struct LintArgs {
    /// The testee file of the adapter.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// An answer that takes longer is none.
const BUDGET: Duration = Duration::from_secs(5);

/// What was found.
#[derive(Default)]
struct Findings {
    faults: usize,
}

impl Findings {
    fn say(&mut self, is_right: bool, what: &str) {
        self.faults += usize::from(!is_right);
        let word = if is_right { "ok   " } else { "FAULT" };
        // Whoever closed the pipe has seen enough.
        let _ = writeln!(anstream::stdout(), "{word}  {what}");
    }
}

pub(super) fn run(args: &LintArgs) -> u8 {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    let mut findings = Findings::default();
    let linted = runtime.block_on(async {
        let file = AdapterFile::read(&args.file).map_err(|error| complain(&error.to_string()))?;
        match file.role {
            Role::Codec => codec(&file, &mut findings).await,
            _ => client(args, &mut findings).await,
        }
    });
    match linted {
        Err(code) => code,
        Ok(()) => u8::from(findings.faults > 0),
    }
}

fn broken(fault: &AdapterFault) -> u8 {
    complain(&format!("the adapter broke its protocol: {fault}"));
    EXIT_HARNESS
}

async fn codec(file: &AdapterFile, findings: &mut Findings) -> Result<(), u8> {
    let quiet = |_: String| ();
    let adapter = Adapter::start(file, &quiet).await;
    let adapter = adapter.map_err(|fault| broken(&fault))?;
    findings.say(true, "hello, and an op that nobody knows is unsupported");
    for op in adapter.hello().ops.clone() {
        let silly = json!({ "body": 7, "hex": "zz", "pieces": "no", "type": [] });
        odd(&adapter, &op, None, silly, findings).await?;
    }
    Ok(())
}

/// Silly arguments are refused, and the adapter lives on.
async fn odd(
    adapter: &Adapter,
    op: &str,
    client: Option<&str>,
    arguments: Value,
    findings: &mut Findings,
) -> Result<(), u8> {
    let Value::Object(arguments) = arguments else {
        return Ok(());
    };
    let asked = adapter.ask(op, client, arguments, BUDGET).await;
    let answer = asked.map_err(|fault| broken(&fault))?;
    let is_known = answer != Answer::Unsupported;
    findings.say(is_known, &format!("{op}, which the hello lists, is known"));
    let is_refused = matches!(answer, Answer::Err { .. });
    findings.say(
        is_refused || !is_known,
        &format!("{op} with arguments that make no sense is answered with err"),
    );
    Ok(())
}

async fn client(args: &LintArgs, findings: &mut Findings) -> Result<(), u8> {
    let sdk = start_sdk(&args.file).await?;
    findings.say(true, "hello, and an op that nobody knows is unsupported");
    let adapter = sdk.0.shared().await.map_err(|fault| broken(&fault))?;
    let server = TargetArgs::reference().start_one().await?;
    for op in ["open", "send", "ack", "fence", "close"] {
        let has = adapter.hello().can(op);
        findings.say(
            has,
            &format!("the hello lists {op}, which every client needs"),
        );
    }
    session(&adapter, &server, findings).await?;
    for op in adapter.hello().ops.clone() {
        let silly =
            json!({ "url": 7, "body": [], "pos": {}, "advance_ms": "soon", "token": 7, "type": 7 });
        odd(&adapter, &op, Some("lint-nobody"), silly, findings).await?;
    }
    findings.say(
        adapter.fault().is_none(),
        "each line is JSON, each answer is to a question, each event is of a client that is there",
    );
    Ok(())
}

/// A client from `open` to `close`, and what it may not say after it.
async fn session(adapter: &Adapter, server: &Testee, findings: &mut Findings) -> Result<(), u8> {
    let user = format!("lint-{:x}", crate::run::fresh_seed() & 0xff_ffff);
    let made = server.provision(std::slice::from_ref(&user)).await;
    let tokens = made.map_err(|error| complain(&error.to_string()))?;
    let store = tempfile::tempdir().map_err(|error| complain(&error.to_string()))?;
    let spoken = &adapter.hello().transports;
    let transport = if spoken.iter().any(|name| name == "tcp") {
        "tcp"
    } else {
        "ws"
    };
    let address = match transport {
        "tcp" => server.address(crate::session::Transport::Tcp),
        _ => server.address(crate::session::Transport::Ws),
    };
    let address = address.ok_or_else(|| complain("the reference server has no address"))?;
    let address = address
        .rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(&address);
    let name = "lint-1";
    let mut events = adapter.subscribe(name);
    let arguments = json!({
        "url": format!("{transport}://{address}"), "token": tokens.get(&user), "store": store.path(),
        "device": "00112233445566778899aabbccddeeff", "manual_ack": true, "seed": 7,
    });
    expect_ok(adapter, "open", name, arguments, findings).await?;
    let seen = until(&mut events, "synced").await;
    let order: Vec<&str> = seen.iter().map(|event| event.name.as_str()).collect();
    findings.say(
        order.first() == Some(&"connected") && order.last() == Some(&"synced"),
        "after open come connected and synced",
    );
    let message = json!({ "message": "m1", "body": { "to_user": user, "delivery": "STORE", "content": "6869" } });
    expect_ok(adapter, "send", name, message, findings).await?;
    let told = until(&mut events, "accepted").await;
    let accepted = told.last().filter(|event| event.name == "accepted");
    findings.say(
        accepted.is_some_and(|event| event.text("message") == Some("m1")),
        "accepted names the message as it was given",
    );
    if adapter.hello().can("state") {
        let state = expect_ok(adapter, "state", name, json!({}), findings).await?;
        let is_whole = crate::sdk::events::message_of("state", &state).is_ok_and(|state| {
            ["connected", "outbox", "attempts"].iter().all(|field| {
                state
                    .descriptor()
                    .get_field_by_name(field)
                    .is_some_and(|field| state.has_field(&field))
            })
        });
        findings.say(
            is_whole,
            "state says connected, pos, outbox and attempts, each in its type",
        );
    }
    expect_ok(adapter, "fence", name, json!({}), findings).await?;
    expect_ok(adapter, "close", name, json!({}), findings).await?;
    // Another client's whole life lies between: what the closed one has to say would have come.
    let probe = adapter
        .ask("state", Some("lint-nobody"), Map::new(), BUDGET)
        .await;
    probe.map_err(|fault| broken(&fault))?;
    let mut late = Vec::new();
    while let Ok(event) = events.try_recv() {
        late.push(event.describe());
    }
    late.retain(|event| !event.starts_with("status") && !event.starts_with("disconnected"));
    findings.say(
        late.is_empty(),
        "a client says nothing after its close was answered",
    );
    let gone = adapter.ask("fence", Some(name), Map::new(), BUDGET).await;
    let gone = gone.map_err(|fault| broken(&fault))?;
    findings.say(
        matches!(gone, Answer::Err { .. }),
        "a closed client refuses what it is asked",
    );
    adapter.unsubscribe(name);
    Ok(())
}

async fn expect_ok(
    adapter: &Adapter,
    op: &str,
    client: &str,
    arguments: Value,
    findings: &mut Findings,
) -> Result<Map<String, Value>, u8> {
    let Value::Object(arguments) = arguments else {
        return Ok(Map::new());
    };
    let answer = adapter.ask(op, Some(client), arguments, BUDGET).await;
    match answer.map_err(|fault| broken(&fault))? {
        Answer::Ok(fields) => {
            findings.say(true, &format!("{op} is answered with ok"));
            Ok(fields)
        }
        other => {
            findings.say(
                false,
                &format!("{op} is answered with ok, and not {other:?}"),
            );
            Ok(Map::new())
        }
    }
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
