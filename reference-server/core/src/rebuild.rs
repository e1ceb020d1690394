//! From the store back into memory: small state, the journal, and what of each log nobody acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::api::Millis;
use crate::bin::Take;
use crate::core::{Core, before};
use crate::entry::{EntryKind, EntryMeta, MessageMeta};
use crate::groups::known_permissions;
use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
use crate::journal::{Record, SendRecord};
use crate::msgs::{Accepted, Lost, Msg, Phase, Recipients, Traits};
use crate::persist::{self, Key};
use crate::store::{Pos, Store, StoreError, UserKey};
use crate::users::Device;

/// Pages of the logs at start.
const PAGE_ENTRIES: usize = 4_096;
const PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The time of the last commit, if there was one. A driver starts its clock no earlier.
///
/// # Errors
/// Whatever the store fails with.
pub fn committed_time(store: &dyn Store) -> Result<Option<Millis>, StoreError> {
    let mut time = None;
    store.load_small(&mut |key, value| {
        if Key::decode(key) == Some(Key::Counters) {
            time = persist::take_counters(value).map(|counters| counters.committed);
        }
    })?;
    Ok(time)
}

/// What refers to users and groups and so has to wait until they are there.
#[derive(Default)]
struct Later {
    devices: Vec<(UserKey, Device)>,
    cursors: Vec<(UserKey, DeviceUid, Pos)>,
    members: Vec<(GroupId, UserKey, u32)>,
    own_waiting: BTreeSet<(UserKey, Pos)>,
}

impl Core {
    pub(crate) fn rebuild(&mut self, store: &dyn Store) -> Result<(), StoreError> {
        let mut later = Later::default();
        let mut broken: Option<Vec<u8>> = None;
        store.load_small(&mut |key, value| {
            if self.load_value(key, value, &mut later).is_none() {
                broken.get_or_insert_with(|| key.to_vec());
            }
        })?;
        if let Some(key) = broken {
            return Err(StoreError(format!(
                "small state under key {key:02x?} cannot be read"
            )));
        }
        self.connect(&mut later);
        let mut broken = None;
        store.load_idem(&mut |time, value| {
            let mut take = Take(value);
            while !take.is_empty() {
                match Record::decode(&mut take) {
                    Some(record) => self.replay(record),
                    None => {
                        broken.get_or_insert(time);
                        return;
                    }
                }
            }
        })?;
        if let Some(time) = broken {
            return Err(StoreError(format!(
                "the journal of time {time} cannot be read"
            )));
        }
        self.forget_what_is_read();
        let users: Vec<UserKey> = self.users.iter().map(|user| user.key).collect();
        for user in users {
            self.load_log(store, user, &later.own_waiting)?;
        }
        Ok(())
    }

    fn load_value(&mut self, key: &[u8], value: &[u8], later: &mut Later) -> Option<()> {
        match Key::decode(key)? {
            Key::Counters => self.counters = persist::take_counters(value)?,
            Key::User(user) => self.users.insert(persist::take_user(user, value)?),
            Key::DeletedUser(user) => {
                self.users
                    .deleted
                    .insert(user, persist::take_deleted_user(value)?);
            }
            Key::Device(user, id) => later.devices.push((user, persist::take_device(id, value)?)),
            Key::Cursor(user, uid) => later.cursors.push((user, uid, persist::take_pos(value)?)),
            Key::Token(digest) => {
                self.users
                    .tokens
                    .insert(digest, persist::take_token(value)?);
            }
            Key::Group(id) => {
                self.groups.insert(id, persist::take_group(id, value)?);
            }
            Key::Member(id, user) => later.members.push((id, user, persist::take_mask(value)?)),
            Key::MemberSet(id, rev) => {
                self.msgs
                    .member_sets
                    .insert((id, rev), persist::take_member_set(value)?);
            }
            Key::Conv(key) => {
                let marks = self.convs.remove(&key).unwrap_or_default().marks;
                let conv = persist::take_conv_value(value)?;
                self.convs.insert(key, crate::convs::Conv { marks, ..conv });
            }
            Key::Marks(key, user) => {
                let marks = persist::take_marks(value)?;
                self.convs.entry(key).or_default().marks.insert(user, marks);
            }
            Key::Deadline(msg) => {
                self.msgs
                    .overrides
                    .insert(msg, persist::take_deadline(value)?);
            }
            Key::OwnWaiting(user, pos) => {
                later.own_waiting.insert((user, pos));
            }
        }
        Some(())
    }

