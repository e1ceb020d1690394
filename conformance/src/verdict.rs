//! Verdicts and failures: what a case came to, and all that is needed to see why.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a case came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every step came true.
    Pass,
    /// A step did not.
    Fail,
    /// Only a SHOULD was not kept.
    NonStrict,
    /// Only a MAY was not used: a fact, not a fault.
    Observed,
    /// The testee does not claim the feature.
    NotClaimed,
    /// The testee lacks a capability that the case needs.
    NotRun,
    /// The twin did not pass, so a refusal would prove nothing.
    Blocked,
    /// It timed out, alone too.
    Inconclusive,
    /// The adapter of the testee broke its contract.
    AdapterError,
    /// The runner or the testee's back door failed.
    HarnessError,
}

impl Verdict {
    /// Every verdict, in the order of the summary.
    pub const ALL: [Verdict; 10] = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::NonStrict,
        Verdict::Observed,
        Verdict::NotClaimed,
        Verdict::NotRun,
        Verdict::Blocked,
        Verdict::Inconclusive,
        Verdict::AdapterError,
        Verdict::HarnessError,
    ];

    /// The name, as in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::NonStrict => "non-strict",
            Verdict::Observed => "observed",
            Verdict::NotClaimed => "not-claimed",
            Verdict::NotRun => "not-run",
            Verdict::Blocked => "blocked",
            Verdict::Inconclusive => "inconclusive",
            Verdict::AdapterError => "adapter-error",
            Verdict::HarnessError => "harness-error",
        }
    }

    /// True if the testee kept what it must.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::NonStrict | Verdict::Observed)
    }

    /// True if the testee did not, or nothing shows that it did. What it does not claim is neither good nor bad.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        !self.is_good() && !matches!(self, Verdict::NotClaimed | Verdict::NotRun)
    }

    /// How bad it is, for who sorts by it or looks for the worst.
    #[must_use]
    pub const fn badness(self) -> u8 {
        match self {
            Verdict::Fail => 9,
            Verdict::AdapterError => 8,
            Verdict::HarnessError => 7,
            Verdict::Inconclusive => 6,
            Verdict::Blocked => 5,
            Verdict::NotRun => 4,
            Verdict::NotClaimed => 3,
            Verdict::NonStrict => 2,
            Verdict::Observed => 1,
            Verdict::Pass => 0,
        }
    }

    /// True if the steps were played.
    #[must_use]
    pub const fn is_executed(self) -> bool {
        !matches!(
            self,
            Verdict::NotClaimed | Verdict::NotRun | Verdict::Blocked
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The likely kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureClass {
    /// The connection ended where an answer was due.
    ClosedInsteadOfAnswering,
    /// Nothing came, and it is not known whether it would have.
    NothingCame,
    /// Nothing came although the connection was alive.
    NothingCameAlive,
    /// ERROR or GOAWAY has another code.
    WrongCode,
    /// A field is not as it must be.
    WrongField,
    /// Another type of frame came.
    WrongFrame,
    /// Flags or `ref` are not as they must be.
    WrongHeader,
    /// A frame came that nobody expected.
    ExtraFrame,
    /// The connection was not closed.
    NotClosed,
    /// A connection could not be opened, or was accepted where it must not be.
    NoConnection,
    /// The bytes were no frames.
    BrokenFraming,
    /// After the case the testee served nobody else any more.
    WitnessFailed,
    /// The SDK told its app something else, or told it wrongly.
    WrongEvent,
    /// The SDK told its app of something that nobody expected.
    ExtraEvent,
    /// The SDK would not do what its app asked for.
    RefusedByClient,
    /// The adapter broke its contract.
    Adapter,
    /// The codec writes other bytes, which do not mean the same.
    WrongBytes,
    /// The codec takes what breaks a rule.
    NotRefused,
    /// The codec refuses what breaks no rule.
    RefusedByCodec,
    /// The runner's side: a file, or the back door.
    Harness,
}

impl FailureClass {
    /// The verdict that such a failure leads to.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            FailureClass::NothingCame => Verdict::Inconclusive,
            FailureClass::Adapter => Verdict::AdapterError,
            FailureClass::Harness => Verdict::HarnessError,
            _ => Verdict::Fail,
        }
    }

    /// As a report says it.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            FailureClass::ClosedInsteadOfAnswering => "closed instead of answering",
            FailureClass::NothingCame => "nothing came",
            FailureClass::NothingCameAlive => "nothing came, and the connection lives",
            FailureClass::WrongCode => "wrong code",
            FailureClass::WrongField => "wrong field",
            FailureClass::WrongFrame => "wrong frame",
            FailureClass::WrongHeader => "wrong header",
            FailureClass::ExtraFrame => "extra frame",
            FailureClass::NotClosed => "not closed",
            FailureClass::NoConnection => "no connection",
            FailureClass::BrokenFraming => "broken framing",
            FailureClass::WitnessFailed => "the server does not serve others any more",
            FailureClass::WrongEvent => "the SDK tells its app something else",
            FailureClass::ExtraEvent => "the SDK tells its app too much",
            FailureClass::RefusedByClient => "the SDK refuses",
            FailureClass::Adapter => "the adapter broke its contract",
            FailureClass::WrongBytes => "other bytes",
            FailureClass::NotRefused => "takes what breaks a rule",
            FailureClass::RefusedByCodec => "refuses what breaks no rule",
            FailureClass::Harness => "harness",
        }
    }
}

/// The first divergence of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The likely kind.
    pub class: FailureClass,
    /// The line of the step in the case's file; 0 for what follows the last step.
    pub line: usize,
    /// The step as the file writes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step: Vec<String>,
    /// The actor whose connection showed it.
    pub actor: Option<String>,
    /// The requirements that the step proves.
    pub proves: Vec<String>,
    /// Where exactly: a field, a flag, a frame.
    pub at: String,
    /// What the step asks for.
    pub expected: String,
    /// What came.
    pub got: String,
    /// The variant of the sweep, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The last lines that the adapter wrote to stderr.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stderr: Vec<String>,
}
