//! A running adapter: requests go out, answers come back to whoever asked, events go to the client that they are of.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::channel::{Channel, Sink, Source, Tail};
use super::file::AdapterFile;
use super::protocol::{self, Answer, Event, Hello, Line};
use super::{AdapterFault, PROTOCOL};

/// Until the hello: what builds itself first has to do that elsewhere.
const HELLO_BUDGET: Duration = Duration::from_secs(10);
/// The events of one client that may wait to be looked at: far more than any case makes.
const EVENTS_BOUND: usize = 65_536;
/// The requests that wait to be written.
const REQUESTS_BOUND: usize = 1_024;

/// An adapter that said hello. It is killed when the last handle to it is dropped.
#[derive(Clone)]
pub(crate) struct Adapter(Arc<Shared>);

/// The events of one client, as they come.
pub(crate) type ClientEvents = mpsc::Receiver<Event>;

struct Shared {
    hello: Hello,
    lines: mpsc::Sender<String>,
    state: Arc<Mutex<State>>,
    tail: Tail,
    can_crash: bool,
    child: Mutex<Option<Child>>,
    tasks: [JoinHandle<()>; 2],
}

struct State {
    next_id: u64,
    pending: HashMap<u64, oneshot::Sender<Answer>>,
    /// Requests whose answer is not waited for any more.
    abandoned: HashSet<u64>,
    clients: HashMap<String, mpsc::Sender<Event>>,
    /// Clients that were closed: what is on its way of them is let pass.
    closed: HashSet<String>,
    fault: Option<AdapterFault>,
}

