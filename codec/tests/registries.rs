//! The tables of the codec against `spec/registries`, both ways: each row here is a row there, with the same words.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a registry that does not read fails the test"
)]

use std::collections::BTreeSet;
use std::path::Path;

use tidewire_codec::{
    Class, Code, Direction, Family, Feature, FrameType, GroupFlags, Kind, LoginPhase, Permissions,
    limits,
};
use toml::{Table, Value};

fn registry(name: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../spec/registries")
        .join(name);
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn rows<'a>(registry: &'a Table, kind: &str) -> &'a [Value] {
    registry
        .get(kind)
        .map_or(&[], |rows| rows.as_array().unwrap())
}

fn text<'a>(row: &'a Value, key: &str) -> Option<&'a str> {
    row.get(key).map(|value| value.as_str().unwrap())
}

fn number(row: &Value, key: &str) -> u64 {
    row[key].as_integer().unwrap().try_into().unwrap()
}

#[test]
fn frames() {
    let registry = registry("frames.toml");
    let rows = rows(&registry, "frame");
    assert_eq!(rows.len(), FrameType::ALL.len());
    for (row, known) in rows.iter().zip(FrameType::ALL) {
        let info = known.info().unwrap();
        assert_eq!(u64::from(known.0), number(row, "type"));
        assert_eq!(info.frame_type, *known);
        assert_eq!(Some(info.name), text(row, "name"));
        assert_eq!(known.name(), text(row, "name"));
        assert_eq!(FrameType::from_name(info.name), Some(*known));
        assert_eq!(Some(info.message), text(row, "message"));
        assert_eq!(known.shape().unwrap().name, info.message);
        assert_eq!(Some(info.family.name()), text(row, "family"));
        assert_eq!(
            known.family(),
            Some(info.family),
            "the high byte names the family"
        );
        let direction = match info.direction {
            Direction::ClientToServer => "c2s",
            Direction::ServerToClient => "s2c",
            Direction::Both => "both",
        };
        assert_eq!(Some(direction), text(row, "dir"));
        let kind = match info.kind {
            Kind::Request => "request",
            Kind::Reply => "reply",
            Kind::Event => "event",
        };
        assert_eq!(Some(kind), text(row, "kind"));
        let login = match info.login {
            LoginPhase::Before => "before",
            LoginPhase::After => "after",
            LoginPhase::Any => "any",
        };
        assert_eq!(Some(login), text(row, "login"));
        assert_eq!(info.reply.and_then(FrameType::name), text(row, "reply"));
        assert_eq!(info.feature.and_then(Feature::name), text(row, "feature"));
        assert_eq!(
            info.logged,
            row.get("logged")
                .is_some_and(|logged| logged.as_bool().unwrap())
        );
        assert!(!known.is_grease());
    }
}

#[test]
fn reserved_frames_are_unknown() {
    let registry = registry("frames.toml");
    for row in rows(&registry, "reserved") {
        let types = number(row, "first")..=number(row, "last");
        assert_eq!(
            types.clone().count(),
            row["names"].as_array().unwrap().len()
        );
        for number in types {
            let reserved = FrameType(number.try_into().unwrap());
            assert_eq!(reserved.info(), None);
            assert_eq!(reserved.family().map(Family::name), text(row, "family"));
        }
    }
}

#[test]
fn codes_and_classes() {
    let registry = registry("codes.toml");
    let classes = rows(&registry, "class");
    assert_eq!(classes.len(), Class::ALL.len());
    for (row, class) in classes.iter().zip(Class::ALL) {
        assert_eq!(u64::from(class.number()), number(row, "class"));
        assert_eq!(class.name(), text(row, "name"));
        assert_eq!(
            class.ends_connection(),
            text(row, "carrier") == Some("GOAWAY")
        );
    }
    let codes = rows(&registry, "code");
    assert_eq!(codes.len(), Code::ALL.len());
    for (row, code) in codes.iter().zip(Code::ALL) {
        assert_eq!(u64::from(code.0), number(row, "code"));
        assert_eq!(code.name(), text(row, "name"));
        assert_eq!(code.meaning(), text(row, "meaning"));
        assert_eq!(Code::from_name(code.name().unwrap()), Some(*code));
        assert_eq!(u64::from(code.class().number()), u64::from(code.0 >> 12));
        assert!(code.class().name().is_some());
        assert!(!code.is_grease());
    }
    assert_eq!(Code(0x8001).class(), Class::Unknown(8));
    assert_eq!(Code::from_field(0x1_0000), None);
}

