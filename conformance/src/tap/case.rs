//! What the taps of one case share: what happened to the testee, counts, names, frames that leak.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tidewire_codec::RawFrame;

use super::{Rules, Tap};
use crate::value::Val;

/// What the taps of one case have in common.
#[derive(Debug, Default)]
pub(crate) struct TapCase(Mutex<CaseState>);

#[derive(Debug, Default)]
pub(super) struct CaseState {
    pub(super) restarted: bool,
    pub(super) clock_moved: bool,
    connections: BTreeMap<String, usize>,
    /// How often each rule matched on any connection.
    pub(super) matches: HashMap<usize, usize>,
    /// How often each rule did what it does.
    pub(super) fired: HashMap<usize, usize>,
    /// The `after` of rules, by rule and place, that came true anywhere.
    pub(super) seen: HashMap<(usize, usize), bool>,
    pub(super) vars: HashMap<String, Val>,
    /// Frames for every connection but the one with this number.
    pub(super) leaks: Vec<(usize, RawFrame)>,
    opened: usize,
    pub(super) fault: Option<String>,
}

impl TapCase {
    pub(crate) fn new() -> Arc<TapCase> {
        Arc::default()
    }

    /// The testee was restarted.
    pub(crate) fn restarted(&self) {
        self.with(|state| state.restarted = true);
    }

    /// The testee's time was advanced.
    pub(crate) fn clock_moved(&self) {
        self.with(|state| state.clock_moved = true);
    }

    /// How often the rule with this index did what it does.
    pub(crate) fn fired(&self, rule: usize) -> usize {
        self.with(|state| state.fired.get(&rule).copied().unwrap_or_default())
    }

    /// What was wrong with a rule when it was applied: the fault of its author.
    pub(crate) fn fault(&self) -> Option<String> {
        self.with(|state| state.fault.clone())
    }

    /// A tap for a new connection of this actor.
    pub(crate) fn tap(self: &Arc<TapCase>, rules: &Arc<Rules>, actor: &str) -> Tap {
        let (number, is_first) = self.with(|state| {
            state.opened += 1;
            let count = state.connections.entry(actor.to_owned()).or_default();
            *count += 1;
            (state.opened, *count == 1)
        });
        Tap {
            rules: Arc::clone(rules),
            case: Arc::clone(self),
            actor: actor.to_owned(),
            number,
            is_first,
            is_logged_in: false,
            is_zombie: false,
            requests: HashMap::new(),
            matches: HashMap::new(),
            seen: HashMap::new(),
            vars: HashMap::new(),
            delayed: Vec::new(),
            leaks_taken: 0,
        }
    }

    pub(super) fn with<T>(&self, use_it: impl FnOnce(&mut CaseState) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
