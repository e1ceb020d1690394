//! Session files: one case each, with several actors. Reading is strict; what is read is a script that the player follows.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tidewire_codec::{Code, FrameType};

use crate::adapter::Role;
use crate::body::Body;
use crate::matcher::Matcher;
use crate::tree::{Fault, Node};
use crate::value::Expr;

mod check;
mod client;
mod expectation;
mod load;
mod parse;
mod verbs;

pub use load::{FixtureError, Sessions};
pub(crate) use load::{id_of, toml_files};
pub(crate) use verbs::ONCE;

/// One case.
#[derive(Clone, Debug)]
pub struct Session {
    /// `<family>/<file name>`.
    pub id: String,
    /// One line that says what is shown.
    pub title: String,
    /// What the testee must have.
    pub needs: BTreeSet<Need>,
    /// The valid case that this one spoils.
    pub twin: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// What the file says, word for word.
    pub(crate) source: Arc<str>,
    /// Whom it tests: a server, or a client SDK.
    pub(crate) role: Role,
    pub(crate) actors: Vec<Actor>,
    pub(crate) steps: Vec<Step>,
    pub(crate) sweep: Option<Sweep>,
    pub(crate) loose_end: bool,
}

impl Session {
    /// The family: the first part of the id.
    #[must_use]
    pub fn family(&self) -> &str {
        self.id
            .split_once('/')
            .map_or(self.id.as_str(), |(family, _)| family)
    }

    /// True if the case changes the testee for everybody, so that it runs alone.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.needs
            .iter()
            .any(|need| matches!(need, Need::Clock | Need::Restart | Need::Fault(_)))
    }

    /// The requirements that its steps prove, each once.
    #[must_use]
    pub fn covers(&self) -> BTreeSet<&str> {
        self.steps
            .iter()
            .flat_map(Step::proofs)
            .map(String::as_str)
            .collect()
    }

    /// What the step at this line says, without its actor and what it proves.
    pub(crate) fn source_of(&self, line: usize) -> impl Iterator<Item = &str> {
        let after = self.source.lines().skip(line);
        after
            .take_while(|text| !text.starts_with("[[") && !text.starts_with("[sweep"))
            .filter(|text| {
                let text = text.trim();
                let is_told_elsewhere = text.starts_with("actor ") || text.starts_with("proves ");
                !(text.is_empty() || text.starts_with('#') || is_told_elsewhere)
            })
    }

    /// True if it tests a client SDK.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.role == Role::Client
    }

    /// True if its steps run once for each variant of a sweep.
    #[must_use]
    pub fn is_sweep(&self) -> bool {
        self.sweep.is_some()
    }
}

/// Something that the testee must have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A feature by name.
    Feature(String),
    /// Virtual time can be advanced.
    Clock,
    /// It can be restarted.
    Restart,
    /// New users and tokens on demand.
    Provision,
    /// A fault can be switched on, by name.
    Fault(String),
    /// A transport: `tcp`, `ws` or `tls`.
    Transport(Transport),
    /// The server announces a max_frame of at least so many bytes.
    MaxFrame(u32),
}

impl std::fmt::Display for Need {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Need::Feature(name) => write!(f, "feature:{name}"),
            Need::Clock => f.write_str("clock"),
            Need::Restart => f.write_str("restart"),
            Need::Provision => f.write_str("provision"),
            Need::Fault(name) => write!(f, "fault:{name}"),
            Need::Transport(transport) => write!(f, "transport:{transport}"),
            Need::MaxFrame(bytes) => write!(f, "max-frame:{bytes}"),
        }
    }
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// WebSocket without TLS.
    Ws,
    /// TLS 1.3 over TCP.
    Tls,
}

impl Transport {
    pub(crate) fn from_name(name: &str) -> Option<Transport> {
        [Transport::Tcp, Transport::Ws, Transport::Tls]
            .into_iter()
            .find(|transport| transport.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Ws => "ws",
            Transport::Tls => "tls",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Who plays: one device on one connection at a time.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) transport: Option<Transport>,
    /// The SDK under test, and not the runner.
    pub(crate) testee: bool,
}

/// One step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    /// An index into the actors; `None` for the verbs without one.
    pub(crate) actor: Option<usize>,
    pub(crate) proves: Vec<String>,
    pub(crate) action: Action,
}

impl Step {
    /// What it and its alternatives prove.
    pub(crate) fn proofs(&self) -> impl Iterator<Item = &String> {
        let inner: &[Expect] = match &self.action {
            Action::ExpectSet(all) | Action::OneOf(all) => all,
            _ => &[],
        };
        self.proves
            .iter()
            .chain(inner.iter().flat_map(|expect| expect.proves.iter()))
    }
}

/// What a step does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Connect {
        preface: Option<Expr>,
        subprotocol: Option<String>,
        refused: bool,
    },
    Login(Login),
    Send(Send),
    Expect {
        expect: Expect,
        times: Expr,
    },
    ExpectSet(Vec<Expect>),
    OneOf(Vec<Expect>),
    Quiet,
    Goaway(Expect),
    Closed,
    Raw {
        bytes: Expr,
        split: Option<usize>,
        text: bool,
    },
    Reading(bool),
    Cut,
    Close,
    /// In milliseconds.
    Clock(Expr),
    Restart {
        graceful: bool,
        goaways: Vec<usize>,
        down_ms: Option<Expr>,
    },
    Admin(Admin),
    Fault(FaultSwitch),
    Bind(Vec<(String, Expr)>),
    Sdk(SdkAction),
}