#[test]
fn features() {
    let registry = registry("features.toml");
    let rows_here = rows(&registry, "feature");
    assert_eq!(rows_here.len(), Feature::ALL.len());
    for (row, feature) in rows_here.iter().zip(Feature::ALL) {
        assert_eq!(u64::from(feature.0), number(row, "id"));
        assert_eq!(feature.name(), text(row, "name"));
        assert_eq!(feature.meaning(), text(row, "meaning"));
        assert!(!feature.is_grease());
    }
    for row in rows(&registry, "reserved") {
        let reserved = Feature(number(row, "id").try_into().unwrap());
        assert_eq!(reserved.name(), None, "nobody offers a reserved feature");
    }
}

#[test]
fn families() {
    let registry = registry("families.toml");
    let rows = rows(&registry, "family");
    assert_eq!(rows.len(), Family::ALL.len());
    for (row, family) in rows.iter().zip(Family::ALL) {
        assert_eq!(u64::from(family.high()), number(row, "high"));
        assert_eq!(Some(family.name()), text(row, "name"));
        assert_eq!(
            Some(if family.is_stable() {
                "stable"
            } else {
                "reserved"
            }),
            text(row, "status")
        );
        assert_eq!(Family::from_high(family.high()), Some(*family));
    }
}

#[test]
fn limits() {
    let registry = registry("limits.toml");
    let there: Vec<_> = rows(&registry, "limit")
        .iter()
        .map(|row| {
            (
                text(row, "name").unwrap(),
                number(row, "value"),
                text(row, "unit").unwrap(),
            )
        })
        .collect();
    assert_eq!(limits::ALL, there);
}

#[test]
fn permissions_and_flags() {
    let registry = registry("permissions.toml");
    let bits = |kind| -> Vec<(u32, &str)> {
        let bit = |row: &Value| 1 << number(row, "bit");
        rows(&registry, kind)
            .iter()
            .map(|row| (bit(row), text(row, "name").unwrap()))
            .collect()
    };
    let permissions: Vec<_> = Permissions::ALL
        .iter()
        .map(|(bit, name)| (bit.0, *name))
        .collect();
    assert_eq!(permissions, bits("permission"));
    let flags: Vec<_> = GroupFlags::ALL
        .iter()
        .map(|(bit, name)| (bit.0, *name))
        .collect();
    assert_eq!(flags, bits("flag"));
    let default = registry["default"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap());
    assert_eq!(
        Permissions::DEFAULT.to_string(),
        default.collect::<Vec<_>>().join("|")
    );
}

#[test]
fn values_are_unique() {
    fn check<T: Ord + Copy>(all: &[T]) {
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
    check(FrameType::ALL);
    check(Code::ALL);
    check(Feature::ALL);
}

#[test]
fn printing() {
    assert_eq!(FrameType::SEND_ACK.to_string(), "SEND_ACK");
    assert_eq!(FrameType(0x3a7a).to_string(), "FrameType(0x3a7a)");
    assert_eq!(Feature::STATUS_GET.to_string(), "status-get");
    assert_eq!(Feature(0x0A1A_2A3A).to_string(), "Feature(0x0a1a2a3a)");
    assert_eq!(Code(0x5A0A).to_string(), "Code(0x5a0a)");
    assert_eq!(format!("{:<6}|", Code::INTERNAL), "INTERNAL|");
    assert_eq!(
        (Permissions::SEND | Permissions(1 << 20)).to_string(),
        "SEND|0x100000"
    );
    assert_eq!(GroupFlags::NONE.to_string(), "0");
    assert!(FrameType(0x1A3A).is_grease() && !FrameType(0x1A3B).is_grease());
    assert!(Feature(0xFAFA_FAFA).is_grease() && !Feature(0x0A0A).is_grease());
}
