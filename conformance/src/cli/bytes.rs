//! `decode` and `encode`: frames as annotated hex, and back from JSON.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use prost::Message;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;
use tidewire_codec::dump::Dump;
use tidewire_codec::{Flags, Kind, RawFrame};

use super::{EXIT_USAGE, complain};
use crate::json::from_json;
use crate::names;
use crate::pcap::Pcap;
use crate::session::Transport;
use crate::value::{hex, unhex};

#[derive(Debug, clap::Args)]
pub(super) struct DecodeArgs {
    /// The bytes in hex, with or without white space and a preface; `-` reads them from stdin.
    #[arg(value_name = "HEX|-", required = true)]
    hex: Vec<String>,
    /// Writes the bytes to this file as well, as a capture for Wireshark of a client that sends them.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct EncodeArgs {
    /// A JSON file with one frame or a list of frames; `-` reads stdin.
    #[arg(value_name = "FILE|-")]
    file: String,
}

pub(super) fn decode(args: &DecodeArgs) -> u8 {
    let text = match &args.hex[..] {
        [dash] if dash == "-" => read_stdin(),
        words => Ok(words.concat()),
    };
    let text = match text {
        Ok(text) => text,
        Err(error) => return complain(&error),
    };
    let digits: String = text
        .trim()
        .trim_start_matches("hex:")
        .chars()
        .filter(|sign| *sign != ':')
        .collect();
    let Some(bytes) = unhex(&digits) else {
        return complain("not an even number of hex digits");
    };
    if let Some(path) = &args.pcap
        && let Err(error) = write_capture(path, &bytes)
    {
        return complain(&format!("{}: {error}", path.display()));
    }
    say(&Dump::stream(&bytes).to_string())
}

fn write_capture(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let pcap = Pcap::create(path)?;
    let mut stream = pcap.case("decode").client("client", Transport::Tcp);
    stream.wrote(bytes);
    drop(stream);
    pcap.finish()
}

pub(super) fn encode(args: &EncodeArgs) -> u8 {
    let text = if args.file == "-" {
        read_stdin()
    } else {
        fs::read_to_string(&args.file).map_err(|error| format!("{}: {error}", args.file))
    };
    match text.and_then(|text| encode_text(&text)) {
        Ok(bytes) => say(&format!("{}\n", hex(&bytes))),
        Err(error) => complain(&error),
    }
}

