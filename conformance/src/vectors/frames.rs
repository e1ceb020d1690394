//! Valid frames: bytes to JSON, JSON to bytes, and the bytes in pieces of every kind.

use prost_reflect::MessageDescriptor;
use serde_json::{Value as Json, json};
use tidewire_codec::{Direction, FrameType, Header};

use super::ask::{Asked, Codec, Trouble, Wrong, ask};
use super::bodies::{difference, settled};
use crate::names;
use crate::value::{hex, unhex};
use crate::verdict::FailureClass;

/// The bytes of the pieces in one question.
const BATCH: usize = 64 << 10;
/// Of frames that are longer than four times this not every cut is tried, which would be quadratic, but each of the first
/// and last so many, and as many between.
const CLOSE: usize = 32;
/// What the header, the pieces and the encoder show, whatever the frame.
const HEADER: &str = "FRM-010";
const SPLIT: &str = "FRM-011";
const INCOMPLETE: &str = "FRM-012";
const ENCODED: &str = "FRM-016";
/// What each body shows, whatever else its fixture is for.
const VALUES: &str = "FRM-037";

/// A valid frame.
#[derive(Clone, Debug)]
pub(crate) struct FrameVector {
    pub(super) frame_type: FrameType,
    pub(super) flags: u8,
    pub(super) reference: u32,
    /// The known fields as the fixture has them; none where nobody knows the type.
    pub(super) body: Option<Known>,
    /// The bytes of fields that nobody knows.
    pub(super) unknown: String,
    pub(crate) canonical: bool,
    pub(crate) bytes: Vec<u8>,
}

/// A body of a registered type.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) message: MessageDescriptor,
    pub(super) json: Json,
    pub(super) settled: Json,
}

impl FrameVector {
    /// What the procedure proves beside the fixture, where a codec decodes and encodes.
    pub(super) fn procedure_proves(&self) -> impl Iterator<Item = &'static str> {
        let encoded = self.canonical.then_some(ENCODED);
        let values = self.body.is_some().then_some(VALUES);
        let always = [HEADER, SPLIT, INCOMPLETE];
        always.into_iter().chain(values).chain(encoded)
    }

    /// The op that shows a requirement.
    pub(super) fn op_of(requirement: &str) -> &'static str {
        if requirement == ENCODED {
            "encode"
        } else {
            "decode"
        }
    }

    /// The op without which nothing of it can be put to a codec.
    pub(super) fn lacks(&self, can: &dyn Fn(&str) -> bool) -> Option<&'static str> {
        let is_put = can("decode") || (can("encode") && self.canonical);
        (!is_put).then_some("decode")
    }

    /// Type, flags, `ref` and body, as `encode` takes them.
    pub(super) fn fields(&self) -> Json {
        let mut fields = json!({ "type": self.type_name(), "flags": self.flags, "ref": self.reference, "unknown": self.unknown });
        if let (Some(known), Json::Object(fields)) = (&self.body, &mut fields) {
            fields.insert("body".to_owned(), known.json.clone());
        }
        fields
    }

    fn type_name(&self) -> String {
        let name = self.frame_type.name().map(str::to_owned);
        name.unwrap_or_else(|| format!("{:#06x}", self.frame_type.0))
    }

    /// Who sends such frames.
    fn from(&self) -> &'static str {
        match self.frame_type.info() {
            Some(info) if info.direction == Direction::ClientToServer => "client",
            _ => "server",
        }
    }

    /// The arguments of `decode` for these pieces.
    fn decode(&self, pieces: &[&[u8]]) -> Json {
        let pieces: Vec<String> = pieces.iter().map(|piece| hex(piece)).collect();
        json!({ "from": self.from(), "pieces": pieces, "preface": false, "max_frame": self.bytes.len().max(1) })
    }
}

/// Puts a frame to a codec, in all the ways that it offers. `proves` is what the fixture says. Gives back how many questions
/// it took.
pub(super) async fn check<C: Codec>(
    codec: &C,
    vector: &FrameVector,
    proves: &[String],
) -> Result<usize, Trouble> {
    let mut questions = 0;
    if codec.can("decode") {
        // What a fixture proves beside the procedure is a matter of its body.
        let procedure = [HEADER, SPLIT, INCOMPLETE, ENCODED, VALUES];
        let ids = proves.iter().map(String::as_str);
        let ids = ids.filter(|id| !procedure.contains(id));
        let values = vector.body.is_some().then_some(VALUES);
        let of_body: Vec<&str> = ids.chain(values).collect();
        let right = whole(codec, vector, &of_body).await?;
        byte_by_byte(codec, vector).await?;
        questions += 2 + split(codec, vector, &right).await?;
    }
    if codec.can("encode") && vector.canonical {
        questions += 1;
        encode(codec, vector).await?;
    }
    Ok(questions)
}

