//! LOGIN with its defaults, and what LOGIN_OK gives names to.

use prost::Message;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use tidewire_codec::{Feature, Flags, FrameType, RawFrame};

use super::expect::BEFORE_LOGIN;
use super::{Miss, Player};
use crate::ladder::Event;
use crate::session::{Actor, Expect, Heard, Known, Login};
use crate::value::{Scope, Val, from_field};
use crate::verdict::FailureClass;

/// More entries than any case makes.
pub(crate) const EVENT_LIMIT: u64 = 1_000_000;

impl Player<'_> {
    /// A `login` step.
    pub(super) async fn login_step(
        &mut self,
        index: usize,
        actor: usize,
        login: &Login,
    ) -> Result<(), Miss> {
        if self.links.get(actor).is_none_or(Option::is_none) {
            self.connect(actor, &crate::transport::Opening::default())
                .await?;
        }
        let body = self.login_body(actor, login)?;
        let max_frame = announced(&body);
        let link = self.link(actor)?;
        // Else the answer to the first could be taken for that to the second.
        if std::mem::replace(&mut link.has_login, true) {
            let text = "a `login` on a connection that had one: read its end first, or `send` another LOGIN";
            return Err(Miss::harness(text));
        }
        let reference = link.new_ref();
        link.refs.rename(login.name.as_deref());
        link.refs.asked(login.name.as_deref(), reference);
        link.max_frame = max_frame.unwrap_or(tidewire_codec::limits::MAX_FRAME_DEFAULT);
        let body = body.encode_to_vec().into();
        let frame = RawFrame {
            flags: Flags::NONE,
            frame_type: FrameType::LOGIN,
            reference,
            body,
        };
        self.ladder.push(Event::Sent {
            actor,
            frame: frame.clone(),
        });
        let bytes = frame.to_bytes().map_err(Miss::harness)?;
        self.send_swept(index, actor, &bytes).await?;
        if login.raw || self.silenced == Some(actor) {
            return Ok(());
        }
        let ok = Expect {
            body: login.ok.clone(),
            ..plain(FrameType::LOGIN_OK)
        };
        self.one_of(actor, &[&ok]).await?;
        if !login.ok.as_ref().is_some_and(|ok| ok.mentions("user"))
            && !login.body.names().any(|name| name == "token")
        {
            self.is_own_user(actor)?;
        }
        if login.synced {
            self.one_of(actor, &[&plain(FrameType::SYNCED)]).await?;
        }
        Ok(())
    }

    fn login_body(&self, actor: usize, login: &Login) -> Result<DynamicMessage, Miss> {
        let actor = self.session.actors.get(actor).zip(Some(actor));
        let (actor, index) = actor.ok_or_else(|| Miss::harness("no such actor"))?;
        login_message(actor, login, &self.world, self.default_resume(index)).map_err(Miss::harness)
    }

    /// LOGIN_OK came: from now on other limits hold, and its numbers have names.
    pub(super) fn logged_in(&mut self, actor: usize, body: &DynamicMessage) {
        if let Some(Some(link)) = self.links.get_mut(actor) {
            link.logged_in = true;
            link.connection
                .set_max_frame(link.max_frame.max(BEFORE_LOGIN));
        }
        let Some(name) = self
            .session
            .actors
            .get(actor)
            .map(|actor| actor.name.clone())
        else {
            return;
        };
        let number = |field: &str| {
            body.get_field_by_name(field)
                .as_deref()
                .and_then(from_field)
        };
        let max_frame = announced(body).unwrap_or(tidewire_codec::limits::MAX_FRAME_DEFAULT);
        let found = [
            ("epoch", number("epoch")),
            ("head", number("head_pos")),
            ("oldest", number("oldest_pos")),
            ("keepalive", number("keepalive_ms")),
            ("user", number("user")),
            ("max_frame", Some(Val::Int(i128::from(max_frame)))),
        ];
        for (field, value) in found {
            if let Some(value) = value {
                self.world.set(format!("{name}.{field}"), value);
            }
        }
    }

    /// A server that logs somebody else in is wrong in every case.
    fn is_own_user(&self, actor: usize) -> Result<(), Miss> {
        let Some(actor) = self.session.actors.get(actor) else {
            return Ok(());
        };
        let expected = Val::Text(self.world.user(&actor.user));
        match self.world.lookup(&format!("{}.user", actor.name)) {
            Some(found) if found == expected => Ok(()),
            found => {
                let got = found.map_or_else(|| "absent".to_owned(), |found| found.to_string());
                let miss = Miss::new(FailureClass::WrongField, expected.to_string(), got);
                Err(Miss {
                    at: "user of LOGIN_OK".to_owned(),
                    ..miss
                })
            }
        }
    }
}

/// LOGIN of this actor: what the step gives, over the defaults.
pub(crate) fn login_message(
    actor: &Actor,
    login: &Login,
    scope: &dyn Scope,
    resume: Option<DynamicMessage>,
) -> Result<DynamicMessage, String> {
    let mut body = login.body.build(scope)?;
    let features = Feature::ALL
        .iter()
        .map(|feature| Value::U32(feature.0))
        .collect();
    let mut defaults = vec![
        ("version_min", Value::U32(1)),
        ("version_max", Value::U32(1)),
        ("features", Value::List(features)),
        ("event_limit", Value::U64(EVENT_LIMIT)),
        ("agent", Value::String("conformance".to_owned())),
    ];
    for (field, variable) in [
        ("token", format!("t.{}", actor.user)),
        ("device_id", format!("d.{}", actor.name)),
    ] {
        if let Some(Val::Bytes(bytes)) = scope.lookup(&variable) {
            defaults.push((field, Value::Bytes(bytes)));
        }
    }
    if let Some(resume) = resume {
        defaults.push(("resume", Value::Message(resume)));
    }
    for (field, value) in defaults {
        let is_given = login.body.names().any(|given| given == field);
        if !is_given && !login.absent.iter().any(|absent| absent == field) {
            body.try_set_field_by_name(field, value)
                .map_err(|error| error.to_string())?;
        }
    }
    Ok(body)
}

/// An expectation of the type alone.
pub(super) fn plain(frame_type: FrameType) -> Expect {
    Expect {
        line: 0,
        frame: Known::Now(frame_type),
        code: None,
        to: None,
        reference: None,
        flags: None,
        body: None,
        exact: false,
        heard: Heard::Now,
        proves: Vec::new(),
    }
}

/// The max_frame in the `limits` of a LOGIN or LOGIN_OK.
pub(super) fn announced(body: &DynamicMessage) -> Option<u32> {
    let limits = body.get_field_by_name("limits")?;
    let limits = limits.as_message()?;
    let field = limits.descriptor().get_field_by_name("max_frame")?;
    if limits.has_field(&field) {
        limits.get_field(&field).as_u32()
    } else {
        None
    }
}
