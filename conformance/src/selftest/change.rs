//! Session files with one thing changed, which a correct testee must then not pass: a leaf of an expectation turned round,
//! an expectation left out, two neighbours in the other order.

use tidewire_codec::{Code, FrameType};

use crate::session::{Action, Expect, Known, Session, Step, Sweep};
use crate::value::{Expr, Val};

/// What was done to a case.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A leaf was turned round: what was right is wrong now.
    Flip,
    /// An expectation was left out: what comes is unexpected now.
    Drop,
    /// An expectation stands before what has to come first.
    Swap,
}

/// A changed case.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) kind: Kind,
    /// The line of the step.
    pub(crate) line: usize,
    /// Which leaf, which expectation.
    pub(crate) what: String,
    pub(crate) session: Session,
}

/// Every change of this case.
///
/// What only relaxes a case is not among them (a `quiet` left out, a `ge` instead of a `gt`): a correct testee passes it
/// still, and whether it matters is what mutants are there to show.
pub(crate) fn changes(session: &Session) -> Vec<Change> {
    let mut all = Vec::new();
    for (index, step) in session.steps.iter().enumerate() {
        let mut push = |kind: Kind, what: String, action: Option<Action>| {
            let mut changed = alone(session);
            match action {
                Some(action) => {
                    if let Some(slot) = changed.steps.get_mut(index) {
                        slot.action = action;
                    }
                }
                None => drop(changed.steps.remove(index)),
            }
            all.push(Change {
                kind,
                line: step.line,
                what,
                session: changed,
            });
        };
        let is_read = is_read_again(session, index);
        for (what, action) in flips(&step.action) {
            // SYNCED that is not waited for is left out.
            if is_read || what != SYNCED {
                push(Kind::Flip, what, Some(action));
            }
        }
        if !is_read {
            continue;
        }
        if let Some(what) = expects(&step.action) {
            push(Kind::Drop, what, None);
        }
        for (what, action) in fewer(&step.action) {
            push(Kind::Drop, what, Some(action));
        }
    }
    for (index, pair) in session.steps.windows(2).enumerate() {
        if let [first, second] = pair
            && let Some(what) = swaps(first, second)
        {
            let mut changed = alone(session);
            changed.steps.swap(index, index + 1);
            let line = second.line;
            all.push(Change {
                kind: Kind::Swap,
                line,
                what,
                session: changed,
            });
        }
    }
    all
}

/// The flip that does not wait for SYNCED.
const SYNCED: &str = "synced";

/// Whether somebody looks at what the connection of this step still holds: a later step on it, or the fence at the end.
/// What is left on a connection that is dropped was nobody's to see.
fn is_read_again(session: &Session, index: usize) -> bool {
    let actor = session.steps.get(index).and_then(|step| step.actor);
    for (number, step) in session.steps.iter().enumerate().skip(index + 1) {
        let is_mine = step.actor == actor;
        if is_mine && matches!(session.sweep, Some(Sweep::Truncate { step }) if step == number) {
            return false;
        }
        match &step.action {
            Action::Restart { .. } => return false,
            Action::Cut | Action::Connect { .. } if is_mine => return false,
            Action::Login(_) | Action::Close | Action::Closed | Action::Quiet if is_mine => {
                return true;
            }
            action if is_mine && expects(action).is_some() => return true,
            _ => {}
        }
    }
    !session.loose_end
}

/// The case without its twin, which passes as it is.
fn alone(session: &Session) -> Session {
    Session {
        twin: None,
        ..session.clone()
    }
}

fn flips(action: &Action) -> Vec<(String, Action)> {
    match action {
        Action::Expect { expect, times } => {
            let mut all: Vec<_> = expect_flips(expect)
                .into_iter()
                .map(|(what, expect)| {
                    let times = times.clone();
                    (what, Action::Expect { expect, times })
                })
                .collect();
            if let Expr::Literal(Val::Int(number)) = times {
                let times = Expr::Literal(Val::Int(number + 1));
                let expect = expect.clone();
                all.push(("times".to_owned(), Action::Expect { expect, times }));
            }
            all
        }
        Action::Goaway(expect) => expect_flips(expect)
            .into_iter()
            .map(|(what, expect)| (what, Action::Goaway(expect)))
            .collect(),
        Action::ExpectSet(all) => flips_in(all, Action::ExpectSet),
        // An alternative bears load where it is the only one.
        Action::OneOf(all) => all
            .iter()
            .enumerate()
            .flat_map(|(index, expect)| {
                expect_flips(expect).into_iter().map(move |(what, expect)| {
                    (format!("[{index}] {what}"), Action::OneOf(vec![expect]))
                })
            })
            .collect(),
        Action::Login(login) if !login.raw => {
            let mut all: Vec<(String, Action)> = Vec::new();
            for (path, matcher) in login.ok.iter().flat_map(crate::matcher::Matcher::flips) {
                let mut changed = login.clone();
                changed.ok = Some(matcher);
                all.push((format!("ok.{path}"), Action::Login(changed)));
            }
            if login.synced {
                let mut changed = login.clone();
                changed.synced = false;
                all.push((SYNCED.to_owned(), Action::Login(changed)));
            }
            all
        }
        Action::Connect {
            preface,
            subprotocol,
            refused,
        } if *refused || subprotocol.is_some() => vec![(
            "refused".to_owned(),
            Action::Connect {
                preface: preface.clone(),
                subprotocol: subprotocol.clone(),
                refused: !refused,
            },
        )],
        Action::Quiet => vec![("quiet".to_owned(), Action::Closed)],
        Action::Closed => vec![("closed".to_owned(), Action::Quiet)],
        _ => Vec::new(),
    }
}

