//! Asking a codec, and what may come of it.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json};

use crate::adapter::{AdapterFault, AdapterPool, Answer};
use crate::verdict::FailureClass;

/// How long one answer may take: a codec waits for nothing.
const BUDGET: Duration = Duration::from_secs(5);
/// The bytes of a value that a report shows.
const SHOWN: usize = 400;

/// Whatever answers the ops of a codec.
pub(crate) trait Codec: Clone + Send + Sync + 'static {
    /// True if it says that it can do this.
    fn can(&self, op: &str) -> bool;

    /// Asks for an op and waits for the answer.
    fn ask(
        &self,
        op: &'static str,
        arguments: Map<String, Json>,
    ) -> impl Future<Output = Result<Answer, AdapterFault>> + Send;
}

/// A codec behind an adapter.
#[derive(Clone)]
pub(crate) struct AdapterCodec(pub(crate) Arc<AdapterPool>);

impl Codec for AdapterCodec {
    fn can(&self, op: &str) -> bool {
        self.0.hello().can(op)
    }

    async fn ask(
        &self,
        op: &'static str,
        arguments: Map<String, Json>,
    ) -> Result<Answer, AdapterFault> {
        let adapter = self.0.shared().await?;
        let answer = adapter.ask(op, None, arguments, BUDGET).await;
        answer.map_err(|fault| match adapter.stderr().last() {
            Some(last) => AdapterFault::new(format!("{fault}; stderr ends with: {last}")),
            None => fault,
        })
    }
}

/// Why a case does not pass.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// The codec is wrong.
    Wrong(Box<Wrong>),
    /// It does as it may, and not as most do.
    Other(String),
    /// It does not even pass what the case spoils.
    Blocked(String),
    /// It does not offer what the case needs.
    Lacks(String),
    /// The adapter broke its contract, or is gone.
    Fault(AdapterFault),
}

/// What is wrong.
#[derive(Clone, Debug)]
pub(super) struct Wrong {
    pub(super) class: FailureClass,
    pub(super) at: String,
    pub(super) expected: String,
    pub(super) got: String,
    /// The requirements that speak of it.
    pub(super) proves: Vec<String>,
    /// What the codec was asked, if one question shows it.
    pub(super) asked: Option<(&'static str, String, String)>,
}

impl Wrong {
    pub(super) fn new(
        class: FailureClass,
        at: impl Into<String>,
        expected: impl Into<String>,
        got: impl Into<String>,
    ) -> Box<Wrong> {
        Box::new(Wrong {
            class,
            at: at.into(),
            expected: expected.into(),
            got: got.into(),
            proves: Vec::new(),
            asked: None,
        })
    }

    /// The same with the requirements that speak of it.
    pub(super) fn proving<'a>(
        mut self: Box<Self>,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Box<Wrong> {
        self.proves = ids.into_iter().map(str::to_owned).collect();
        self
    }
}

impl From<Box<Wrong>> for Trouble {
    fn from(wrong: Box<Wrong>) -> Trouble {
        Trouble::Wrong(wrong)
    }
}

/// A question and its answer.
pub(super) struct Asked {
    op: &'static str,
    arguments: String,
    pub(super) answer: Map<String, Json>,
}

impl Asked {
    /// A fault with the question that shows it.
    pub(super) fn blame(&self, mut wrong: Box<Wrong>) -> Box<Wrong> {
        let answer = short(&Json::Object(self.answer.clone()));
        wrong.asked = Some((self.op, self.arguments.clone(), answer));
        wrong
    }
}

/// Asks; a refusal is a fault, because nothing that is asked may be refused.
pub(super) async fn ask<C: Codec>(
    codec: &C,
    op: &'static str,
    arguments: Json,
) -> Result<Asked, Trouble> {
    let shown = short(&arguments);
    let Json::Object(arguments) = arguments else {
        return Err(Trouble::Lacks("a question is an object".to_owned()));
    };
    let refused = |got: String| {
        let mut wrong = Wrong::new(FailureClass::RefusedByCodec, op, "an answer", &got);
        wrong.asked = Some((op, shown.clone(), got));
        Trouble::from(wrong)
    };
    match codec.ask(op, arguments).await {
        Ok(Answer::Ok(answer)) => Ok(Asked {
            op,
            arguments: shown,
            answer,
        }),
        Ok(Answer::Err { code, text }) => Err(refused(format!("err {code}: {text}"))),
        Ok(Answer::Unsupported) => Err(refused("unsupported, although the hello lists it".into())),
        Err(fault) => Err(Trouble::Fault(fault)),
    }
}

/// A value in a line, cut where it gets long.
pub(super) fn short(value: &Json) -> String {
    let mut head = Head(Vec::new());
    // What is too long is written as far as it is shown, and no further.
    let is_whole = serde_json::to_writer(&mut head, value).is_ok();
    let text = String::from_utf8_lossy(&head.0).into_owned();
    if is_whole { text } else { text + "..." }
}

/// Takes so many bytes, and then no more.
struct Head(Vec<u8>);

impl io::Write for Head {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(SHOWN.saturating_sub(self.0.len()));
        self.0.extend(bytes.iter().take(taken));
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
