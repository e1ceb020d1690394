//! Which frames a rule means: their type, who sends them, their header and their body.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, Value};
use tidewire_codec::{Code, Direction, Flags, FrameType, Kind, RawFrame};

use super::Side;
use crate::matcher::{Binds, Matcher};
use crate::names;
use crate::tree::{Data, Fault, Fields, Node};
use crate::value::{Scope, Val};

/// A frame on its way, with its body by field names where the type has known fields and the bytes decode.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) side: Side,
    pub(super) frame: RawFrame,
    pub(super) body: Option<DynamicMessage>,
}

impl Seen {
    pub(super) fn new(side: Side, frame: RawFrame) -> Seen {
        let message = names::message_of(frame.frame_type);
        let body =
            message.and_then(|message| DynamicMessage::decode(message, frame.body.clone()).ok());
        Seen { side, frame, body }
    }

    fn code(&self) -> Option<u32> {
        self.body
            .as_ref()?
            .get_field_by_name("code")
            .as_deref()
            .and_then(Value::as_u32)
    }
}

/// What a frame has to be for a rule to apply.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    types: Types,
    from: Option<Side>,
    bodies: HashMap<u16, Matcher>,
    codes: Vec<Code>,
    flags: Flags,
    no_flags: Flags,
    reference: Option<Reference>,
    unknown_fields: bool,
    grease: bool,
}

#[derive(Clone, Debug)]
enum Types {
    Any,
    These(Vec<FrameType>),
}

#[derive(Clone, Copy, Debug)]
enum Reference {
    Zero,
    NotZero,
}

impl Pattern {
    /// Reads the keys of a pattern out of a table: `on` was taken already.
    pub(super) fn parse(on: Node, table: &mut Fields) -> Result<Pattern, Fault> {
        let line = on.line;
        let types = types(on)?;
        let from = table.take("from").map(side).transpose()?;
        if from.is_none() {
            has_one_direction(&types, line)?;
        }
        let mut bodies = HashMap::new();
        if let Some(node) = table.take("where") {
            for (frame_type, message) in types.messages(node.line)? {
                let fields = node.clone().fields()?;
                bodies.insert(frame_type.0, Matcher::parse(&message, fields)?);
            }
        }
        let mask = |table: &mut Fields, key: &str| table.take(key).map_or(Ok(Flags::NONE), flags);
        let flags = mask(table, "flags")?;
        let no_flags = mask(table, "no_flags")?;
        let codes = table.take("code").map_or(Ok(Vec::new()), codes)?;
        let reference = table.take("ref").map(reference).transpose()?;
        let switch =
            |table: &mut Fields, key: &str| table.take(key).map_or(Ok(false), Node::boolean);
        let unknown_fields = switch(table, "unknown_fields")?;
        let grease = switch(table, "grease")?;
        Ok(Pattern {
            types,
            from,
            bodies,
            codes,
            flags,
            no_flags,
            reference,
            unknown_fields,
            grease,
        })
    }

    /// Reads a table that is a pattern and nothing else.
    pub(super) fn whole(node: Node, what: &str) -> Result<Pattern, Fault> {
        let mut table = node.fields()?;
        let on = table.need("on")?;
        let pattern = Pattern::parse(on, &mut table)?;
        table.finish(what)?;
        Ok(pattern)
    }

    /// True if frames of this side can be meant.
    pub(super) fn can_come_from(&self, side: Side) -> bool {
        match (self.from, &self.types) {
            (Some(from), _) => from == side,
            (None, Types::Any) => true,
            (None, Types::These(types)) => types.iter().any(|one| sends(side, *one)),
        }
    }

    /// The types that are meant with the messages that their bodies are.
    pub(super) fn messages(
        &self,
        line: usize,
    ) -> Result<Vec<(FrameType, prost_reflect::MessageDescriptor)>, Fault> {
        self.types.messages(line)
    }

    /// What the frame binds if it is meant, and `None` if it is not.
    pub(super) fn fits(&self, seen: &Seen, scope: &dyn Scope) -> Option<HashMap<String, Val>> {
        let frame = &seen.frame;
        let is_type = match &self.types {
            Types::Any => true,
            Types::These(types) => types.contains(&frame.frame_type),
        };
        let is_side = match self.from {
            Some(from) => from == seen.side,
            None => sends(seen.side, frame.frame_type),
        };
        let is_reference = match self.reference {
            None => true,
            Some(Reference::Zero) => frame.reference == 0,
            Some(Reference::NotZero) => frame.reference != 0,
        };
        let is_code = self.codes.is_empty()
            || seen
                .code()
                .is_some_and(|code| self.codes.iter().any(|one| u32::from(one.0) == code));
        let has_unknown = || {
            seen.body
                .as_ref()
                .is_some_and(|body| body.unknown_fields().next().is_some())
        };
        let fits = is_type
            && is_side
            && is_reference
            && frame.flags.contains(self.flags)
            && frame.flags.0 & self.no_flags.0 == 0
            && is_code
            && (!self.grease || frame.frame_type.is_grease())
            && (!self.unknown_fields || has_unknown());
        if !fits {
            return None;
        }
        let mut binds = Binds::new(scope);
        if let Some(matcher) = self.bodies.get(&frame.frame_type.0) {
            matcher.check(seen.body.as_ref()?, false, &mut binds).ok()?;
        }
        Some(binds.into_new())
    }
}

