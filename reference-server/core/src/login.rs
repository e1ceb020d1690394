//! Family login: LOGIN, REAUTH, LOGOUT.

use sha2::{Digest, Sha256};
use std::collections::VecDeque;

use tidewire_codec::limits::{
    DEVICE_ID_LEN, KEEPALIVE_DEFAULT_MS, KEEPALIVE_MAX_MS, KEEPALIVE_MIN_MS, MAX_AGENT,
    MAX_FRAME_DEFAULT, MAX_FRAME_FLOOR, MAX_FRAME_HARD, MAX_TOKEN,
};
use tidewire_codec::negotiate::{
    VERSIONS, VersionError, choose_features, choose_version, missing_features,
};
use tidewire_codec::proto::{self, ResumeResult};
use tidewire_codec::{Code, DecodeError, Feature, Frame, FrameType, RawFrame};

use crate::api::{ConnId, Millis};
use crate::conn::Session;
use crate::core::Core;
use crate::ids::{DeviceId, DeviceUid};
use crate::refuse::{Farewell, Handled, Refusal};
use crate::store::{Pos, UserKey};
use crate::users::{Device, Token, TokenDigest};

/// The features of this server.
const FEATURES: [Feature; 4] = [
    Feature::DEVICES,
    Feature::STATUS_GET,
    Feature::GROUPS,
    Feature::EXPIRY_SET,
];

/// Why a LOGIN is not answered with LOGIN_OK.
enum LoginRefused {
    Farewell(Farewell),
    /// The store has no room for a new device; the connection may try again.
    Later(Refusal),
}

impl From<Farewell> for LoginRefused {
    fn from(farewell: Farewell) -> LoginRefused {
        LoginRefused::Farewell(farewell)
    }
}

/// What of a LOGIN was found right before its state is looked at.
struct Checked {
    version: u32,
    device_id: DeviceId,
    max_frame: u32,
    keepalive_ms: u32,
    digest: TokenDigest,
}

impl Core {
    pub(crate) fn on_login(&mut self, conn: ConnId, frame: &RawFrame) {
        match self.login(conn, frame) {
            Ok(()) => {}
            Err(LoginRefused::Farewell(farewell)) => self.farewell(conn, &farewell),
            Err(LoginRefused::Later(refusal)) => self.refuse(conn, frame.reference, &refusal),
        }
    }

    fn login(&mut self, conn: ConnId, frame: &RawFrame) -> Result<(), LoginRefused> {
        //= spec/20-login.md#login-1
        //# [LGN-007] On a LOGIN with ref 0 or a body that does not decode the server MUST send GOAWAY INVALID_LOGIN and
        //# close.
        let login = match frame.decode() {
            Ok(Frame::Login(login)) => login,
            Ok(_) => return Err(Farewell::of(Code::INVALID_LOGIN).into()),
            Err(error) => return Err(undecodable(&error).into()),
        };
        if frame.reference == 0 {
            return Err(Farewell::login_field("ref").into());
        }
        let checked = check_fields(&login)?;
        let (user, token) = self.check_token(&checked.digest)?;
        //= spec/20-login.md#login-1
        //# [LGN-002] The server MUST enable in LOGIN_OK every offered feature that it supports.
        let features = choose_features(&login.features, &FEATURES);
        //= spec/03-versioning.md#features
        //# [VER-014] To a LOGIN whose requires names a feature that the server does not enable, the server MUST send
        //# GOAWAY LOGIN_FEATURE_REQUIRED listing the missing ids and close.
        let missing = missing_features(&login.requires, &features);
        if !missing.is_empty() {
            return Err(Farewell::of(Code::LOGIN_FEATURE_REQUIRED)
                .features(&missing)
                .into());
        }
        let device = self.enter_device(user, checked.device_id, &login.agent)?;
        self.enter(
            conn,
            frame.reference,
            &login,
            checked,
            user,
            device,
            token,
            features,
        );
        Ok(())
    }

