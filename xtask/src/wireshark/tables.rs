//! The module `tidewire.tables`: registries and proto files as tables of Lua.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail};
use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde::Deserialize;
use tidewire_codec::{Flags, PREFACE};

use super::lua::{Key, Lua};

#[derive(Deserialize)]
struct Frames {
    frame: Vec<Frame>,
    reserved: Vec<ReservedFrames>,
}

#[derive(Deserialize)]
struct Frame {
    r#type: u16,
    name: String,
    message: String,
    dir: String,
    kind: String,
    login: String,
    reply: Option<String>,
}

#[derive(Deserialize)]
struct ReservedFrames {
    names: Vec<String>,
    first: u16,
}

#[derive(Deserialize)]
struct Codes {
    class: Vec<Class>,
    code: Vec<Code>,
}

#[derive(Deserialize)]
struct Class {
    class: i64,
    action: String,
}

#[derive(Deserialize)]
struct Code {
    code: u16,
    name: String,
    meaning: String,
}

#[derive(Deserialize)]
struct Features {
    feature: Vec<Feature>,
    reserved: Vec<Feature>,
}

#[derive(Deserialize)]
struct Feature {
    id: i64,
    name: String,
}

#[derive(Deserialize)]
struct Masks {
    permission: Vec<Bit>,
    flag: Vec<Bit>,
}

#[derive(Deserialize)]
struct Bit {
    bit: i64,
    name: String,
}

#[derive(Deserialize)]
struct Limits {
    limit: Vec<Limit>,
}

#[derive(Deserialize)]
struct Limit {
    name: String,
    value: i64,
}

/// The numbers that the dissector holds frames against.
const LIMITS: [&str; 7] = [
    "PREFACE_LEN",
    "HEADER_LEN",
    "MAX_FRAME_HARD",
    "MAX_FRAME_BEFORE_LOGIN",
    "MAX_FRAME_DEFAULT",
    "MAX_ITEMS",
    "MAX_FEATURES",
];

/// The source of the module.
///
/// # Errors
/// When a registry cannot be read, or a field is of a type that version 1 does not have.
pub(super) fn text(root: &Path, pool: &DescriptorPool) -> Result<String> {
    let mut out = String::from("local tables = {}\n");
    let mut put = |name: &str, table: Lua, lines: usize| -> Result<()> {
        write!(out, "\ntables.{name} = ")?;
        table.write(&mut out, lines, 0)?;
        out.push('\n');
        Ok(())
    };
    let preface: String = PREFACE.iter().map(|byte| format!("{byte:02x}")).collect();
    put("preface", Lua::text(preface), 0)?;
    let flags = [
        ("critical", Flags::CRITICAL),
        ("reply", Flags::REPLY),
        ("logged", Flags::LOGGED),
        ("reserved", Flags::RESERVED),
        ("grease", Flags::GREASE),
    ];
    let flags = flags.map(|(name, flag)| (name, Lua::Number(flag.0.into())));
    put("flags", Lua::named(flags), 0)?;
    put("limits", limits(root)?, 1)?;
    let frames: Frames = registry(root, "frames")?;
    put("reserved", reserved(&frames), 1)?;
    put(
        "frames",
        Lua::Table(frames.frame.into_iter().map(frame).collect()),
        1,
    )?;
    let codes: Codes = registry(root, "codes")?;
    let classes = codes.class.into_iter();
    let classes = classes.map(|class| (Key::Number(class.class), Lua::Text(class.action)));
    put("classes", Lua::Table(classes.collect()), 1)?;
    let codes = codes.code.into_iter().map(|code| {
        let known = [
            ("name", Lua::Text(code.name)),
            ("meaning", Lua::Text(code.meaning)),
        ];
        (Key::Hex(code.code), Lua::named(known))
    });
    put("codes", Lua::Table(codes.collect()), 1)?;
    let features: Features = registry(root, "features")?;
    let features = features.feature.into_iter().chain(features.reserved);
    let features = features.map(|feature| (Key::Number(feature.id), Lua::Text(feature.name)));
    put("features", Lua::Table(features.collect()), 1)?;
    let masks: Masks = registry(root, "permissions")?;
    put("permissions", bits(masks.permission), 1)?;
    put("group_flags", bits(masks.flag), 1)?;
    let enums = pool.all_enums().map(|descriptor| {
        let values = descriptor.values();
        let values =
            values.map(|value| (Key::Number(value.number().into()), Lua::text(value.name())));
        (
            Key::Name(descriptor.name().to_owned()),
            Lua::Table(values.collect()),
        )
    });
    put("enums", Lua::Table(enums.collect()), 2)?;
    let messages = pool.all_messages().map(|descriptor| message(&descriptor));
    put("messages", Lua::Table(messages.collect::<Result<_>>()?), 3)?;
    out.push_str("\nreturn tables\n");
    Ok(out)
}

