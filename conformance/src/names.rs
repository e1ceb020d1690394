//! Names of the registries and of the proto files as numbers: frame types, codes, features, mask bits, enum values, messages.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, MessageDescriptor};
use tidewire_codec::{Code, Feature, Flags, FrameType, GroupFlags, Permissions};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    // The descriptors are part of the program and a test reads them, so there is nobody to tell about a failure.
    DescriptorPool::decode(&include_bytes!("../../spec/proto/tidewire.v1.binpb")[..])
        .unwrap_or_default()
});

/// The message that the body of a frame of this type is, if the type is registered.
pub(crate) fn message_of(frame_type: FrameType) -> Option<MessageDescriptor> {
    message(frame_type.info()?.message)
}

/// The message with this name.
pub(crate) fn message(name: &str) -> Option<MessageDescriptor> {
    POOL.get_message_by_name(&format!("tidewire.v1.{name}"))
}

/// A frame type by name or number (`0x3A7A`, `14970`).
pub(crate) fn frame_type(text: &str) -> Option<FrameType> {
    FrameType::from_name(text).or_else(|| {
        number(text)
            .and_then(|value| u16::try_from(value).ok())
            .map(FrameType)
    })
}

/// A code by name or number.
pub(crate) fn code(text: &str) -> Option<Code> {
    Code::from_name(text).or_else(|| {
        number(text)
            .and_then(|value| u16::try_from(value).ok())
            .map(Code)
    })
}

/// One header flag by name.
pub(crate) fn flag(text: &str) -> Option<u8> {
    [
        ("CRITICAL", Flags::CRITICAL),
        ("REPLY", Flags::REPLY),
        ("LOGGED", Flags::LOGGED),
        ("GREASE", Flags::GREASE),
    ]
    .iter()
    .find(|(name, _)| *name == text)
    .map(|(_, flag)| flag.0)
}

/// The number that a name stands for in this integer field: a code, a feature or a bit of a mask.
pub(crate) fn number_in(field: &FieldDescriptor, text: &str) -> Option<u64> {
    match field.name() {
        "code" => code(text).map(|code| u64::from(code.0)),
        "features" | "requires" => Feature::from_name(text).map(|feature| u64::from(feature.0)),
        _ => bit(field, text).map(u64::from),
    }
}

/// True if the field is a mask, which is written as a list of names.
pub(crate) fn is_mask(field: &FieldDescriptor) -> bool {
    matches!(
        field.name(),
        "flags" | "permissions" | "default_permissions" | "my_permissions"
    )
}

fn bit(field: &FieldDescriptor, text: &str) -> Option<u32> {
    let known = |(_, name): &&(_, &str)| *name == text;
    match field.name() {
        "flags" => GroupFlags::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(bit, _)| bit.0),
        "permissions" | "default_permissions" | "my_permissions" => {
            Permissions::ALL.iter().find(known).map(|(bit, _)| bit.0)
        }
        _ => None,
    }
}

/// The number of an enum value; `UNSPECIFIED` works for every enum.
pub(crate) fn enum_number(kind: &EnumDescriptor, text: &str) -> Option<i32> {
    if text == "UNSPECIFIED" {
        return Some(0);
    }
    kind.get_value_by_name(text).map(|value| value.number())
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn every_registered_frame_has_a_message() {
        for frame_type in FrameType::ALL {
            assert!(message_of(*frame_type).is_some(), "{frame_type}");
        }
    }

    #[test]
    fn names_become_numbers() {
        assert_eq!(frame_type("SEND"), Some(FrameType::SEND));
        assert_eq!(frame_type("0x3A7A"), Some(FrameType(0x3a7a)));
        assert_eq!(code("INVALID_FIELD"), Some(Code::INVALID_FIELD));
        let field = message("GroupMember")
            .unwrap()
            .get_field_by_name("permissions")
            .unwrap();
        assert_eq!(number_in(&field, "LIST"), Some(4));
        assert_eq!(frame_type("SENT"), None);
    }
}