    //= spec/04-security.md#security
    //# [SEC-010] The server MUST NOT reveal in GOAWAY or ERROR more of a token than whether it is unknown, expired or
    //# revoked.
    fn check_token(&self, digest: &TokenDigest) -> Result<(UserKey, Token), Farewell> {
        //= spec/20-login.md#login-1
        //# [LGN-003] When the token is unknown, the server MUST send GOAWAY TOKEN_INVALID and close.
        //= spec/20-login.md#tokens
        //# [LGN-047] A token of a deleted user MUST be refused as unknown.
        let Some(token) = self.users.tokens.get(digest).copied() else {
            return Err(Farewell::of(Code::TOKEN_INVALID));
        };
        //= spec/20-login.md#login-1
        //# [LGN-005] When the token was revoked, the server MUST send GOAWAY TOKEN_REVOKED and close.
        if token.revoked {
            return Err(Farewell::of(Code::TOKEN_REVOKED));
        }
        //= spec/20-login.md#login-1
        //# [LGN-004] When the token's time is over, the server MUST send GOAWAY TOKEN_EXPIRED and close.
        if token.expires.is_some_and(|expires| expires <= self.now) {
            return Err(Farewell::of(Code::TOKEN_EXPIRED));
        }
        Ok((token.user, token))
    }

    //= spec/20-login.md#devices
    //# [LGN-037] Two users MUST be able to use the same device id without effect on each other.
    /// The device as it is known from now on.
    fn enter_device(
        &mut self,
        key: UserKey,
        id: DeviceId,
        agent: &str,
    ) -> Result<DeviceUid, LoginRefused> {
        let (now, full) = (self.now, self.store_full);
        let max = self.cfg.max_devices;
        let Some(user) = self.users.get_mut(key) else {
            return Err(Farewell::of(Code::TOKEN_INVALID).into());
        };
        if let Some(device) = user.device_by_id(&id) {
            device.last_login = now;
            agent.clone_into(&mut device.agent);
            // A full store does not keep a known device out; its age is then that of an earlier login after a restart.
            if !full {
                self.batch.put_device(key, device);
            }
            return Ok(device.uid);
        }
        //= spec/20-login.md#devices
        //# [LGN-032] When a user has 8 known devices, a LOGIN of a ninth MUST be refused with GOAWAY TOO_MANY_DEVICES.
        if user.devices.len() >= max {
            let farewell = Farewell::of(Code::TOO_MANY_DEVICES).bound(max as u64, max as u64 + 1);
            return Err(farewell.into());
        }
        if full {
            return Err(LoginRefused::Later(Refusal::store_full()));
        }
        self.counters.last_device += 1;
        let uid = DeviceUid(self.counters.last_device);
        let device = Device {
            id,
            uid,
            agent: agent.to_owned(),
            last_login: now,
            cursor: Pos(0),
            session: None,
            keys: 0,
        };
        self.batch.put_device(key, &device);
        user.devices.push(device);
        Ok(uid)
    }

