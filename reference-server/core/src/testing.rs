//! A store in memory, for tests and for servers that may forget.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::store::{Batch, Body, LogPage, Pos, Store, StoreError, UserKey, Value};

/// A store that is durable as long as it is not dropped. A clone is what a crash leaves behind.
#[derive(Clone, Debug, Default)]
pub struct MemStore {
    logs: HashMap<UserKey, BTreeMap<Pos, Value>>,
    bodies: BTreeMap<u64, Bytes>,
    small: BTreeMap<Vec<u8>, Vec<u8>>,
    idem: BTreeMap<(u64, u64), Vec<u8>>,
    sequence: u64,
}

impl MemStore {
    /// The number of entries of a log that are kept.
    #[must_use]
    pub fn log_len(&self, user: UserKey) -> usize {
        self.logs.get(&user).map_or(0, BTreeMap::len)
    }

    /// The number of values of small state.
    #[must_use]
    pub fn small_len(&self) -> usize {
        self.small.len()
    }

    fn resolve(&self, value: &Value) -> Value {
        let body = match &value.body {
            Body::Shared(id) => self
                .bodies
                .get(id)
                .map_or(Body::Gone, |body| Body::Inline(body.clone())),
            body => body.clone(),
        };
        Value {
            meta: value.meta.clone(),
            body,
        }
    }
}

impl Store for MemStore {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.bodies.extend(batch.bodies.iter().cloned());
        for append in &batch.appends {
            self.logs
                .entry(append.user)
                .or_default()
                .insert(append.pos, append.value.clone());
        }
        for (key, value) in &batch.small {
            match value {
                Some(value) => drop(self.small.insert(key.clone(), value.clone())),
                None => drop(self.small.remove(key)),
            }
        }
        if !batch.idem.is_empty() {
            self.sequence += 1;
            self.idem
                .insert((batch.now, self.sequence), batch.idem.clone());
        }
        if let Some(time) = batch.forget_idem_before {
            self.idem = self.idem.split_off(&(time, 0));
        }
        if let Some(id) = batch.forget_bodies_below {
            self.bodies = self.bodies.split_off(&id);
        }
        for (user, pos) in &batch.truncate {
            if let Some(log) = self.logs.get_mut(user) {
                *log = log.split_off(&Pos(pos.0 + 1));
            }
        }
        for user in &batch.drop_logs {
            self.logs.remove(user);
        }
        Ok(())
    }

    fn read_log(
        &self,
        user: UserKey,
        after: Pos,
        max_entries: usize,
        max_bytes: usize,
    ) -> Result<LogPage, StoreError> {
        let mut page = LogPage {
            entries: Vec::new(),
            end: true,
        };
        let mut bytes = 0;
        for (pos, value) in self
            .logs
            .get(&user)
            .into_iter()
            .flat_map(|log| log.range(Pos(after.0.saturating_add(1))..))
        {
            if page.entries.len() >= max_entries || (bytes >= max_bytes && !page.entries.is_empty())
            {
                page.end = false;
                break;
            }
            let value = self.resolve(value);
            if let Body::Inline(body) = &value.body {
                bytes += body.len();
            }
            page.entries.push((*pos, value));
        }
        Ok(page)
    }

    fn last_pos(&self, user: UserKey) -> Result<Option<Pos>, StoreError> {
        Ok(self
            .logs
            .get(&user)
            .and_then(|log| log.keys().next_back().copied()))
    }

    fn load_small(&self, each: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        for (key, value) in &self.small {
            each(key, value);
        }
        Ok(())
    }

    fn load_idem(&self, each: &mut dyn FnMut(u64, &[u8])) -> Result<(), StoreError> {
        for ((time, _), value) in &self.idem {
            each(*time, value);
        }
        Ok(())
    }
}