/// A frame as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameText {
    /// A name or number.
    #[serde(rename = "type")]
    frame_type: String,
    /// Names or a number; where there is neither, what the registry has for the type.
    flags: Option<FlagsText>,
    #[serde(default, rename = "ref")]
    reference: u32,
    /// The fields, by the JSON mapping of proto3, where 64-bit numbers may be strings; but bytes are hex, or begin with
    /// `hex:` or `text:`, as in all fixtures.
    #[serde(default)]
    body: Json,
    /// The body as hex, for what has no fields that are known.
    body_hex: Option<String>,
    /// Fields that nobody knows, as hex, after the known ones.
    unknown: Option<String>,
    /// What a fixture says besides.
    #[serde(rename = "name")]
    _name: Option<IgnoredAny>,
    #[serde(rename = "note")]
    _note: Option<IgnoredAny>,
    #[serde(rename = "hex")]
    _hex: Option<IgnoredAny>,
    #[serde(rename = "len")]
    _len: Option<IgnoredAny>,
    #[serde(rename = "canonical")]
    _canonical: Option<IgnoredAny>,
    #[serde(rename = "proves")]
    _proves: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum FlagsText {
    Number(u8),
    Names(Vec<String>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    Many(Vec<FrameText>),
    One(Box<FrameText>),
}

fn encode_text(text: &str) -> Result<BytesMut, String> {
    let frames = match serde_json::from_str(text)
        .map_err(|error| format!("not a frame in JSON: {error}"))?
    {
        OneOrMany::Many(frames) => frames,
        OneOrMany::One(frame) => vec![*frame],
    };
    let mut bytes = BytesMut::new();
    for frame in frames {
        to_frame(frame)?
            .encode_into(&mut bytes)
            .map_err(|error| error.to_string())?;
    }
    Ok(bytes)
}

fn to_frame(text: FrameText) -> Result<RawFrame, String> {
    let frame_type = names::frame_type(&text.frame_type)
        .ok_or_else(|| format!("unknown frame {}", text.frame_type))?;
    let info = frame_type.info();
    let flags = match text.flags {
        Some(FlagsText::Number(bits)) => bits,
        Some(FlagsText::Names(flags)) => flags.iter().try_fold(0, |bits, name| {
            names::flag(name)
                .map(|bit| bits | bit)
                .ok_or_else(|| format!("unknown flag {name}"))
        })?,
        None if info.is_some_and(|info| info.kind == Kind::Reply) => Flags::REPLY.0,
        None if info.is_some_and(|info| info.logged) => Flags::LOGGED.0,
        None => 0,
    };
    let mut body = match text.body_hex {
        Some(digits) => unhex(&digits).ok_or("body_hex is not an even number of hex digits")?,
        None if text.body.is_null() => Vec::new(),
        None => {
            let message = names::message_of(frame_type)
                .ok_or("the fields of this type are not known: use body_hex")?;
            from_json(text.body, &message)?.encode_to_vec()
        }
    };
    if let Some(digits) = text.unknown {
        body.extend(unhex(&digits).ok_or("unknown is not an even number of hex digits")?);
    }
    Ok(RawFrame {
        flags: Flags(flags),
        frame_type,
        reference: text.reference,
        body: body.into(),
    })
}

fn read_stdin() -> Result<String, String> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .map(|_| text)
        .map_err(|error| error.to_string())
}

fn say(text: &str) -> u8 {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => EXIT_USAGE,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use std::path::Path;

    use super::*;

    #[test]
    fn json_becomes_bytes() {
        let bytes = encode_text(r#"{"type": "ACK", "body": {"pos": "7"}}"#).unwrap();
        assert_eq!(hex(&bytes), "00000200020400000000".to_owned() + "0807");
        let bytes =
            encode_text(r#"[{"type": "PONG", "ref": 3}, {"type": "0x3a7a", "body_hex": "00"}]"#)
                .unwrap();
        assert_eq!(
            hex(&bytes),
            "00000002000500000003".to_owned() + "0000010" + "03a7a00000000" + "00"
        );
    }

    #[test]
    fn bytes_are_hex_or_text() {
        for content in ["6869", "hex:68 69", "text:hi"] {
            let frame = format!(r#"{{"type": "CONTENT", "body": {{"content": "{content}"}}}}"#);
            assert!(
                hex(&encode_text(&frame).unwrap()).ends_with("026869"),
                "{content}"
            );
        }
    }

    #[test]
    fn canonical_fixtures_become_their_bytes() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/frames"));
        let mut compared = 0;
        for family in fs::read_dir(folder).unwrap() {
            for file in fs::read_dir(family.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_none_or(|extension| extension != "json") {
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap();
                let bytes = encode_text(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let fixture: Json = serde_json::from_str(&text).unwrap();
                if fixture["canonical"] == true {
                    let expected = fs::read_to_string(path.with_extension("hex")).unwrap();
                    assert_eq!(Some(bytes.to_vec()), unhex(&expected), "{}", path.display());
                    compared += 1;
                }
            }
        }
        assert!(compared > 100, "{compared}");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "{}",
            r#"{"type": "NO"}"#,
            r#"{"type": "ACK", "body": {"no": 1}}"#,
            r#"{"type": "CONTENT", "body": {"content": "hi"}}"#,
        ] {
            assert!(encode_text(text).is_err(), "{text}");
        }
    }
}
