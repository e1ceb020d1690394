//! The tap: rules between a client and a server that drop, change, repeat, delay or forge frames.
//!
//! It is what breaks a correct testee in one place (a mutant), and what does the scripted faults of sessions for
//! clients. It knows no socket and no clock: frames go in, and what has to go where comes out.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tidewire_codec::{Flags, FrameType, RawFrame};

use crate::tree::{Fault, Node};
use crate::value::Val;

mod case;
mod edit;
mod events;
mod pattern;
mod rule;
mod scope;
#[cfg(test)]
mod tests;

pub(crate) use case::TapCase;
use pattern::Seen;
pub(crate) use rule::counts;
use rule::{Action, After, On, Rule};
use scope::RuleScope;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Side {
    Client,
    Server,
}

impl Side {
    /// The other end.
    pub(crate) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// What the tap wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// This frame goes there.
    Frame { to: Side, frame: RawFrame },
    /// These bytes go there as they are.
    Bytes { to: Side, bytes: Bytes },
    /// That side sees an orderly close.
    Close(Side),
    /// Both sides are cut off without a goodbye.
    Cut,
}

/// What becomes of the subprotocol when WebSocket is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    AsItIs,
    /// This side says nothing of it.
    Silent,
    /// The server takes whoever comes.
    ForAll,
}

/// Rules in the order of their file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

impl Rules {
    /// Reads a list of tables.
    pub(crate) fn parse(nodes: Vec<Node>) -> Result<Rules, Fault> {
        nodes
            .into_iter()
            .map(Rule::parse)
            .collect::<Result<_, _>>()
            .map(Rules)
    }

    /// True if there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True if a rule may touch what this side sends: only then whole frames have to be waited for.
    pub(crate) fn touch(&self, side: Side) -> bool {
        self.0.iter().any(|rule| match &rule.on {
            On::Frame(pattern) => pattern.can_come_from(side),
            On::Preface(from) | On::Close(from) | On::Upgrade(from) => *from == side,
        })
    }

    /// The line of each rule in its file.
    pub(crate) fn lines(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|rule| rule.line)
    }
}

/// The tap of one connection.
#[derive(Debug)]
pub(crate) struct Tap {
    rules: Arc<Rules>,
    case: Arc<TapCase>,
    actor: String,
    number: usize,
    is_first: bool,
    is_logged_in: bool,
    /// The server closed and the client must not see it: what it asks is answered as far as needed to look alive.
    is_zombie: bool,
    /// Requests by who asked and `ref`.
    requests: HashMap<(Side, u32), Seen>,
    matches: HashMap<usize, usize>,
    seen: HashMap<(usize, usize), bool>,
    vars: HashMap<String, Val>,
    delayed: Vec<Delayed>,
    leaks_taken: usize,
}

#[derive(Debug)]
struct Delayed {
    from: Side,
    left: usize,
    frame: RawFrame,
}

impl Tap {
    /// Other rules from now on. What was seen before is known still; matches are counted anew.
    pub(crate) fn replace(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
        self.matches.clear();
        self.seen.clear();
        self.vars.clear();
    }

    /// True if a rule may touch what this side sends.
    pub(crate) fn touches(&self, side: Side) -> bool {
        self.is_zombie || self.rules.touch(side)
    }

    /// A frame of this side.
    pub(crate) fn frame(&mut self, from: Side, frame: RawFrame) -> Vec<Out> {
        let to = from.other();
        if self.is_zombie {
            return alive(from, frame);
        }
        let seen = Seen::new(from, frame);
        let mut outs = Outs::default();
        self.take_leaks(from, &mut outs);
        if seen.frame.is_request() {
            let key = (from, seen.frame.reference);
            self.requests.insert(key, seen.clone());
        }
        let request = self.request_of(&seen);
        let mut current = Some(seen.clone());
        let rules = Arc::clone(&self.rules);
        for (index, rule) in rules.0.iter().enumerate() {
            let Some(now) = current.clone() else { break };
            if !self.applies(index, rule, &now, request.as_ref()) {
                continue;
            }
            self.case
                .with(|state| *state.fired.entry(index).or_default() += 1);
            match self.act(rule, &now, request.as_ref(), &mut outs) {
                Ok(kept) => current = kept.map(|frame| Seen::new(from, frame)),
                Err(error) => self.wrong(rule.line, error),
            }
            if !rule.go_on || outs.ends {
                break;
            }
        }
        self.remember(&seen);
        let mut all = outs.before;
        let passes = current.is_some();
        all.extend(current.map(|seen| Out::Frame {
            to,
            frame: seen.frame,
        }));
        if passes {
            self.release(from, &mut all);
        }
        all.extend(outs.behind);
        self.delayed.extend(outs.delayed);
        all
    }