impl State {
    /// Whatever still waits is told by the drop of its sender.
    fn fail(&mut self, fault: AdapterFault) {
        self.fault.get_or_insert(fault);
        self.pending.clear();
        self.clients.clear();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Adapter {
    /// Starts it and exchanges hellos. `announce` is told where an adapter that dials in is awaited.
    ///
    /// # Errors
    /// If it does not start, its hello does not come or says something that cannot be, or it claims to know an op that
    /// nobody can know.
    pub(crate) async fn start(
        file: &AdapterFile,
        announce: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Adapter, AdapterFault> {
        let mut channel = Channel::open(&file.adapter, announce).await?;
        let tail = channel.tail.clone();
        let said = |fault: AdapterFault| match tail.lines().last() {
            Some(last) => AdapterFault::new(format!("{fault}; stderr ends with: {last}")),
            None => fault,
        };
        let exchanged = timeout(HELLO_BUDGET, greet(&mut channel)).await;
        let hello = exchanged
            .unwrap_or_else(|_| Err(AdapterFault::new("no hello in time")))
            .map_err(&said)?;
        if hello.protocol != PROTOCOL {
            let spoken = hello.protocol;
            return Err(AdapterFault::new(format!(
                "the adapter speaks protocol {spoken}, and the runner {PROTOCOL}"
            )));
        }
        if !hello.roles.iter().any(|role| role == file.role.name()) {
            return Err(AdapterFault::new(format!(
                "the adapter is no {}: its hello says {:?}",
                file.role.name(),
                hello.roles
            )));
        }
        let adapter = Adapter::run(hello, channel);
        adapter.probe().await.map_err(said)?;
        Ok(adapter)
    }

    fn run(hello: Hello, channel: Channel) -> Adapter {
        let (lines, to_write) = mpsc::channel(REQUESTS_BOUND);
        let state = Arc::new(Mutex::new(State {
            next_id: 1,
            pending: HashMap::new(),
            abandoned: HashSet::new(),
            clients: HashMap::new(),
            closed: HashSet::new(),
            fault: None,
        }));
        let tasks = [
            tokio::spawn(read(channel.source, Arc::clone(&state))),
            tokio::spawn(write(channel.sink, to_write)),
        ];
        Adapter(Arc::new(Shared {
            hello,
            lines,
            state,
            tail: channel.tail,
            can_crash: channel.child.is_some(),
            child: Mutex::new(channel.child),
            tasks,
        }))
    }

    /// An op that nobody can know has to be `unsupported`: who says ok to it says ok to everything.
    async fn probe(&self) -> Result<(), AdapterFault> {
        let op = format!("probe-{:08x}", crate::run::fresh_seed() & 0xffff_ffff);
        match self.ask(&op, None, Map::new(), HELLO_BUDGET).await? {
            Answer::Unsupported => Ok(()),
            answer => Err(AdapterFault::new(format!(
                "the adapter is not honest: to {op:?}, which is no op, it answers {answer:?} and not unsupported"
            ))),
        }
    }

    pub(crate) fn hello(&self) -> &Hello {
        &self.0.hello
    }

    /// True if it is a process, which can be killed.
    pub(crate) fn can_crash(&self) -> bool {
        self.0.can_crash
    }

    /// What made it useless, if anything did.
    pub(crate) fn fault(&self) -> Option<AdapterFault> {
        self.state().fault.clone()
    }

    /// The last lines of its stderr.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.0.tail.lines()
    }

    /// The events of a client that the next `open` makes.
    pub(crate) fn subscribe(&self, client: &str) -> ClientEvents {
        let (sender, receiver) = mpsc::channel(EVENTS_BOUND);
        let mut state = self.state();
        // After a breach nobody sends, and the receiver shows that.
        if state.fault.is_none() {
            state.clients.insert(client.to_owned(), sender);
        }
        receiver
    }

    /// A client is gone.
    pub(crate) fn unsubscribe(&self, client: &str) {
        let mut state = self.state();
        if state.clients.remove(client).is_some() {
            state.closed.insert(client.to_owned());
        }
    }

    /// Asks for an op and waits for the answer.
    ///
    /// # Errors
    /// If the adapter is gone, breaks the protocol, or does not answer within the budget; then it is of no more use.
    pub(crate) async fn ask(
        &self,
        op: &str,
        client: Option<&str>,
        arguments: Map<String, Value>,
        budget: Duration,
    ) -> Result<Answer, AdapterFault> {
        let asked = timeout(budget, async {
            let (_, answer) = self.send(op, client, arguments).await?;
            answer.await.map_err(|_| self.gone_fault())
        });
        match asked.await {
            Ok(answer) => answer,
            Err(_) => {
                let fault = AdapterFault::new(format!(
                    "the adapter hangs: no answer to {op:?} within {} s",
                    budget.as_secs_f32()
                ));
                self.kill(fault.clone());
                Err(self.fault().unwrap_or(fault))
            }
        }
    }

    /// Asks for an op without arguments, and gives up after the budget; the answer may come later, or never.
    ///
    /// # Errors
    /// If the adapter is gone or breaks the protocol.
    pub(crate) async fn ask_for(
        &self,
        client: &str,
        op: &str,
        budget: Duration,
    ) -> Result<Option<Answer>, AdapterFault> {
        let (id, answer) = self.send(op, Some(client), Map::new()).await?;
        match timeout(budget, answer).await {
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(_)) => Err(self.gone_fault()),
            Err(_) => {
                let mut state = self.state();
                state.pending.remove(&id);
                state.abandoned.insert(id);
                Ok(None)
            }
        }
    }

    async fn send(
        &self,
        op: &str,
        client: Option<&str>,
        arguments: Map<String, Value>,
    ) -> Result<(u64, oneshot::Receiver<Answer>), AdapterFault> {
        let (sender, answer) = oneshot::channel();
        let (id, line) = {
            let mut state = self.state();
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            let id = state.next_id;
            state.next_id += 1;
            state.pending.insert(id, sender);
            (id, protocol::request(id, op, client, arguments))
        };
        // If the writer is gone the adapter is, and the answer will not come.
        let _ = self.0.lines.send(line).await;
        Ok((id, answer))
    }

    fn gone_fault(&self) -> AdapterFault {
        self.fault()
            .unwrap_or_else(|| AdapterFault::new("the adapter is gone"))
    }

    /// Ends the process as a crash would, and gives nobody an answer any more.
    pub(crate) fn crash(&self) {
        self.kill(AdapterFault::new("the runner killed the adapter"));
    }

    /// Waits until the process is gone, if it is one.
    pub(crate) async fn gone(&self) {
        let child = self
            .0
            .child
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(mut child) = child {
            // A child that cannot be waited for is not there any more.
            let _ = child.wait().await;
        }
    }

    fn kill(&self, fault: AdapterFault) {
        self.state().fail(fault);
        let mut child = self.0.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = child.as_mut() {
            // It may have ended by itself.
            let _ = child.start_kill();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn greet(channel: &mut Channel) -> Result<Hello, AdapterFault> {
    // An adapter that is gone already shows it by its silence.
    let _ = channel.sink.send(protocol::hello()).await;
    let Some(line) = channel.source.next().await? else {
        return Err(AdapterFault::new("the adapter ended before its hello"));
    };
    match protocol::parse(&line) {
        Ok(Line::Hello(hello)) => Ok(hello),
        Ok(_) => Err(AdapterFault::of_line("the first line is no hello", &line)),
        Err(error) => Err(AdapterFault::of_line(error, &line)),
    }
}

async fn write(mut sink: Sink, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        // What cannot be written will not be answered; the reader sees the end.
        if sink.send(line).await.is_err() {
            return;
        }
    }
}

async fn read(mut source: Source, state: Arc<Mutex<State>>) {
    let fault = loop {
        let line = match source.next().await {
            Ok(Some(line)) => line,
            Ok(None) => break AdapterFault::new("the adapter ended"),
            Err(fault) => break fault,
        };
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = take(&mut state, &line) {
            break AdapterFault::of_line(error, &line);
        }
    };
    state
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .fail(fault);
}

/// Gives a line to whom it is for.
fn take(state: &mut State, line: &str) -> Result<(), String> {
    match protocol::parse(line)? {
        Line::Hello(_) => Err("a second hello".to_owned()),
        Line::Reply { id, .. } if state.abandoned.remove(&id) => Ok(()),
        Line::Reply { id, answer } => {
            let asked = state
                .pending
                .remove(&id)
                .ok_or("an answer that nobody waits for")?;
            // Whoever asked may have given up.
            let _ = asked.send(answer);
            Ok(())
        }
        Line::Event(event) => match state.clients.get(&event.client) {
            Some(client) => match client.try_send(event) {
                Err(mpsc::error::TrySendError::Full(_)) => {
                    Err(format!("more than {EVENTS_BOUND} events of one client"))
                }
                // Nobody looks any more.
                _ => Ok(()),
            },
            None if state.closed.contains(&event.client) => Ok(()),
            None => Err(format!(
                "an event of {:?}, which no client is called",
                event.client
            )),
        },
    }
}
