//! What an operator asks: users, tokens, groups, sizes.

use tidewire_codec::limits::{MAX_GROUP_MEMBERS, MAX_INBOX, MAX_USER_ID};
use tidewire_codec::proto::{self, GroupChange, MessageState, group_op::Op};
use tidewire_codec::{Code, Permissions};

use crate::api::{AdminId, AdminOp, AdminReply, ConnId, Output, Stats};
use crate::core::Core;
use crate::group::{Actor, check_group, check_op};
use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
use crate::journal::Record;
use crate::msgs::{Lost, Phase};
use crate::persist::Key;
use crate::refuse::Refusal;
use crate::status::StatusEntry;
use crate::store::UserKey;
use crate::users::{Token, TokenDigest, User};

impl Core {
    pub(crate) fn on_admin(&mut self, id: AdminId, op: AdminOp) {
        let reply = match op {
            AdminOp::PutUser { user } => self.put_user(&user),
            AdminOp::DeleteUser { user } => self.delete_user(&user),
            AdminOp::ListUsers { after, limit } => {
                AdminReply::Users(self.users.names_after(&after, limit))
            }
            AdminOp::PutToken {
                user,
                digest,
                ttl_ms,
            } => self.put_token(&user, digest, ttl_ms),
            AdminOp::RevokeToken { digest } => self.revoke_token(&digest),
            AdminOp::Group { op } => self.operate_group(&op),
            AdminOp::Stats => AdminReply::Stats(self.stats()),
            AdminOp::SetMaxInbox(bound) => {
                self.cfg.max_inbox = bound.unwrap_or(MAX_INBOX);
                AdminReply::Done
            }
            AdminOp::SetMaxGroupMembers(bound) => {
                self.cfg.max_group_members = bound.unwrap_or(MAX_GROUP_MEMBERS);
                AdminReply::Done
            }
        };
        self.outputs.push_back(Output::AdminReply { id, reply });
    }

    //= spec/20-login.md#resume
    //# [LGN-029] The epoch of a user log MUST stay the same as long as no position is used twice, across restarts too.
    fn put_user(&mut self, name: &str) -> AdminReply {
        if name.is_empty() || name.len() > MAX_USER_ID {
            return AdminReply::Invalid(format!(
                "user length {} is not within 1 to {MAX_USER_ID}",
                name.len()
            ));
        }
        if self.users.find(name).is_some() {
            return AdminReply::Done;
        }
        self.counters.last_user += 1;
        let user = User::new(UserKey(self.counters.last_user), name, self.rng.next_id());
        self.batch.put_user(&user);
        self.users.insert(user);
        AdminReply::Created
    }

    fn put_token(&mut self, user: &str, digest: TokenDigest, ttl_ms: Option<u64>) -> AdminReply {
        let Some(user) = self.users.find(user) else {
            return AdminReply::NotFound;
        };
        let token = Token {
            user,
            expires: self.token_end(ttl_ms),
            revoked: false,
        };
        self.batch.put_token(digest, &token);
        self.users.tokens.insert(digest, token);
        AdminReply::Created
    }

    //= spec/20-login.md#tokens
    //# [LGN-041] When a token is revoked, every session that lives by it MUST get GOAWAY TOKEN_REVOKED and be closed.
    //= spec/20-login.md#tokens
    //# [LGN-048] A revoked token MUST stay revoked across a restart.
    fn revoke_token(&mut self, digest: &TokenDigest) -> AdminReply {
        let Some(token) = self.users.tokens.get_mut(digest) else {
            return AdminReply::NotFound;
        };
        token.revoked = true;
        let token = *token;
        self.batch.put_token(*digest, &token);
        self.cut_token(digest);
        AdminReply::Done
    }

    fn delete_user(&mut self, name: &str) -> AdminReply {
        let Some(key) = self.users.find(name) else {
            return AdminReply::NotFound;
        };
        //= spec/20-login.md#tokens
        //# [LGN-044] When a user is deleted, each of its sessions MUST get GOAWAY USER_DELETED and be closed.
        let sessions: Vec<ConnId> = self
            .users
            .get(key)
            .map_or_else(Vec::new, |user| user.sessions.clone());
        for session in sessions {
            self.goaway(session, Code::USER_DELETED);
        }
        let Some(user) = self.users.remove(key) else {
            return AdminReply::NotFound;
        };
        self.users
            .deleted
            .insert(key, (user.name.clone(), self.now));
        self.batch.put_deleted_user(key, &user.name, self.now);
        self.batch.remove(Key::User(key));
        for device in &user.devices {
            self.batch.remove(Key::Device(key, device.id));
            self.batch.remove(Key::Cursor(key, device.uid));
        }
        let mut tokens: Vec<TokenDigest> = Vec::new();
        self.users.tokens.retain(|digest, token| {
            if token.user == key {
                tokens.push(*digest);
            }
            token.user != key
        });
        tokens.sort_unstable();
        for digest in tokens {
            self.batch.remove(Key::Token(digest));
        }
        self.batch.drop_logs.push(key);
        let mut undelivered: Vec<MsgId> = user.inbox.all().collect();
        undelivered.sort_unstable();
        for pos in user.inbox.own_positions() {
            self.batch.remove(Key::OwnWaiting(key, pos));
        }
        for id in undelivered {
            self.fail(id, key);
        }
        for id in user.groups {
            self.orphan(id, key);
        }
        let mut convs: Vec<ConvKey> = self
            .convs
            .keys()
            .copied()
            .filter(|conv| conv.is_direct_of(key))
            .collect();
        convs.sort_unstable();
        for conv in convs {
            self.forget_conv(conv);
        }
        AdminReply::Done
    }