fn flips_in(all: &[Expect], whole: fn(Vec<Expect>) -> Action) -> Vec<(String, Action)> {
    let mut flips = Vec::new();
    for (index, expect) in all.iter().enumerate() {
        for (what, expect) in expect_flips(expect) {
            let mut changed = all.to_vec();
            if let Some(slot) = changed.get_mut(index) {
                *slot = expect;
            }
            flips.push((format!("[{index}] {what}"), whole(changed)));
        }
    }
    flips
}

/// A type that nobody sends.
const NO_TYPE: FrameType = FrameType(0x0bad);
/// A `ref` and a flag that no server uses.
const NO_REF: i128 = 0x0bad_0bad;
const NO_FLAG: i128 = 0x40;

fn expect_flips(expect: &Expect) -> Vec<(String, Expect)> {
    let mut all = Vec::new();
    let mut push = |what: &str, change: &dyn Fn(&mut Expect)| {
        let mut changed = expect.clone();
        change(&mut changed);
        all.push((what.to_owned(), changed));
    };
    match &expect.code {
        Some(Known::Now(code)) => {
            let other = Code(code.0 ^ 1);
            push("code", &|changed| changed.code = Some(Known::Now(other)));
        }
        Some(Known::Later(_)) => {
            push("code", &|changed| changed.code = Some(Known::Now(Code(0))));
        }
        None => push("type", &|changed| {
            changed.frame = Known::Now(NO_TYPE);
            changed.body = None;
        }),
    }
    if expect.to.is_some() || expect.reference.is_some() {
        push("ref", &|changed| {
            changed.reference = Some(Expr::Literal(Val::Int(NO_REF)));
        });
    }
    if expect.flags.is_some() {
        push("flags", &|changed| {
            changed.flags = Some(Expr::Literal(Val::Int(NO_FLAG)));
        });
    }
    for (path, matcher) in expect.body.iter().flat_map(crate::matcher::Matcher::flips) {
        push(&path, &|changed| changed.body = Some(matcher.clone()));
    }
    all
}

/// What the step waits for, if it is frames that have to be taken from the connection.
fn expects(action: &Action) -> Option<String> {
    let name = |expect: &Expect| match (&expect.code, &expect.frame) {
        (Some(Known::Now(code)), _) => code.to_string(),
        (_, Known::Now(frame)) => frame.to_string(),
        _ => "a frame".to_owned(),
    };
    match action {
        Action::Expect { expect, .. } => Some(name(expect)),
        Action::Goaway(expect) => Some(format!("goaway {}", name(expect))),
        Action::ExpectSet(all) | Action::OneOf(all) => {
            Some(all.iter().map(name).collect::<Vec<_>>().join(", "))
        }
        _ => None,
    }
}

/// A set of frames with one of them left out.
fn fewer(action: &Action) -> Vec<(String, Action)> {
    let Action::ExpectSet(all) = action else {
        return Vec::new();
    };
    if all.len() < 2 {
        return Vec::new();
    }
    (0..all.len())
        .map(|index| {
            let mut changed = all.clone();
            changed.remove(index);
            (format!("[{index}]"), Action::ExpectSet(changed))
        })
        .collect()
}

/// Whether these two steps stand in an order that a correct testee keeps: two expectations of one connection, or a request
/// and its answer.
fn swaps(first: &Step, second: &Step) -> Option<String> {
    if first.actor.is_none() || first.actor != second.actor {
        return None;
    }
    let after = expects(&second.action)?;
    match &first.action {
        Action::Send(send) => {
            let answers = |expect: &Expect| expect.to.is_some() && expect.to == send.name;
            let is_answer = match &second.action {
                Action::Expect { expect, .. } => answers(expect),
                Action::ExpectSet(all) | Action::OneOf(all) => all.iter().all(answers),
                _ => false,
            };
            is_answer.then(|| format!("{after} before the request"))
        }
        action => {
            let before = expects(action)?;
            // Two that ask for the same are the same in either order.
            (before != after).then(|| format!("{after} before {before}"))
        }
    }
}