    /// Whether the rule is about this frame, now.
    fn applies(&mut self, index: usize, rule: &Rule, seen: &Seen, request: Option<&Seen>) -> bool {
        let On::Frame(pattern) = &rule.on else {
            return false;
        };
        if !self.is_time(index, rule) {
            return false;
        }
        let scope = self.scope(Some(seen), request);
        let Some(mut binds) = pattern.fits(seen, &scope) else {
            return false;
        };
        if let Some(asked) = &rule.reply_to {
            let fits = request.and_then(|request| asked.fits(request, &scope));
            match fits {
                Some(more) => binds.extend(more),
                None => return false,
            }
        }
        self.bind(binds, rule.per_case);
        self.counts(index, rule)
    }

    /// Counts a match, and says whether it is one of those that are meant.
    fn counts(&mut self, index: usize, rule: &Rule) -> bool {
        let count = if rule.per_case {
            self.case.with(|state| next(&mut state.matches, index))
        } else {
            next(&mut self.matches, index)
        };
        (rule.first..=rule.last).contains(&count)
    }

    /// Whether the actor is the right one and everything in `after` has happened.
    fn is_time(&self, index: usize, rule: &Rule) -> bool {
        if rule
            .actor
            .as_ref()
            .is_some_and(|actor| *actor != self.actor)
        {
            return false;
        }
        let (restarted, clock_moved) = self.case.with(|state| (state.restarted, state.clock_moved));
        rule.after
            .iter()
            .enumerate()
            .all(|(place, after)| match after {
                After::Restart => restarted,
                After::Clock => clock_moved,
                After::Reconnect => !self.is_first,
                After::Login => self.is_logged_in,
                After::Frame { anywhere: true, .. } => self
                    .case
                    .with(|state| state.seen.contains_key(&(index, place))),
                After::Frame { .. } => self.seen.contains_key(&(index, place)),
            })
    }

    /// Does what the rule says, and returns what is left of the frame.
    fn act(
        &mut self,
        rule: &Rule,
        seen: &Seen,
        request: Option<&Seen>,
        outs: &mut Outs,
    ) -> Result<Option<RawFrame>, String> {
        let (from, to) = (seen.side, seen.side.other());
        let frame = seen.frame.clone();
        let scope = self.scope(Some(seen), request);
        Ok(match &rule.action {
            Action::Drop => None,
            Action::Repeat(copies, edits) => {
                let copy = edits.apply(seen, &scope)?;
                outs.behind
                    .extend(std::iter::repeat_n(Out::Frame { to, frame: copy }, *copies));
                Some(frame)
            }
            Action::Delay(left) => {
                outs.delayed.push(Delayed {
                    from,
                    left: *left,
                    frame,
                });
                None
            }
            Action::Change(edits) => Some(edits.apply(seen, &scope)?),
            Action::Answer(made) => {
                let frame = made.build(Some(seen), &scope)?;
                outs.behind.push(Out::Frame { to: from, frame });
                None
            }
            Action::Before(made) => {
                let made = made.build(Some(seen), &scope)?;
                outs.before.push(Out::Frame { to, frame: made });
                Some(frame)
            }
            Action::Behind(made) => {
                let made = made.build(Some(seen), &scope)?;
                outs.behind.push(Out::Frame { to, frame: made });
                Some(frame)
            }
            Action::Back(made) => {
                let made = made.build(Some(seen), &scope)?;
                outs.behind.push(Out::Frame {
                    to: from,
                    frame: made,
                });
                Some(frame)
            }
            Action::Leak(made) => {
                let leaked = match made {
                    Some(made) => made.build(Some(seen), &scope)?,
                    None => frame.clone(),
                };
                let number = self.number;
                self.case.with(|state| state.leaks.push((number, leaked)));
                Some(frame)
            }
            Action::Close => {
                outs.end(Out::Close(to));
                None
            }
            Action::CloseAfter => {
                outs.end(Out::Close(to));
                Some(frame)
            }
            Action::Cut(at) => {
                let mut bytes = frame.to_bytes().map_err(|error| error.to_string())?;
                bytes.truncate(*at);
                outs.behind.push(Out::Bytes { to, bytes });
                outs.end(Out::Cut);
                None
            }
            Action::Bytes(_) | Action::Agree => Some(frame),
        })
    }

