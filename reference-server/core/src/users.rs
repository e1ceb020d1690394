//! Users, their devices and their tokens.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::api::{ConnId, Millis};
use crate::ids::{DeviceId, DeviceUid, GroupId};
use crate::inbox::Inbox;
use crate::store::{Pos, UserKey};

/// A user and the state of its log.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) key: UserKey,
    pub(crate) name: Arc<str>,
    /// Changes only with the user itself, since a position is never used twice.
    pub(crate) epoch: u64,
    /// The newest entry.
    pub(crate) head: Pos,
    /// Entries up to here are gone.
    pub(crate) trunc: Pos,
    /// The highest cursor of devices that were forgotten.
    pub(crate) acked_floor: Pos,
    pub(crate) devices: Vec<Device>,
    pub(crate) sessions: Vec<ConnId>,
    pub(crate) inbox: Inbox,
    pub(crate) groups: BTreeSet<GroupId>,
    /// Entries up to the position were made at the time or before.
    pub(crate) checkpoints: VecDeque<(Millis, Pos)>,
}

/// A device of a user.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) uid: DeviceUid,
    pub(crate) agent: String,
    pub(crate) last_login: Millis,
    /// The highest position that it acknowledged.
    pub(crate) cursor: Pos,
    pub(crate) session: Option<ConnId>,
    /// Idempotency keys of it that are remembered.
    pub(crate) keys: u32,
}

impl User {
    pub(crate) fn new(key: UserKey, name: &str, epoch: u64) -> User {
        User {
            key,
            name: Arc::from(name),
            epoch,
            head: Pos(0),
            trunc: Pos(0),
            acked_floor: Pos(0),
            devices: Vec::new(),
            sessions: Vec::new(),
            inbox: Inbox::default(),
            groups: BTreeSet::new(),
            checkpoints: VecDeque::new(),
        }
    }

    pub(crate) fn device(&self, uid: DeviceUid) -> Option<&Device> {
        self.devices.iter().find(|device| device.uid == uid)
    }

    pub(crate) fn device_mut(&mut self, uid: DeviceUid) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.uid == uid)
    }

    pub(crate) fn device_by_id(&mut self, id: &DeviceId) -> Option<&mut Device> {
        self.devices.iter_mut().find(|device| device.id == *id)
    }

    /// True if a device other than this one is known, so that entries which only other devices see make sense.
    pub(crate) fn has_other_device(&self, uid: DeviceUid) -> bool {
        self.devices.iter().any(|device| device.uid != uid)
    }

    /// The highest position that any device ever acknowledged.
    pub(crate) fn highest_cursor(&self) -> Pos {
        self.devices
            .iter()
            .map(|device| device.cursor)
            .fold(self.acked_floor, Pos::max)
    }
}

/// What the server knows of a token. The token itself it never stores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) user: UserKey,
    /// Absent: it does not expire.
    pub(crate) expires: Option<Millis>,
    pub(crate) revoked: bool,
}

/// SHA-256 of a token.
pub(crate) type TokenDigest = [u8; 32];

/// All users.
#[derive(Debug, Default)]
pub(crate) struct Users {
    /// By key: keys are given in order, so a deleted user costs eight bytes.
    by_key: Vec<Option<Box<User>>>,
    by_name: HashMap<Arc<str>, UserKey>,
    pub(crate) tokens: HashMap<TokenDigest, Token>,
    /// Names of users that were deleted not long ago, for the states of messages that they got.
    pub(crate) deleted: HashMap<UserKey, (Arc<str>, Millis)>,
}

impl Users {
    pub(crate) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(crate) fn get(&self, key: UserKey) -> Option<&User> {
        self.by_key.get(usize::try_from(key.0).ok()?)?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, key: UserKey) -> Option<&mut User> {
        self.by_key
            .get_mut(usize::try_from(key.0).ok()?)?
            .as_deref_mut()
    }

    pub(crate) fn find(&self, name: &str) -> Option<UserKey> {
        self.by_name.get(name).copied()
    }

    /// The name of a user, also of one deleted not long ago.
    pub(crate) fn name(&self, key: UserKey) -> Option<Arc<str>> {
        match self.get(key) {
            Some(user) => Some(user.name.clone()),
            None => self.deleted.get(&key).map(|(name, _)| name.clone()),
        }
    }

    pub(crate) fn insert(&mut self, user: User) {
        let Ok(index) = usize::try_from(user.key.0) else {
            return;
        };
        if self.by_key.len() <= index {
            self.by_key.resize_with(index + 1, || None);
        }
        self.by_name.insert(user.name.clone(), user.key);
        self.by_key[index] = Some(Box::new(user));
    }

    pub(crate) fn remove(&mut self, key: UserKey) -> Option<User> {
        let user = self.by_key.get_mut(usize::try_from(key.0).ok()?)?.take()?;
        self.by_name.remove(&user.name);
        Some(*user)
    }

    /// All users, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_key.iter().filter_map(|user| user.as_deref())
    }

    /// All users, by key.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut User> {
        self.by_key
            .iter_mut()
            .filter_map(|user| user.as_deref_mut())
    }

    /// At most `limit` names above `after`, rising.
    pub(crate) fn names_after(&self, after: &str, limit: usize) -> Vec<String> {
        let mut names: Vec<&Arc<str>> = self
            .by_name
            .keys()
            .filter(|name| &***name > after)
            .collect();
        names.sort_unstable();
        names
            .into_iter()
            .take(limit)
            .map(|name| name.to_string())
            .collect()
    }
}