/// What a step does that only an SDK under test can do, or have done to it.
#[derive(Clone, Debug)]
pub(crate) enum SdkAction {
    /// Makes the client, with these arguments over the usual ones.
    Open(Vec<(String, Expr)>),
    /// A frame of the SDK passes.
    Sees {
        expect: Expect,
        times: Expr,
        name: Option<String>,
    },
    /// A frame of any type passes, as a sign of life.
    SeesAny,
    /// Something that nobody knows was in what passed on this connection.
    SeesGrease,
    /// No frame of these types passed.
    Unseen(Vec<FrameType>),
    /// A frame that the server did not send.
    Inject {
        send: Send,
        to: Option<String>,
        close: bool,
    },
    /// Rules of the tap, which may hold variables.
    Wire(Vec<Node>),
    Refuse(bool),
    Event {
        name: String,
        to: Option<String>,
        frame_type: Option<FrameType>,
        matcher: Option<Matcher>,
    },
    NoEvent(Vec<String>),
    State(Matcher),
    /// The SDK's time goes on, by so many milliseconds, so often.
    Clock {
        ms: Expr,
        times: Expr,
    },
    Crash,
    App {
        op: String,
        arguments: Vec<(String, Expr)>,
    },
}

/// LOGIN and what comes back.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    pub(crate) body: Body,
    /// Fields that are left out although they have a default.
    pub(crate) absent: Vec<String>,
    pub(crate) ok: Option<Matcher>,
    pub(crate) synced: bool,
    pub(crate) raw: bool,
    /// What the LOGIN of an SDK has to hold.
    pub(crate) seen: Option<Matcher>,
    pub(crate) name: Option<String>,
}

/// A fault that is switched on or off.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FaultSwitch {
    StoreFull(bool),
    /// `None` is the bound as it was.
    MaxInbox(Option<u64>),
    MaxGroupMembers(Option<u64>),
}

/// A frame type or a code that stands in the file, or the variable that holds it.
#[derive(Clone, Debug)]
pub(crate) enum Known<T> {
    Now(T),
    Later(Expr),
}

/// A frame, or many of a kind.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) frame: Known<FrameType>,
    pub(crate) body: Payload,
    pub(crate) extra: Option<Expr>,
    /// None is set where the step says nothing.
    pub(crate) flags: Option<Expr>,
    pub(crate) reference: Option<Expr>,
    pub(crate) name: Option<String>,
    pub(crate) times: Expr,
    /// An SDK takes it, and nothing passes yet.
    pub(crate) offline: bool,
}

impl Send {
    /// The type, where the file says it.
    pub(crate) fn frame_type(&self) -> Option<FrameType> {
        match &self.frame {
            Known::Now(frame_type) => Some(*frame_type),
            Known::Later(_) => None,
        }
    }
}

/// What the app of an SDK hears of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Heard {
    /// What the frame means, and at once.
    #[default]
    Now,
    /// It may come once what lies before it is there; the steps behind this one see it.
    Later,
    /// Nothing.
    Never,
}

/// What a frame that is sent carries.
#[derive(Clone, Debug)]
pub(crate) enum Payload {
    Empty,
    Fields(Body),
    Raw(Expr),
}

/// A frame that has to come.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub(crate) line: usize,
    pub(crate) frame: Known<FrameType>,
    /// The code, where the step is `error` or `goaway`.
    pub(crate) code: Option<Known<Code>>,
    pub(crate) to: Option<String>,
    pub(crate) reference: Option<Expr>,
    pub(crate) flags: Option<Expr>,
    pub(crate) body: Option<Matcher>,
    pub(crate) exact: bool,
    /// What the app of an SDK hears of it.
    pub(crate) heard: Heard,
    pub(crate) proves: Vec<String>,
}

/// The operators' back door.
#[derive(Clone, Debug)]
pub(crate) enum Admin {
    NewToken {
        user: String,
        ttl_ms: Option<Expr>,
        bind: Option<String>,
    },
    RevokeToken {
        token: Expr,
    },
    DeleteUser {
        user: String,
    },
    NewUser {
        user: String,
        bind: Option<String>,
    },
    NewUsers {
        count: Expr,
        bind: String,
    },
}

/// One case with many results.
#[derive(Clone, Debug)]
pub(crate) enum Sweep {
    Split {
        step: usize,
    },
    Truncate {
        step: usize,
    },
    Bits {
        step: usize,
        first: usize,
        last: usize,
        allow: Vec<Outcome>,
    },
    Values(Vec<Expr>),
}

/// What may follow a frame with a flipped bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Frame(FrameType),
    Coded(FrameType, Code),
    Nothing,
}

/// A case that its author got wrong.
pub(crate) type Parsed<T> = Result<T, Fault>;

impl FaultSwitch {
    /// The name of the capability that it needs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            FaultSwitch::StoreFull(_) => "store-full",
            FaultSwitch::MaxInbox(_) => "max-inbox",
            FaultSwitch::MaxGroupMembers(_) => "max-group-members",
        }
    }
}

#[cfg(test)]
mod tests;