/// Gives back the frame as the codec reports it, once it is right.
async fn whole<C: Codec>(
    codec: &C,
    vector: &FrameVector,
    of_body: &[&str],
) -> Result<Json, Trouble> {
    let asked = ask(codec, "decode", vector.decode(&[&vector.bytes])).await?;
    frames(&asked, vector, 1, of_body, &Json::Null).map_err(|wrong| asked.blame(wrong))?;
    let frames = asked.answer.get("frames");
    Ok(frames
        .and_then(|frames| frames.get(0))
        .cloned()
        .unwrap_or_default())
}

/// Two whole frames in one piece, then one frame for each place where it can be cut.
async fn split<C: Codec>(codec: &C, vector: &FrameVector, right: &Json) -> Result<usize, Trouble> {
    let bytes = &vector.bytes;
    let twice = bytes.repeat(2);
    let mut batches = vec![(2, vec![&twice[..]])];
    let room = (BATCH / bytes.len().max(1)).max(1);
    for cuts in cuts(bytes.len()).chunks(room) {
        let pieces = cuts.iter().flat_map(|cut| {
            let (first, second) = bytes.split_at(*cut);
            [first, second]
        });
        batches.push((cuts.len(), pieces.collect()));
    }
    let questions = batches.len();
    for (count, pieces) in batches {
        let asked = ask(codec, "decode", vector.decode(&pieces)).await?;
        frames(&asked, vector, count, &[SPLIT], right)
            .map_err(|wrong| asked.blame(wrong.proving([SPLIT])))?;
    }
    Ok(questions)
}

/// All bytes but the last, one after the other: no frame, no error, and nothing lost.
async fn byte_by_byte<C: Codec>(codec: &C, vector: &FrameVector) -> Result<(), Trouble> {
    let Some((_, start)) = vector.bytes.split_last() else {
        return Ok(());
    };
    let pieces: Vec<&[u8]> = start.chunks(1).collect();
    let asked = ask(codec, "decode", vector.decode(&pieces)).await?;
    if let Err(wrong) = frames(&asked, vector, 0, &[INCOMPLETE], &Json::Null) {
        return Err(asked.blame(wrong.proving([INCOMPLETE])).into());
    }
    let rest = asked.answer.get("rest").and_then(Json::as_str);
    let rest = rest.and_then(unhex);
    if rest.as_deref() == Some(start) {
        return Ok(());
    }
    let expected = format!("the {} bytes that were given", start.len());
    let got = rest.map_or_else(
        || "nothing".to_owned(),
        |rest| format!("{} bytes", rest.len()),
    );
    let wrong = Wrong::new(FailureClass::BrokenFraming, "rest", expected, got);
    Err(asked.blame(wrong.proving([INCOMPLETE, SPLIT])).into())
}

/// The bytes of the fixture, or others that mean the same: encodings are not canonical.
async fn encode<C: Codec>(codec: &C, vector: &FrameVector) -> Result<(), Trouble> {
    let asked = ask(codec, "encode", vector.fields()).await?;
    let written = asked
        .answer
        .get("hex")
        .and_then(Json::as_str)
        .and_then(unhex);
    if written.as_deref() == Some(&vector.bytes[..]) {
        return Ok(());
    }
    if written
        .as_deref()
        .is_some_and(|bytes| means_the_same(bytes, vector))
    {
        let other =
            "it writes other bytes than the shortest in rising order, which decode to the same";
        return Err(Trouble::Other(other.to_owned()));
    }
    let got = written.map_or_else(|| "no bytes".to_owned(), |bytes| hex(&bytes));
    let wrong = Wrong::new(FailureClass::WrongBytes, "hex", hex(&vector.bytes), got);
    Err(asked.blame(wrong.proving([ENCODED])).into())
}

fn means_the_same(bytes: &[u8], vector: &FrameVector) -> bool {
    let (Some((head, body)), Some((wanted, _))) =
        (bytes.split_first_chunk(), vector.bytes.split_first_chunk())
    else {
        return false;
    };
    let (head, wanted) = (Header::decode(*head), Header::decode(*wanted));
    let Some(known) = &vector.body else {
        return false;
    };
    let is_head = Header { len: 0, ..head } == Header { len: 0, ..wanted };
    let is_len = usize::try_from(head.len).is_ok_and(|len| len == body.len());
    let message = prost_reflect::DynamicMessage::decode(known.message.clone(), body);
    let same = message.ok().and_then(|message| {
        // Fields that nobody asked for are no part of the body.
        let is_known = message.unknown_fields().next().is_none();
        settled(crate::json::to_json(&message), &known.message)
            .ok()
            .filter(|_| is_known)
    });
    is_head && is_len && same.as_ref() == Some(&known.settled)
}