    //= spec/40-status.md#order-of-states
    //# [STA-033] Except in a group of more than 256 members, when a user is deleted, the sender of each message that it
    //# had not received MUST get STATUS FAILED with code RECIPIENT_DELETED for that msg_id.
    /// The recipient will never have the message.
    fn fail(&mut self, id: MsgId, recipient: UserKey) {
        let Some(msg) = self.msgs.get(id) else {
            return;
        };
        if msg.phase != Phase::Live {
            return;
        }
        self.note_failed(id, recipient, Code::RECIPIENT_DELETED);
        self.msgs.settle(id);
    }

    /// The recipient does not get the message, and the sender is told why.
    pub(crate) fn note_failed(&mut self, id: MsgId, recipient: UserKey, code: Code) {
        let Some(msg) = self.msgs.get_mut(id) else {
            return;
        };
        msg.lost
            .get_or_insert_with(|| Box::new(Lost::default()))
            .failed
            .push(recipient);
        let (sender, conv) = (msg.sender, msg.conv);
        self.note(&Record::Failed(id, recipient));
        if self.reports(conv) {
            let code = Some(code);
            let state = MessageState::Failed;
            let entry = StatusEntry {
                conv,
                msg: id,
                state,
                by: recipient,
                code,
                origin: DeviceUid::NONE,
            };
            self.append_status(sender, &entry);
        }
    }

    /// A member of the group was deleted. The group goes with its last member and never stays without an OWNER.
    fn orphan(&mut self, id: GroupId, user: UserKey) {
        self.remove_from_group(Actor::OPERATOR, id, vec![user], GroupChange::Removed);
        let Some(group) = self.groups.get(&id) else {
            return;
        };
        if group.members.is_empty() {
            self.dissolve_group(Actor::OPERATOR, id);
            return;
        }
        if group.owners() > 0 {
            return;
        }
        let admin = group
            .members
            .iter()
            .find(|(_, mask)| mask.contains(Permissions::ADMIN));
        let Some((heir, mask)) = admin.or_else(|| group.members.iter().next()) else {
            return;
        };
        let Some(name) = self.users.name(*heir) else {
            return;
        };
        let permissions = mask.union(Permissions::OWNER).0;
        let set = proto::GroupSetPermissions {
            user: name.to_string(),
            permissions,
        };
        let op = Op::SetPermissions(set);
        let body = proto::GroupOp {
            group: id.0,
            ..proto::GroupOp::default()
        };
        // It cannot be refused: the operator may everything, and the heir is a member.
        let _ = self.apply_op(Actor::OPERATOR, &body, &op);
    }

    /// Nobody will ask for the conversation any more.
    pub(crate) fn forget_conv(&mut self, key: ConvKey) {
        let Some(conv) = self.convs.remove(&key) else {
            return;
        };
        self.batch.remove(Key::Conv(key));
        for user in conv.marks.keys() {
            self.batch.remove(Key::Marks(key, *user));
        }
    }

    fn operate_group(&mut self, body: &proto::GroupOp) -> AdminReply {
        match self.try_operate_group(body) {
            Ok(info) => AdminReply::Group(Box::new(info)),
            Err(refusal) => AdminReply::Refused(refusal.0),
        }
    }

    fn try_operate_group(&mut self, body: &proto::GroupOp) -> Result<proto::GroupInfo, Refusal> {
        check_group(body)?;
        let op = check_op(body)?;
        let (id, rev) = match op {
            Op::Get(_) => (GroupId(body.group), 0),
            op => self.apply_op(Actor::OPERATOR, body, op)?,
        };
        match self.groups.get(&id) {
            Some(group) => Ok(self.group_info(group, None, true)),
            None if rev > 0 => Ok(proto::GroupInfo {
                group: id.0,
                rev,
                ..proto::GroupInfo::default()
            }),
            None => Err(Refusal::of(Code::UNKNOWN_GROUP)),
        }
    }

    fn stats(&self) -> Stats {
        Stats {
            users: self.users.len(),
            sessions: self
                .conns
                .values()
                .filter(|conn| conn.session.is_some())
                .count(),
            groups: self.groups.len(),
            undelivered: self.msgs.live(),
        }
    }
}
