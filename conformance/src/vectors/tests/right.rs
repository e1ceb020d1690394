//! A codec that is right, made of the runner's own parts.

use bytes::BytesMut;
use prost::Message as _;
use serde_json::{Map, Value as Json, json};
use tidewire_codec::negotiate::{choose_features, choose_version, missing_features};
use tidewire_codec::{Decoder, Fault, Feature, Flags, Item, RawFrame};

use crate::value::{hex, unhex};
use crate::{json as bodies, names};

/// Answers every op but `judge`: what a server answers is not its matter.
pub(super) fn right(op: &str, arguments: &Map<String, Json>) -> Json {
    match op {
        "decode" => decode(arguments),
        "encode" => encode(arguments),
        _ => negotiate(arguments),
    }
}

fn decode(arguments: &Map<String, Json>) -> Json {
    let mut decoder = Decoder::new(arguments["preface"] == true);
    decoder.set_max_frame(u32::try_from(arguments["max_frame"].as_u64().unwrap()).unwrap());
    let (mut src, mut frames) = (BytesMut::new(), Vec::new());
    let said = |fault: Fault, frames: &[Json], src: &[u8]| {
        let (reply, body) = match &fault {
            Fault::Request(error) => ("ERROR", error.to_error()),
            Fault::Connection(violation) => {
                let goaway = violation.to_goaway();
                (
                    "GOAWAY",
                    tidewire_codec::proto::Error {
                        field: goaway.field,
                        limit: goaway.limit,
                        actual: goaway.actual,
                        ..Default::default()
                    },
                )
            }
        };
        let violation = json!({ "reply": reply, "code": fault.code().to_string(), "field": body.field, "limit": body.limit, "actual": body.actual });
        json!({ "frames": frames, "rest": hex(src), "violation": violation })
    };
    for piece in arguments["pieces"].as_array().unwrap() {
        src.extend_from_slice(&unhex(piece.as_str().unwrap()).unwrap());
        while let Some(item) = decoder.poll(&mut src) {
            match item {
                Item::Preface => {}
                Item::Violation(violation) => return said(violation.into(), &frames, &src),
                Item::Frame(frame) => match (names::message_of(frame.frame_type), frame.decode()) {
                    (Some(message), Ok(_)) => {
                        let body = prost_reflect::DynamicMessage::decode(message, &frame.body[..]).unwrap();
                        frames.push(json!({ "type": frame.frame_type.name(), "flags": frame.flags.0, "ref": frame.reference, "body": bodies::to_json(&body) }));
                    }
                    (Some(_), Err(error)) => return said(Fault::of_body(&frame, error), &frames, &src),
                    (None, _) => frames.push(json!({ "type": format!("{:#06x}", frame.frame_type.0), "flags": frame.flags.0, "ref": frame.reference,
                        "unknown": hex(&frame.body) })),
                },
            }
        }
    }
    json!({ "frames": frames, "rest": hex(&src) })
}

fn encode(arguments: &Map<String, Json>) -> Json {
    let frame_type = names::frame_type(arguments["type"].as_str().unwrap()).unwrap();
    let mut body = match names::message_of(frame_type) {
        Some(message) => bodies::from_json(arguments["body"].clone(), &message)
            .unwrap()
            .encode_to_vec(),
        None => Vec::new(),
    };
    body.extend(unhex(arguments["unknown"].as_str().unwrap()).unwrap());
    let flags = Flags(u8::try_from(arguments["flags"].as_u64().unwrap()).unwrap());
    let reference = u32::try_from(arguments["ref"].as_u64().unwrap()).unwrap();
    let frame = RawFrame {
        flags,
        frame_type,
        reference,
        body: body.into(),
    };
    json!({ "hex": hex(&frame.to_bytes().unwrap()) })
}

fn negotiate(arguments: &Map<String, Json>) -> Json {
    let input = &arguments["input"];
    let number = |key: &str| u32::try_from(input[key].as_u64().unwrap()).unwrap();
    let list = |key: &str| -> Vec<u32> {
        input[key]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| u32::try_from(id.as_u64().unwrap()).unwrap())
            .collect()
    };
    let ours = list("ours");
    if arguments["table"] == "version" {
        return match choose_version(
            number("version_min"),
            number("version_max"),
            ours[0]..=ours[1],
        ) {
            Ok(version) => json!({ "version": version }),
            Err(error) => json!({ "goaway": error.code().to_string() }),
        };
    }
    let ours: Vec<Feature> = ours.into_iter().map(Feature).collect();
    let enabled = choose_features(&list("offered"), &ours);
    let missing = missing_features(&list("requires"), &enabled);
    let ids = |features: Vec<Feature>| features.iter().map(|feature| feature.0).collect::<Vec<_>>();
    json!({ "enabled": ids(enabled), "missing": ids(missing) })
}
