//! The adapter of `tidewire-codec`: decodes, encodes, negotiates, and judges what a server would answer.

use std::io::{self, BufWriter};
use std::process::ExitCode;

use bytes::BytesMut;
use serde_json::{Value, json};
use tidewire_adapters as adapters;
use tidewire_adapters::{Arguments, Done, Outcome, bad, hex, unhex};
use tidewire_codec::negotiate::{choose_features, choose_version, missing_features};
use tidewire_codec::{Decoder, Feature, Flags, Item, RawFrame};

fn main() -> ExitCode {
    let hello = json!({
        "protocol": 1,
        "name": "tidewire-codec",
        "version": env!("CARGO_PKG_VERSION"),
        "roles": ["codec"],
        "ops": ["decode", "encode", "judge", "negotiate"],
    });
    let output = BufWriter::new(io::stdout().lock());
    match adapters::serve(io::stdin().lock(), output, &hello, handle) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn handle(op: &str, arguments: &Arguments) -> Outcome {
    Some(match op {
        "decode" => decode(arguments),
        "encode" => encode(arguments),
        "judge" => judge(arguments),
        "negotiate" => negotiate(arguments),
        _ => return None,
    })
}

fn decode(arguments: &Arguments) -> Done {
    let is_first = arguments.0.get("preface") == Some(&Value::Bool(true));
    let mut decoder = Decoder::new(is_first);
    if arguments.0.contains_key("max_frame") {
        decoder.set_max_frame(arguments.number("max_frame")?);
    }
    let (mut src, mut frames, mut violation) = (BytesMut::new(), Vec::new(), Value::Null);
    for piece in arguments.list("pieces")? {
        let bytes = piece.as_str().and_then(unhex);
        src.extend_from_slice(&bytes.ok_or_else(|| bad("a piece is not hex"))?);
        while let Some(item) = decoder.poll(&mut src) {
            match item {
                Item::Preface => {}
                Item::Frame(frame) => {
                    frames.push(adapters::frame_to_json(&frame));
                    if let Some(fault) = adapters::body_fault(&frame) {
                        violation = adapters::fault_to_json(&fault);
                    }
                }
                Item::Violation(broken) => violation = adapters::fault_to_json(&broken.into()),
            }
            if !violation.is_null() {
                return Ok(json!({ "frames": frames, "rest": hex(&src), "violation": violation }));
            }
        }
    }
    Ok(json!({ "frames": frames, "rest": hex(&src) }))
}

fn encode(arguments: &Arguments) -> Done {
    let name = arguments.text("type");
    let frame_type = adapters::frame_type_from_json(name)
        .ok_or_else(|| bad(format!("no type is called {name:?}")))?;
    let mut body = match arguments.0.get("body") {
        Some(fields) => adapters::frame_from_json(frame_type, fields)
            .map_err(bad)?
            .encode_body()
            .to_vec(),
        None => Vec::new(),
    };
    body.extend(arguments.bytes("unknown")?);
    let flags = u8::try_from(arguments.number("flags")?).map_err(bad)?;
    let frame = RawFrame {
        flags: Flags(flags),
        frame_type,
        reference: arguments.number("ref")?,
        body: body.into(),
    };
    let written = frame
        .to_bytes()
        .map_err(|error| (error.code().to_string(), error.to_string()))?;
    Ok(json!({ "hex": hex(&written) }))
}

fn judge(arguments: &Arguments) -> Done {
    let bytes = arguments.bytes("hex")?;
    adapters::judge(
        arguments.text("state"),
        arguments.number("max_frame")?,
        &bytes,
    )
    .map_err(bad)
}

fn negotiate(arguments: &Arguments) -> Done {
    let input = arguments.0.get("input").and_then(Value::as_object);
    let input = Arguments(input.cloned().unwrap_or_default());
    let list = |key: &str| -> Result<Vec<u32>, _> {
        let ids = input.list(key)?.iter().map(Value::as_u64);
        let ids: Option<Vec<u32>> = ids.map(|id| u32::try_from(id?).ok()).collect();
        ids.ok_or_else(|| bad(format!("{key} holds what is no number of 32 bits")))
    };
    let ours = list("ours")?;
    match (arguments.text("table"), &ours[..]) {
        ("version", [lowest, highest]) => {
            let (min, max) = (input.number("version_min")?, input.number("version_max")?);
            Ok(match choose_version(min, max, *lowest..=*highest) {
                Ok(version) => json!({ "version": version }),
                Err(error) => json!({ "goaway": error.code().to_string() }),
            })
        }
        ("features", ours) => {
            let ours: Vec<Feature> = ours.iter().copied().map(Feature).collect();
            let enabled = choose_features(&list("offered")?, &ours);
            let missing = missing_features(&list("requires")?, &enabled);
            let ids = |features: Vec<Feature>| {
                features
                    .into_iter()
                    .map(|feature| feature.0)
                    .collect::<Vec<_>>()
            };
            Ok(json!({ "enabled": ids(enabled), "missing": ids(missing) }))
        }
        (table, _) => Err(bad(format!("no table is called {table:?}"))),
    }
}