    /// What later rules may ask about: patterns of `after`, and whether the login is done.
    fn remember(&mut self, seen: &Seen) {
        let rules = Arc::clone(&self.rules);
        for (index, rule) in rules.0.iter().enumerate() {
            for (place, after) in rule.after.iter().enumerate() {
                let After::Frame { pattern, anywhere } = after else {
                    continue;
                };
                let Some(binds) = pattern.fits(seen, &self.scope(Some(seen), None)) else {
                    continue;
                };
                self.bind(binds, *anywhere);
                if *anywhere {
                    self.case
                        .with(|state| state.seen.insert((index, place), true));
                } else {
                    self.seen.insert((index, place), true);
                }
            }
        }
        self.is_logged_in |= seen.frame.frame_type == FrameType::LOGIN_OK;
    }

    /// Frames whose wait ends with the one that passes now.
    fn release(&mut self, from: Side, all: &mut Vec<Out>) {
        for delayed in self.delayed.iter_mut().filter(|one| one.from == from) {
            delayed.left = delayed.left.saturating_sub(1);
        }
        let to = from.other();
        let due = self
            .delayed
            .extract_if(.., |one| one.from == from && one.left == 0);
        all.extend(due.map(|one| Out::Frame {
            to,
            frame: one.frame,
        }));
    }

    /// Frames of other connections that this one must not get, and gets.
    fn take_leaks(&mut self, from: Side, outs: &mut Outs) {
        if from != Side::Server || !self.is_logged_in {
            return;
        }
        let (number, taken) = (self.number, self.leaks_taken);
        let (leaks, total) = self.case.with(|state| {
            let new = state.leaks.iter().skip(taken);
            let mine = new.filter(|(source, _)| *source != number);
            let frames: Vec<RawFrame> = mine.map(|(_, frame)| frame.clone()).collect();
            (frames, state.leaks.len())
        });
        self.leaks_taken = total;
        outs.before
            .extend(leaks.into_iter().map(|frame| Out::Frame {
                to: Side::Client,
                frame,
            }));
    }

    fn request_of(&self, seen: &Seen) -> Option<Seen> {
        if !seen.frame.flags.contains(Flags::REPLY) {
            return None;
        }
        let key = (seen.side.other(), seen.frame.reference);
        self.requests.get(&key).cloned()
    }

    fn scope<'a>(&self, frame: Option<&'a Seen>, request: Option<&'a Seen>) -> RuleScope<'a> {
        let mut vars = self.case.with(|state| state.vars.clone());
        vars.extend(
            self.vars
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        RuleScope {
            frame: frame.and_then(|seen| seen.body.as_ref()),
            request: request.and_then(|seen| seen.body.as_ref()),
            vars,
        }
    }

    fn bind(&mut self, binds: HashMap<String, Val>, everywhere: bool) {
        if binds.is_empty() {
            return;
        }
        if everywhere {
            self.case.with(|state| state.vars.extend(binds));
        } else {
            self.vars.extend(binds);
        }
    }

    fn wrong(&self, line: usize, error: String) {
        self.case.with(|state| {
            state
                .fault
                .get_or_insert_with(|| format!("the rule in line {line}: {error}"));
        });
    }
}

/// What goes out around a frame.
#[derive(Default)]
struct Outs {
    before: Vec<Out>,
    behind: Vec<Out>,
    delayed: Vec<Delayed>,
    ends: bool,
}

impl Outs {
    fn end(&mut self, out: Out) {
        self.behind.push(out);
        self.ends = true;
    }
}

/// A connection that ought to be closed and is not: PING gets its PONG, and nothing else happens.
fn alive(from: Side, frame: RawFrame) -> Vec<Out> {
    if from == Side::Client && frame.frame_type == FrameType::PING && frame.is_request() {
        let pong = RawFrame {
            flags: Flags::REPLY,
            frame_type: FrameType::PONG,
            ..frame
        };
        return vec![Out::Frame {
            to: Side::Client,
            frame: pong,
        }];
    }
    Vec::new()
}

fn next(counts: &mut HashMap<usize, usize>, index: usize) -> usize {
    let count = counts.entry(index).or_default();
    *count += 1;
    *count
}