    //= spec/20-login.md#login-1
    //# [LGN-001] To a valid LOGIN the server MUST answer LOGIN_OK with the user that the token belongs to.
    //= spec/20-login.md#devices
    //# [LGN-031] Sessions of different devices of one user MUST live side by side.
    #[allow(
        clippy::too_many_arguments,
        reason = "the one place where all that a LOGIN says comes together"
    )]
    fn enter(
        &mut self,
        conn: ConnId,
        reference: u32,
        login: &proto::Login,
        checked: Checked,
        key: UserKey,
        device: DeviceUid,
        token: Token,
        features: Vec<Feature>,
    ) {
        let now = self.now;
        //= spec/20-login.md#devices
        //# [LGN-030] A LOGIN of a device that has a live session MUST succeed, and the older session gets GOAWAY
        //# REPLACED and is closed.
        let older = self
            .users
            .get_mut(key)
            .and_then(|user| user.device_mut(device))
            .and_then(|device| device.session.take());
        if let Some(older) = older {
            self.goaway(older, Code::REPLACED);
        }
        let Some(user) = self.users.get_mut(key) else {
            return;
        };
        let (resume, start) = resume(login.resume, user.epoch, user.head, user.trunc);
        //= spec/20-login.md#login-1
        //# [LGN-010] LOGIN_OK MUST carry server time, epoch, head_pos, oldest_pos, idem_window_ms, default_ttl_ms and
        //# max_ttl_ms.
        //= spec/20-login.md#login-1
        //# [LGN-009] The keepalive in LOGIN_OK MUST be the wish of the client, raised to 15 seconds or lowered to 15
        //# minutes where it is outside, or 60 seconds where there is no wish.
        //= spec/02-errors-and-limits.md#sizes
        //# [ERR-032] After LOGIN_OK the server MUST receive bodies up to the max_frame that it announced in LOGIN_OK.
        //= spec/02-errors-and-limits.md#sizes
        //# [ERR-036] The server MUST announce max_inflight in LOGIN_OK.
        let body = proto::LoginOk {
            version: checked.version,
            features: features.iter().map(|feature| feature.0).collect(),
            user: user.name.to_string(),
            server_time_ms: now.0,
            limits: Some(proto::Limits {
                max_frame: Some(self.cfg.max_frame),
                max_inflight: Some(self.cfg.max_inflight),
            }),
            keepalive_ms: checked.keepalive_ms,
            resume: resume.into(),
            epoch: user.epoch,
            head_pos: user.head.0,
            oldest_pos: user.trunc.0 + 1,
            //= spec/20-login.md#login-1
            //# [LGN-011] token_ttl_ms MUST be present exactly when the token expires.
            token_ttl_ms: token.expires.map(|expires| expires.since(now)),
            idem_window_ms: self.cfg.idem_window_ms,
            default_ttl_ms: self.cfg.default_ttl_ms,
            max_ttl_ms: self.cfg.max_ttl_ms,
        };
        let head = user.head;
        user.sessions.push(conn);
        if let Some(device) = user.device_mut(device) {
            device.session = Some(conn);
        }
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        state.last_rx = now;
        state.new_max_frame = Some(self.cfg.max_frame);
        state.reply(FrameType::LOGIN_OK, reference, &body);
        state.session = Some(Box::new(Session {
            user: key,
            device,
            features,
            max_frame: checked.max_frame,
            keepalive_ms: checked.keepalive_ms,
            token: checked.digest,
            token_expires: token.expires,
            //= spec/10-control.md#flow-of-entries
            //# [CTL-024] An event_limit of 0 in LOGIN MUST be accepted and mean that no entry is sent until a CREDIT.
            event_limit: login.event_limit,
            events_sent: 0,
            scan: start,
            prev: start,
            ack_limit: start,
            live: false,
            reading: false,
            tag: 0,
            read_head: head,
            blocked: false,
            noticed: false,
            synced_owed: true,
            fences: VecDeque::new(),
            contents: Vec::new(),
            content_tag: 0,
        }));
        self.touch(conn);
        self.set_timer(conn);
        self.arrive(conn);
    }

    pub(crate) fn on_reauth(
        &mut self,
        conn: ConnId,
        reference: u32,
        reauth: &proto::Reauth,
    ) -> Handled {
        let digest = digest(&reauth.token);
        //= spec/20-login.md#tokens
        //# [LGN-043] REAUTH with a token that is unknown, expired, revoked or another user's MUST be answered with
        //# ERROR BAD_TOKEN, and the session lives on by the old one.
        let Some((user, _)) = self.who(conn) else {
            return Ok(());
        };
        let (owner, token) = self
            .check_token(&digest)
            .map_err(|_| Refusal::of(Code::BAD_TOKEN))?;
        if owner != user {
            return Err(Refusal::of(Code::BAD_TOKEN));
        }
        //= spec/20-login.md#tokens
        //# [LGN-040] REAUTH with a valid token of the same user MUST be answered with OK, and the session lives by the
        //# new token from then on.
        if let Some(session) = self.session_mut(conn) {
            session.token = digest;
            session.token_expires = token.expires;
        }
        self.reply(conn, FrameType::OK, reference, &proto::Ok {});
        self.set_timer(conn);
        Ok(())
    }

    //= spec/20-login.md#tokens
    //# [LGN-045] LOGOUT MUST be answered with OK, then GOAWAY LOGGED_OUT.
    pub(crate) fn on_logout(&mut self, conn: ConnId, reference: u32, logout: &proto::Logout) {
        let Some((user, device)) = self.who(conn) else {
            return;
        };
        self.reply(conn, FrameType::OK, reference, &proto::Ok {});
        self.goaway(conn, Code::LOGGED_OUT);
        //= spec/20-login.md#tokens
        //# [LGN-046] LOGOUT with forget_device MUST make the device unknown: it has no cursor and no place among the
        //# devices any more.
        if logout.forget_device {
            self.forget_device(user, device);
        }
    }

    /// The token was revoked: whoever lives by it is cut.
    pub(crate) fn cut_token(&mut self, digest: &TokenDigest) {
        let mut cut: Vec<ConnId> = Vec::new();
        for (conn, state) in &self.conns {
            if state
                .session
                .as_ref()
                .is_some_and(|session| session.token == *digest)
            {
                cut.push(*conn);
            }
        }
        cut.sort_unstable();
        for conn in cut {
            self.goaway(conn, Code::TOKEN_REVOKED);
        }
    }

    /// When a token that is put now ends.
    pub(crate) fn token_end(&self, ttl_ms: Option<u64>) -> Option<Millis> {
        ttl_ms.map(|ttl| self.now.plus(ttl))
    }
}

