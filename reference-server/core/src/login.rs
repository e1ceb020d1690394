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
        //# [LGN-007]
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
        //# [LGN-002]
        let features = choose_features(&login.features, &FEATURES);
        //# [VER-014]
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

    //# [SEC-010]
    fn check_token(&self, digest: &TokenDigest) -> Result<(UserKey, Token), Farewell> {
        //# [LGN-003]
        //# [LGN-047]
        let Some(token) = self.users.tokens.get(digest).copied() else {
            return Err(Farewell::of(Code::TOKEN_INVALID));
        };
        //# [LGN-005]
        if token.revoked {
            return Err(Farewell::of(Code::TOKEN_REVOKED));
        }
        //# [LGN-004]
        if token.expires.is_some_and(|expires| expires <= self.now) {
            return Err(Farewell::of(Code::TOKEN_EXPIRED));
        }
        Ok((token.user, token))
    }

    //# [LGN-037]
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
        //# [LGN-032]
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

    //# [LGN-001]
    //# [LGN-031]
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
        //# [LGN-030]
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
        //# [LGN-010]
        //# [LGN-009]
        //# [ERR-032]
        //# [ERR-036]
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
            //# [LGN-011]
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
            //# [CTL-024]
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
        //# [LGN-043]
        let Some((user, _)) = self.who(conn) else {
            return Ok(());
        };
        let (owner, token) = self
            .check_token(&digest)
            .map_err(|_| Refusal::of(Code::BAD_TOKEN))?;
        if owner != user {
            return Err(Refusal::of(Code::BAD_TOKEN));
        }
        //# [LGN-040]
        if let Some(session) = self.session_mut(conn) {
            session.token = digest;
            session.token_expires = token.expires;
        }
        self.reply(conn, FrameType::OK, reference, &proto::Ok {});
        self.set_timer(conn);
        Ok(())
    }

    //# [LGN-045]
    pub(crate) fn on_logout(&mut self, conn: ConnId, reference: u32, logout: &proto::Logout) {
        let Some((user, device)) = self.who(conn) else {
            return;
        };
        self.reply(conn, FrameType::OK, reference, &proto::Ok {});
        self.goaway(conn, Code::LOGGED_OUT);
        //# [LGN-046]
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
    //# [ERR-035]
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
        //# [LGN-020]
        None => (ResumeResult::Fresh, trunc),
        //# [LGN-021]
        //# [LGN-027]
        Some(wish) if wish.epoch == epoch && wish.pos <= head.0 && wish.pos >= trunc.0 => {
            (ResumeResult::Resumed, Pos(wish.pos))
        }
        //# [LGN-022]
        //# [LGN-023]
        Some(_) => (ResumeResult::Gap, trunc),
    }
}