/// Where a frame is cut in two.
fn cuts(len: usize) -> Vec<usize> {
    if len <= 4 * CLOSE {
        return (1..len).collect();
    }
    let between = (CLOSE..len - CLOSE).step_by(len / CLOSE);
    (1..CLOSE).chain(between).chain(len - CLOSE..len).collect()
}

/// The answer holds this frame so many times, and no violation. What is reported like `right` needs no second look.
fn frames(
    asked: &Asked,
    vector: &FrameVector,
    count: usize,
    of_body: &[&str],
    right: &Json,
) -> Result<(), Box<Wrong>> {
    if let Some(violation) = asked
        .answer
        .get("violation")
        .filter(|violation| !violation.is_null())
    {
        let got = super::ask::short(violation);
        let ids = if of_body.is_empty() {
            vec![HEADER]
        } else {
            of_body.to_vec()
        };
        return Err(
            Wrong::new(FailureClass::RefusedByCodec, "violation", "none", got).proving(ids),
        );
    }
    let empty = Vec::new();
    let found = asked
        .answer
        .get("frames")
        .and_then(Json::as_array)
        .unwrap_or(&empty);
    let unlike = |(_, frame): &(usize, &Json)| *frame != right;
    for (index, frame) in found.iter().take(count).enumerate().filter(unlike) {
        one_frame(frame, vector, of_body).map_err(|mut wrong| {
            wrong.at = format!("frames[{index}]{}", wrong.at);
            wrong
        })?;
    }
    if found.len() == count {
        return Ok(());
    }
    let class = if found.len() > count {
        FailureClass::ExtraFrame
    } else {
        FailureClass::BrokenFraming
    };
    let (expected, got) = (format!("{count} frames"), format!("{} frames", found.len()));
    Err(Wrong::new(class, "frames", expected, got).proving([HEADER]))
}

fn one_frame(frame: &Json, vector: &FrameVector, of_body: &[&str]) -> Result<(), Box<Wrong>> {
    let name = frame.get("type").and_then(Json::as_str);
    if name.and_then(names::frame_type) != Some(vector.frame_type) {
        let got = name.unwrap_or("none");
        return Err(
            Wrong::new(FailureClass::WrongFrame, ".type", vector.type_name(), got)
                .proving([HEADER]),
        );
    }
    for (key, expected) in [("flags", vector.flags.into()), ("ref", vector.reference)] {
        let got = frame.get(key).and_then(Json::as_u64);
        if got != Some(expected.into()) {
            let got = got.map_or_else(|| "none".to_owned(), |got: u64| got.to_string());
            return Err(Wrong::new(
                FailureClass::WrongHeader,
                format!(".{key}"),
                expected.to_string(),
                got,
            )
            .proving([HEADER]));
        }
    }
    let wrong_body = |at: String, expected: String, got: String| {
        Wrong::new(FailureClass::WrongField, at, expected, got).proving(of_body.iter().copied())
    };
    if let Some(error) = frame.get("error") {
        let wrong = Wrong::new(
            FailureClass::RefusedByCodec,
            ".error",
            "a body that decodes",
            super::ask::short(error),
        );
        return Err(wrong.proving(of_body.iter().copied()));
    }
    if let Some(known) = &vector.body {
        let body = frame.get("body").cloned().unwrap_or(Json::Null);
        let got = settled(body, &known.message).map_err(|error| {
            wrong_body(
                ".body".into(),
                "a body as the fixtures write it".into(),
                error,
            )
        })?;
        if let Some((path, expected, got)) = difference(&known.settled, &got) {
            return Err(wrong_body(format!(".body{path}"), expected, got));
        }
    }
    // Not every codec keeps what it does not know; but where a type is unknown that is all there is.
    let unknown = frame.get("unknown").and_then(Json::as_str);
    if (unknown.is_some() || vector.body.is_none()) && unknown.unwrap_or("") != vector.unknown {
        return Err(wrong_body(
            ".unknown".into(),
            vector.unknown.clone(),
            unknown.unwrap_or("none").into(),
        ));
    }
    Ok(())
}