    fn connect(&mut self, later: &mut Later) {
        // The order of the list is the order of their first logins.
        later.devices.sort_by_key(|(_, device)| device.uid);
        for (user, device) in later.devices.drain(..) {
            if let Some(user) = self.users.get_mut(user) {
                user.devices.push(device);
            }
        }
        for (user, uid, cursor) in later.cursors.drain(..) {
            if let Some(device) = self
                .users
                .get_mut(user)
                .and_then(|user| user.device_mut(uid))
            {
                device.cursor = cursor;
            }
        }
        for (id, user, mask) in later.members.drain(..) {
            if let (Some(group), Some(user)) = (self.groups.get_mut(&id), self.users.get_mut(user))
            {
                group.members.insert(user.key, known_permissions(mask));
                user.groups.insert(id);
            }
        }
    }

    //= spec/30-send.md#idempotency
    //# [SND-025] Keys MUST be remembered across a restart of the server.
    fn replay(&mut self, record: Record) {
        match record {
            Record::Send(send) => self.replay_send(&send),
            Record::GroupOp(op) => {
                self.remember_op(op);
            }
            Record::Expired(id, users) => {
                let Some(msg) = self.msgs.get_mut(id) else {
                    return;
                };
                let (sender, conv, all) = (msg.sender, msg.conv, msg.recipient_count());
                msg.phase = Phase::Expired;
                if users.len() == all
                    && let Some(conv) = self.convs.get_mut(&conv)
                {
                    conv.lost(sender, id);
                }
                msg.lost
                    .get_or_insert_with(|| Box::new(Lost::default()))
                    .expired = users;
            }
            Record::Failed(id, user) => {
                let Some(msg) = self.msgs.get_mut(id) else {
                    return;
                };
                msg.lost
                    .get_or_insert_with(|| Box::new(Lost::default()))
                    .failed
                    .push(user);
            }
        }
    }

    fn replay_send(&mut self, send: &SendRecord) {
        let SendRecord {
            id,
            idem,
            conv,
            rev,
            sender,
            accepted_at,
            deadline,
            traits,
        } = *send;
        let msg = self.known_message(
            id,
            conv,
            rev,
            sender,
            accepted_at,
            deadline,
            traits,
            Some(idem),
        );
        if self.conv_exists(conv) && self.convs.get(&conv).is_none_or(|conv| conv.flushed < id) {
            self.note_in_conv(id, &msg);
        }
        self.msgs.insert(id, msg);
        self.msgs.keys.insert((idem.device, idem.key), id);
        self.msgs.window.push_back(id);
        if let Some(device) = self
            .users
            .get_mut(sender)
            .and_then(|user| user.device_mut(idem.device))
        {
            device.keys += 1;
        }
    }

    fn conv_exists(&self, conv: ConvKey) -> bool {
        match conv {
            ConvKey::Direct(a, b) => self.users.get(a).is_some() && self.users.get(b).is_some(),
            ConvKey::Group(group) => self.groups.contains_key(&group),
        }
    }