fn registry<T: for<'de> Deserialize<'de>>(root: &Path, name: &str) -> Result<T> {
    let path = root.join(format!("spec/registries/{name}.toml"));
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| path.display().to_string())
}

fn limits(root: &Path) -> Result<Lua> {
    let known: Limits = registry(root, "limits")?;
    let mut chosen = Vec::new();
    for name in LIMITS {
        let limit = known.limit.iter().find(|limit| limit.name == name);
        let limit = limit.with_context(|| format!("no limit {name}"))?;
        chosen.push((name, Lua::Number(limit.value)));
    }
    Ok(Lua::named(chosen))
}

fn frame(frame: Frame) -> (Key, Lua) {
    let mut known = vec![
        ("name", Lua::Text(frame.name)),
        ("message", Lua::Text(frame.message)),
        ("dir", Lua::Text(frame.dir)),
        ("kind", Lua::Text(frame.kind)),
        ("login", Lua::Text(frame.login)),
    ];
    known.extend(frame.reply.map(|reply| ("reply", Lua::Text(reply))));
    (Key::Hex(frame.r#type), Lua::named(known))
}

fn reserved(frames: &Frames) -> Lua {
    let each = frames.reserved.iter().flat_map(|range| {
        let numbers = range.first..;
        numbers
            .zip(&range.names)
            .map(|(number, name)| (Key::Hex(number), Lua::text(name)))
    });
    Lua::Table(each.collect())
}

fn bits(bits: Vec<Bit>) -> Lua {
    let each = bits.into_iter();
    Lua::Table(
        each.map(|bit| (Key::Number(bit.bit), Lua::Text(bit.name)))
            .collect(),
    )
}

fn message(descriptor: &MessageDescriptor) -> Result<(Key, Lua)> {
    let mut fields: Vec<FieldDescriptor> = descriptor.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    let mut rows = Vec::new();
    for field in fields {
        let (kind, of) = match field.kind() {
            Kind::Bool => ("bool", None),
            Kind::Uint32 => ("uint32", None),
            Kind::Uint64 => ("uint64", None),
            Kind::String => ("string", None),
            Kind::Bytes => ("bytes", None),
            Kind::Enum(of) => ("enum", Some(of.name().to_owned())),
            Kind::Message(of) => ("message", Some(of.name().to_owned())),
            other => bail!(
                "{} is of type {other:?}, which the dissector does not know",
                field.full_name()
            ),
        };
        let mut row = vec![("name", Lua::text(field.name())), ("kind", Lua::text(kind))];
        row.extend(of.map(|of| ("of", Lua::Text(of))));
        row.extend(meaning(&field).map(|meaning| ("means", Lua::text(meaning))));
        row.extend(field.is_list().then_some(("repeated", Lua::Flag(true))));
        rows.push((Key::Number(field.number().into()), Lua::named(row)));
    }
    let shape = [
        ("abbrev", Lua::Text(snake(descriptor.name()))),
        ("fields", Lua::Table(rows)),
    ];
    Ok((Key::Name(descriptor.name().to_owned()), Lua::named(shape)))
}

/// The registry whose numbers a field holds, which is what its name says: the proto files know numbers alone.
fn meaning(field: &FieldDescriptor) -> Option<&'static str> {
    if field.kind() != Kind::Uint32 {
        return field.name().ends_with("_ms").then_some("ms");
    }
    match field.name() {
        "code" => Some("code"),
        "features" | "requires" => Some("feature"),
        "flags" => Some("group_flags"),
        name if name.ends_with("permissions") => Some("permissions"),
        name if name.ends_with("_ms") => Some("ms"),
        _ => None,
    }
}

/// `LoginOk` as `login_ok`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}
