//! Bytes that break a rule: the answer that they must cause, and before it bytes that break none.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use tidewire_codec::{Feature, Flags, Frame, FrameType, Header, PREFACE, RawFrame, limits, proto};

use super::ask::{Asked, Codec, Trouble, Wrong, ask, short};
use crate::value::hex;
use crate::verdict::FailureClass;

/// What a fixture says of bytes that break a rule.
#[derive(Clone, Debug)]
pub(crate) struct InvalidVector {
    pub(super) state: State,
    pub(super) max_frame: u32,
    /// The body does not decode: then a decoder sees it without knowing the state.
    pub(super) is_of_body: bool,
    /// `reply`, `code` and what else the answer says.
    pub(super) answer: Map<String, Json>,
    pub(crate) bytes: Vec<u8>,
}

/// What happened on the connection before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    Connect,
    BeforeLogin,
    AfterLogin,
    Codec,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            State::Connect => "connect",
            State::BeforeLogin => "before-login",
            State::AfterLogin => "after-login",
            State::Codec => "codec",
        }
    }
}

impl InvalidVector {
    /// True if the bytes alone show it: the preface, the length in a header, or a body.
    fn shows_in_bytes(&self) -> bool {
        let code = self.answer.get("code").and_then(Json::as_str);
        self.is_of_body || matches!(code, Some("BAD_PREFACE" | "FRAME_TOO_LARGE"))
    }

    /// The op without which it cannot be put to a codec.
    pub(super) fn lacks(&self, can: &dyn Fn(&str) -> bool) -> Option<&'static str> {
        match self.shows_in_bytes() {
            true => (!can("judge") && !can("decode")).then_some("judge or decode"),
            false => (!can("judge")).then_some("judge"),
        }
    }

    fn decode(&self, pieces: &[&[u8]]) -> Json {
        let from = if self.state == State::Codec {
            "server"
        } else {
            "client"
        };
        let pieces: Vec<String> = pieces.iter().map(|piece| hex(piece)).collect();
        json!({ "from": from, "pieces": pieces, "preface": self.state == State::Connect, "max_frame": self.max_frame })
    }

    /// A frame that decodes: of the same type, with every field absent.
    fn decodes(&self) -> Vec<u8> {
        let head = self.bytes.first_chunk().map(|head| Header::decode(*head));
        let same = head.filter(|head| self.is_of_body && head.frame_type.info().is_some());
        let header = same.unwrap_or(Header {
            len: 0,
            flags: Flags::NONE,
            frame_type: FrameType::PING,
            reference: 1,
        });
        let preface = if self.state == State::Connect {
            &PREFACE[..]
        } else {
            &[]
        };
        [preface, &Header { len: 0, ..header }.encode()].concat()
    }

    /// Bytes that a server takes in this state.
    fn welcome(&self) -> Vec<u8> {
        let frame = match self.state {
            State::Codec => return self.decodes(),
            State::AfterLogin => Frame::from(proto::Ping::default()),
            State::Connect | State::BeforeLogin => Frame::from(proto::Login {
                version_min: 1,
                version_max: 1,
                features: Feature::ALL.iter().map(|feature| feature.0).collect(),
                token: b"token".to_vec().into(),
                device_id: vec![1; limits::DEVICE_ID_LEN].into(),
                ..proto::Login::default()
            }),
        };
        let preface = if self.state == State::Connect {
            &PREFACE[..]
        } else {
            &[]
        };
        [preface, &written(&frame.to_raw(Flags::NONE, 1))].concat()
    }
}

fn written(frame: &RawFrame) -> Vec<u8> {
    frame.to_bytes().map(Vec::from).unwrap_or_default()
}

/// Puts the bytes to a codec, in all the ways that it offers. Gives back how many questions it took.
pub(super) async fn check<C: Codec>(
    codec: &C,
    vector: &InvalidVector,
    proves: &[String],
) -> Result<usize, Trouble> {
    let mut questions = 0;
    if codec.can("judge") {
        questions += judge(codec, vector, proves).await?;
    }
    if codec.can("decode") && vector.shows_in_bytes() {
        questions += decode(codec, vector, proves).await?;
    }
    Ok(questions)
}

async fn judge<C: Codec>(
    codec: &C,
    vector: &InvalidVector,
    proves: &[String],
) -> Result<usize, Trouble> {
    let about = |bytes: &[u8]| json!({ "state": vector.state.name(), "max_frame": vector.max_frame, "hex": hex(bytes) });
    let welcome = ask(codec, "judge", about(&vector.welcome())).await?;
    if let Some(reply) = welcome.answer.get("reply").filter(|reply| !reply.is_null()) {
        return Err(Trouble::Blocked(format!(
            "it has {} for bytes that break no rule",
            short(reply)
        )));
    }
    let asked = ask(codec, "judge", about(&vector.bytes)).await?;
    answered(&asked, &asked.answer, vector, "", proves)?;
    Ok(2)
}

/// In one piece, and byte by byte: the answer may not depend on it.
async fn decode<C: Codec>(
    codec: &C,
    vector: &InvalidVector,
    proves: &[String],
) -> Result<usize, Trouble> {
    let fine = ask(codec, "decode", vector.decode(&[&vector.decodes()])).await?;
    let count = fine
        .answer
        .get("frames")
        .and_then(Json::as_array)
        .map_or(0, Vec::len);
    if violation(&fine).is_some() || count != 1 {
        let shown = short(&Json::Object(fine.answer));
        return Err(Trouble::Blocked(format!(
            "of a frame that decodes it makes {shown}"
        )));
    }
    let bytes: Vec<&[u8]> = vector.bytes.chunks(1).collect();
    for pieces in [&[&vector.bytes[..]][..], &bytes] {
        let asked = ask(codec, "decode", vector.decode(pieces)).await?;
        let nothing = Map::new();
        answered(
            &asked,
            violation(&asked).unwrap_or(&nothing),
            vector,
            "violation.",
            proves,
        )?;
    }
    Ok(3)
}

fn violation(asked: &Asked) -> Option<&Map<String, Json>> {
    asked.answer.get("violation").and_then(Json::as_object)
}

/// What is said has all that the fixture is sure of.
fn answered(
    asked: &Asked,
    said: &Map<String, Json>,
    vector: &InvalidVector,
    at: &str,
    proves: &[String],
) -> Result<(), Trouble> {
    // The reply and its code first: they say most.
    let first = ["reply", "code"].into_iter();
    let others = vector
        .answer
        .keys()
        .map(String::as_str)
        .filter(|key| !matches!(*key, "reply" | "code"));
    for key in first.chain(others) {
        let (Some(expected), got) = (vector.answer.get(key), said.get(key).unwrap_or(&Json::Null))
        else {
            continue;
        };
        // Numbers of 64 bits may be strings.
        let is_same = got == expected
            || (expected.is_number() && got.as_str() == Some(&expected.to_string()));
        if is_same {
            continue;
        }
        let class = match key {
            "reply" if got.is_null() => FailureClass::NotRefused,
            "reply" => FailureClass::WrongFrame,
            "code" => FailureClass::WrongCode,
            _ => FailureClass::WrongField,
        };
        let got = if got.is_null() {
            "nothing".to_owned()
        } else {
            short(got)
        };
        let wrong = Wrong::new(class, format!("{at}{key}"), short(expected), got);
        return Err(asked
            .blame(wrong.proving(proves.iter().map(String::as_str)))
            .into());
    }
    Ok(())
}