impl Types {
    fn messages(
        &self,
        line: usize,
    ) -> Result<Vec<(FrameType, prost_reflect::MessageDescriptor)>, Fault> {
        let Types::These(types) = self else {
            return Err(Fault::new(
                line,
                "fields need types that are named: `on` is \"*\"",
            ));
        };
        let message = |one: &FrameType| {
            names::message_of(*one)
                .map(|message| (*one, message))
                .ok_or_else(|| Fault::new(line, format!("{one} has no fields that are known")))
        };
        types.iter().map(message).collect()
    }
}

/// Frame types by name, number or group: `@request`, `@reply`, `@event`, `@logged`.
fn types(node: Node) -> Result<Types, Fault> {
    let line = node.line;
    match node.data {
        Data::Text(text) if text == "*" => Ok(Types::Any),
        Data::Text(text) => group(&text, line).map(Types::These),
        Data::List(items) => {
            let mut all = Vec::new();
            for item in items {
                let line = item.line;
                all.extend(group(&item.text()?, line)?);
            }
            if all.is_empty() {
                return Err(Fault::new(line, "`on` names no frame"));
            }
            Ok(Types::These(all))
        }
        other => Err(Fault::new(
            line,
            format!("`on` is a frame type or a list of them, found {other}"),
        )),
    }
}

fn group(text: &str, line: usize) -> Result<Vec<FrameType>, Fault> {
    let kind = |wanted: Kind| {
        let is_kind = |one: &&FrameType| one.info().is_some_and(|info| info.kind == wanted);
        FrameType::ALL.iter().filter(is_kind).copied().collect()
    };
    Ok(match text {
        "@request" => kind(Kind::Request),
        "@reply" => kind(Kind::Reply),
        "@event" => kind(Kind::Event),
        "@logged" => {
            let is_logged = |one: &&FrameType| one.info().is_some_and(|info| info.logged);
            FrameType::ALL.iter().filter(is_logged).copied().collect()
        }
        _ => vec![
            names::frame_type(text)
                .ok_or_else(|| Fault::new(line, format!("unknown frame {text:?}")))?,
        ],
    })
}

/// `client` or `server`.
pub(super) fn side(node: Node) -> Result<Side, Fault> {
    let line = node.line;
    match node.text()?.as_str() {
        "client" => Ok(Side::Client),
        "server" => Ok(Side::Server),
        other => Err(Fault::new(
            line,
            format!("`from` is client or server, not {other:?}"),
        )),
    }
}

/// Header flags by name, or as the number: bits that have no name, too.
pub(super) fn flags(node: Node) -> Result<Flags, Fault> {
    let line = node.line;
    match node.data {
        Data::Int(bits) => u8::try_from(bits)
            .map(Flags)
            .map_err(|_| Fault::new(line, "flags are one byte")),
        _ => node.texts()?.iter().try_fold(Flags::NONE, |bits, name| {
            names::flag(name)
                .map(|bit| bits | Flags(bit))
                .ok_or_else(|| Fault::new(line, format!("unknown flag {name:?}")))
        }),
    }
}

fn codes(node: Node) -> Result<Vec<Code>, Fault> {
    let line = node.line;
    let names = match node.data {
        Data::Text(text) => vec![text],
        _ => node.texts()?,
    };
    let code = |name: &String| {
        names::code(name).ok_or_else(|| Fault::new(line, format!("unknown code {name:?}")))
    };
    names.iter().map(code).collect()
}

fn reference(node: Node) -> Result<Reference, Fault> {
    let line = node.line;
    match node.data {
        Data::Int(0) => Ok(Reference::Zero),
        Data::Text(text) if text == "any" => Ok(Reference::NotZero),
        other => Err(Fault::new(
            line,
            format!("`ref` of a pattern is 0 or \"any\", found {other}"),
        )),
    }
}

fn sends(side: Side, frame_type: FrameType) -> bool {
    frame_type
        .info()
        .is_none_or(|info| match (info.direction, side) {
            (Direction::Both, _)
            | (Direction::ClientToServer, Side::Client)
            | (Direction::ServerToClient, Side::Server) => true,
            (Direction::ClientToServer, Side::Server)
            | (Direction::ServerToClient, Side::Client) => false,
        })
}

/// Without `from` the type has to say who sends it.
fn has_one_direction(types: &Types, line: usize) -> Result<(), Fault> {
    let both = match types {
        Types::Any => Some("*".to_owned()),
        Types::These(types) => types
            .iter()
            .find(|one| sends(Side::Client, **one) && sends(Side::Server, **one))
            .map(ToString::to_string),
    };
    match both {
        None => Ok(()),
        Some(name) => Err(Fault::new(
            line,
            format!("{name} goes both ways: say `from`"),
        )),
    }
}