    /// A message as the store knows it, for the time being one that nobody has to acknowledge.
    #[allow(
        clippy::too_many_arguments,
        reason = "journal and log entries know the same things under different names"
    )]
    fn known_message(
        &self,
        id: MsgId,
        conv: ConvKey,
        rev: u64,
        sender: UserKey,
        accepted_at: Millis,
        deadline: Millis,
        traits: Traits,
        idem: Option<Accepted>,
    ) -> Msg {
        let recipients = match conv {
            ConvKey::Group(group) => {
                let set = self
                    .msgs
                    .member_sets
                    .get(&(group, rev))
                    .cloned()
                    .unwrap_or_else(|| Arc::from([]));
                Recipients::Members {
                    set,
                    loopback: traits.loopback,
                }
            }
            conv => Recipients::One(conv.peer(sender).unwrap_or(sender)),
        };
        Msg {
            conv,
            sender,
            accepted_at,
            //= spec/60-expiry.md#time-to-live
            //# [EXP-006] Deadlines MUST survive a restart: time that passes while the server is down counts.
            deadline: self.msgs.deadline_of(id, deadline),
            recipients,
            remaining: 0,
            traits,
            phase: Phase::Done,
            idem,
            lost: None,
        }
    }

    /// In conversations of two, what the other has read is not needed any more.
    fn forget_what_is_read(&mut self) {
        for (key, conv) in &mut self.convs {
            let marks: Vec<_> = conv
                .marks
                .iter()
                .map(|(user, marks)| (*user, marks.public))
                .collect();
            for (user, public) in marks {
                if let Some(peer) = key.peer(user) {
                    conv.drop_read(peer, public);
                }
            }
        }
    }

    //= spec/30-send.md#the-user-log
    //# [SND-045] Positions and order of entries MUST be the same after a restart.
    fn load_log(
        &mut self,
        store: &dyn Store,
        key: UserKey,
        own_waiting: &BTreeSet<(UserKey, Pos)>,
    ) -> Result<(), StoreError> {
        let last = store.last_pos(key)?.unwrap_or_default();
        let Some(user) = self.users.get_mut(key) else {
            return Ok(());
        };
        user.head = last.max(user.trunc);
        let cursor = user.highest_cursor().max(user.trunc);
        let first_own = own_waiting
            .range((key, Pos(0))..=(key, Pos(u64::MAX)))
            .next();
        let mut after = first_own.map_or(cursor, |(_, pos)| cursor.min(before(*pos)));
        while after < last {
            let page = store.read_log(key, after, PAGE_ENTRIES, PAGE_BYTES)?;
            for (pos, value) in &page.entries {
                let meta = EntryMeta::decode(&value.meta).ok_or_else(|| {
                    StoreError(format!("entry {} of user {} cannot be read", pos.0, key.0))
                })?;
                let own = own_waiting.contains(&(key, *pos));
                if let EntryKind::Message(message) = meta.kind
                    && message.recipient
                    && (own || (*pos > cursor && meta.origin == DeviceUid::NONE))
                {
                    self.load_waiting(key, *pos, &meta, message, own);
                }
                after = *pos;
            }
            if page.end || page.entries.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// An undelivered message of the log.
    fn load_waiting(
        &mut self,
        key: UserKey,
        pos: Pos,
        meta: &EntryMeta,
        message: MessageMeta,
        own: bool,
    ) {
        let MessageMeta {
            id,
            conv,
            rev,
            sender,
            deadline,
            traits,
            ..
        } = message;
        // What was due before the last commit fired before it.
        if self.msgs.deadline_of(id, deadline) <= self.counters.committed {
            return;
        }
        if self.msgs.get(id).is_none() {
            let msg = self.known_message(id, conv, rev, sender, meta.made, deadline, traits, None);
            self.msgs.insert(id, msg);
        }
        self.msgs.revive(id);
        let Some(msg) = self.msgs.get_mut(id) else {
            return;
        };
        msg.remaining += 1;
        let read_told = self
            .convs
            .get(&conv)
            .is_some_and(|conv| conv.was_told(key, sender, id));
        let Some(user) = self.users.get_mut(key) else {
            return;
        };
        if own {
            user.inbox.push_own(pos, id, meta.origin);
            return;
        }
        user.inbox.push(pos, id);
        if read_told {
            user.inbox.mark_read_told(id, |waiting| waiting == id);
        }
    }
}