/// SHA-256 of a token.
pub(crate) fn digest(token: &[u8]) -> TokenDigest {
    Sha256::digest(token).into()
}

fn undecodable(error: &DecodeError) -> Farewell {
    let mut farewell = Farewell::of(Code::INVALID_LOGIN);
    if !error.field().is_empty() {
        farewell = Farewell::login_field(&error.field().to_string());
    }
    if let (Some(limit), Some(actual)) = (error.limit(), error.actual()) {
        farewell = farewell.bound(limit as u64, actual as u64);
    }
    farewell
}

/// Version first, then the fields in the order of their numbers.
fn check_fields(login: &proto::Login) -> Result<Checked, Farewell> {
    let (min, max) = (login.version_min, login.version_max);
    let version = choose_version(min, max, VERSIONS).map_err(|error| match error {
        VersionError::InvalidRange { .. } if min == 0 => {
            Farewell::login_field("version_min").bound(1, 0)
        }
        VersionError::InvalidRange { .. } => {
            Farewell::login_field("version_min").bound(u64::from(max), u64::from(min))
        }
        VersionError::Unsupported { .. } => {
            Farewell::of(error.code()).bound(u64::from(*VERSIONS.end()), u64::from(min))
        }
    })?;
    let token = login.token.len();
    if token == 0 {
        return Err(Farewell::login_field("token").bound(1, 0));
    }
    if token > MAX_TOKEN {
        return Err(Farewell::login_field("token").bound(MAX_TOKEN as u64, token as u64));
    }
    let Ok(device_id) = DeviceId::try_from(&login.device_id[..]) else {
        return Err(Farewell::login_field("device_id")
            .bound(DEVICE_ID_LEN as u64, login.device_id.len() as u64));
    };
    if device_id == [0; DEVICE_ID_LEN] {
        return Err(Farewell::login_field("device_id"));
    }
    //= spec/02-errors-and-limits.md#sizes
    //# [ERR-035] When a LOGIN announces a max_frame below 16,384 or above 1,048,576, the server MUST send GOAWAY
    //# INVALID_LOGIN and close.
    let max_frame = login
        .limits
        .and_then(|limits| limits.max_frame)
        .unwrap_or(MAX_FRAME_DEFAULT);
    for (bound, broken) in [
        (MAX_FRAME_FLOOR, max_frame < MAX_FRAME_FLOOR),
        (MAX_FRAME_HARD, max_frame > MAX_FRAME_HARD),
    ] {
        if broken {
            return Err(Farewell::login_field("limits.max_frame")
                .bound(u64::from(bound), u64::from(max_frame)));
        }
    }
    if login.agent.len() > MAX_AGENT {
        return Err(
            Farewell::login_field("agent").bound(MAX_AGENT as u64, login.agent.len() as u64)
        );
    }
    let keepalive_ms = login.keepalive_ms.map_or(KEEPALIVE_DEFAULT_MS, |wish| {
        wish.clamp(KEEPALIVE_MIN_MS, KEEPALIVE_MAX_MS)
    });
    Ok(Checked {
        version,
        device_id,
        max_frame,
        keepalive_ms,
        digest: digest(&login.token),
    })
}

/// What becomes of the resume position, and after which position the backlog starts.
fn resume(wish: Option<proto::Resume>, epoch: u64, head: Pos, trunc: Pos) -> (ResumeResult, Pos) {
    match wish {
        //= spec/20-login.md#resume
        //# [LGN-020] A LOGIN without resume MUST be answered with resume FRESH, and the backlog starts at oldest_pos.
        None => (ResumeResult::Fresh, trunc),
        //= spec/20-login.md#resume
        //# [LGN-021] When the epoch is the log's and pos is at least oldest_pos less 1 and at most head_pos, the server
        //# MUST answer RESUMED and start the backlog after pos.
        //= spec/20-login.md#resume
        //# [LGN-027] RESUMED MUST NOT move the device's cursor.
        Some(wish) if wish.epoch == epoch && wish.pos <= head.0 && wish.pos >= trunc.0 => {
            (ResumeResult::Resumed, Pos(wish.pos))
        }
        //= spec/20-login.md#resume
        //# [LGN-022] When the epoch is another one or pos is above head_pos, the server MUST answer GAP and start the
        //# backlog at oldest_pos.
        //= spec/20-login.md#resume
        //# [LGN-023] When the epoch is the log's and pos is below oldest_pos less 1, the server MUST answer GAP and
        //# start the backlog at oldest_pos.
        Some(_) => (ResumeResult::Gap, trunc),
    }
}
