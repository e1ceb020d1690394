//! A codec within this process that is right, the ways to be wrong that have to show, and codecs that know nothing.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod right;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use right::right;

use super::ask::Codec;
use super::{Vector, VectorOptions, Vectors, What, run};
use crate::adapter::{AdapterFault, Answer};
use crate::report::{Report, Role, TesteeFacts};
use crate::run::RunOptions;
use crate::spec::Requirements;
use crate::value::{hex, unhex};
use crate::verdict::Verdict;

/// Answers an op with these arguments.
type Answering = fn(&str, &Map<String, Json>) -> Json;

/// Answers by a function.
#[derive(Clone)]
struct Fake {
    ops: &'static [&'static str],
    answer: Answering,
}

impl Codec for Fake {
    fn can(&self, op: &str) -> bool {
        self.ops.contains(&op)
    }

    async fn ask(
        &self,
        op: &'static str,
        arguments: Map<String, Json>,
    ) -> Result<Answer, AdapterFault> {
        match (self.answer)(op, &arguments) {
            Json::Object(answer) => Ok(Answer::Ok(answer)),
            Json::Null => Err(AdapterFault::new("the adapter ended")),
            other => Ok(Answer::Err {
                code: "NO".to_owned(),
                text: other.to_string(),
            }),
        }
    }
}

/// The specification and all vectors.
static SUITE: LazyLock<(Requirements, Vectors)> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let requirements = Requirements::read(&root.join("spec")).unwrap();
    let vectors = Vectors::read(&root.join("fixtures"), &requirements).unwrap();
    (requirements, vectors)
});

/// All cases, or those whose bytes are few: they are enough to catch whoever is wrong.
fn play(ops: &'static [&'static str], answer: Answering, is_all: bool) -> Report {
    let (requirements, vectors) = &*SUITE;
    let is_short = |vector: &&Vector| match &vector.what {
        What::Frame(frame) => frame.bytes.len() <= 64,
        _ => true,
    };
    let cases = vectors
        .iter()
        .filter(|vector| is_all || is_short(vector))
        .map(|vector| vector.id.clone());
    let options = RunOptions {
        cases: cases.collect(),
        ..RunOptions::default()
    };
    let testee = TesteeFacts {
        role: Role::Codec,
        ..TesteeFacts::default()
    };
    let options = VectorOptions {
        run: &options,
        testee,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(
        vectors,
        requirements,
        &Fake { ops, answer },
        options,
        |_| {},
    ))
}

const ALL: &[&str] = &["decode", "encode", "negotiate"];

#[test]
fn a_codec_that_is_right_passes_all_that_it_can_be_asked() {
    let report = play(ALL, right, true);
    let failed: Vec<&str> = report
        .cases
        .iter()
        .filter(|case| !matches!(case.verdict, Verdict::Pass | Verdict::NotRun))
        .map(|case| &case.id[..])
        .collect();
    assert_eq!(failed, [""; 0]);
    assert!(
        report.count(Verdict::Pass) > 400,
        "{}",
        report.count(Verdict::Pass)
    );
    // What only a server can judge is left out, and says why.
    let left_out = report
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::NotRun);
    assert!(left_out.clone().count() > 30);
    assert!(left_out.clone().all(|case| case.id.starts_with("invalid/")
        && case.reason.as_deref() == Some("the codec has no judge")));
}

/// The ids of the cases that fail, and the requirements that they name.
#[track_caller]
fn caught(answer: Answering, requirement: &str, least: usize) {
    let report = play(ALL, answer, false);
    let failed: Vec<_> = report
        .cases
        .iter()
        .filter(|case| case.verdict == Verdict::Fail)
        .collect();
    assert!(failed.len() >= least, "{} fail", failed.len());
    let named: BTreeSet<&str> = failed
        .iter()
        .filter_map(|case| case.failure.as_ref())
        .flat_map(|failure| &failure.proves)
        .map(String::as_str)
        .collect();
    assert!(named.contains(requirement), "{named:?}");
    // Each shows what was asked, and bytes where there are any.
    assert!(failed.iter().all(|case| {
        case.evidence
            .as_ref()
            .is_some_and(|evidence| !evidence.events.is_empty())
    }));
}

/// Changes the answer to one op.
fn changed(
    op: &str,
    asked: &str,
    arguments: &Map<String, Json>,
    change: impl FnOnce(&mut Json),
) -> Json {
    let mut answer = right(asked, arguments);
    if op == asked {
        change(&mut answer);
    }
    answer
}

fn each_frame(answer: &mut Json, change: impl Fn(&mut Json)) {
    answer["frames"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .for_each(change);
}

#[test]
fn a_wrong_header_is_caught() {
    caught(
        |op, arguments| {
            changed("decode", op, arguments, |answer| {
                each_frame(answer, |frame| {
                    frame["ref"] = (frame["ref"].as_u64().unwrap() & 0xffff_fff0).into()
                })
            })
        },
        "FRM-010",
        100,
    );
    caught(
        |op, arguments| {
            changed("decode", op, arguments, |answer| {
                each_frame(answer, |frame| {
                    frame["flags"] = (frame["flags"].as_u64().unwrap() & 7).into()
                })
            })
        },
        "FRM-010",
        10,
    );
}

#[test]
fn a_frame_that_depends_on_the_pieces_is_caught() {
    caught(
        |op, arguments| {
            changed("decode", op, arguments, |answer| {
                if arguments["pieces"].as_array().unwrap().len() > 40 {
                    answer["frames"].as_array_mut().unwrap().truncate(1);
                }
            })
        },
        "FRM-011",
        100,
    );
}

#[test]
fn bytes_that_get_lost_are_caught() {
    caught(
        |op, arguments| changed("decode", op, arguments, |answer| answer["rest"] = "".into()),
        "FRM-012",
        200,
    );
    caught(
        |op, arguments| {
            changed("decode", op, arguments, |answer| {
                if answer["frames"].as_array().unwrap().is_empty()
                    && answer.get("violation").is_none()
                {
                    answer["violation"] = json!({ "reply": "GOAWAY", "code": "MALFORMED_FRAME" });
                }
            })
        },
        "FRM-012",
        200,
    );
}

#[test]
fn numbers_kept_as_doubles_are_caught() {
    let report = play(
        ALL,
        |op, arguments| {
            changed("decode", op, arguments, |answer| {
                each_frame(answer, |frame| {
                    if let Some(pos) = frame["body"].get("pos").and_then(Json::as_str) {
                        #[allow(
                            clippy::cast_possible_truncation,
                            clippy::cast_sign_loss,
                            clippy::cast_precision_loss,
                            clippy::as_conversions,
                            reason = "that is the fault"
                        )]
                        let blurred = pos.parse::<u64>().unwrap() as f64 as u64;
                        frame["body"]["pos"] = blurred.to_string().into();
                    }
                })
            })
        },
        false,
    );
    let case = report
        .cases
        .iter()
        .find(|case| case.id == "frames/send/ack-07-beyond-doubles")
        .unwrap();
    let failure = case.failure.as_ref().unwrap();
    assert_eq!(
        (&failure.at[..], &failure.expected[..], &failure.got[..]),
        (
            "frames[0].body.pos",
            "\"9007199254740993\"",
            "\"9007199254740992\""
        )
    );
}

#[test]
fn a_wrong_encoder_is_caught_and_another_order_is_a_fact() {
    caught(
        |op, arguments| {
            changed("encode", op, arguments, |answer| {
                let text = answer["hex"].as_str().unwrap();
                answer["hex"] = format!("{}{}", &text[..text.len() - 2], "00").into();
            })
        },
        "FRM-016",
        100,
    );
    let report = play(
        ALL,
        |op, arguments| {
            changed("encode", op, arguments, |answer| {
                // The same fields, and a number of the body twice: it decodes to the same.
                if arguments["type"] == "ACK" && answer["hex"].as_str().unwrap().len() > 20 {
                    let mut bytes = unhex(answer["hex"].as_str().unwrap()).unwrap();
                    let body = bytes.split_off(10);
                    bytes[2] = u8::try_from(2 * body.len()).unwrap();
                    answer["hex"] = hex(&[bytes, body.clone(), body].concat()).into();
                }
            })
        },
        false,
    );
    assert_eq!(report.count(Verdict::Fail), 0);
    assert!(report.count(Verdict::Observed) > 0);
}

#[test]
fn what_should_have_been_refused_is_caught() {
    caught(
        |op, arguments| {
            changed("decode", op, arguments, |answer| {
                drop(answer.as_object_mut().unwrap().remove("violation"))
            })
        },
        "FRM-035",
        60,
    );
    caught(
        |op, arguments| {
            changed("decode", op, arguments, |answer| {
                if answer["violation"]["code"] == "TOO_MANY_ITEMS" {
                    answer["violation"]["code"] = "MALFORMED_BODY".into();
                }
            })
        },
        "FRM-034",
        5,
    );
}

#[test]
fn a_wrong_negotiation_is_caught() {
    caught(
        |op, arguments| {
            changed("negotiate", op, arguments, |answer| {
                if let Some(enabled) = answer.get_mut("enabled").and_then(Json::as_array_mut) {
                    enabled.extend(enabled.first().cloned());
                }
            })
        },
        "VER-010",
        1,
    );
}

#[test]
fn whoever_always_says_the_same_passes_nothing() {
    let answers: [Answering; 8] = [
        |_, _| json!({}),
        |_, _| json!({ "frames": [], "rest": "" }),
        |_, _| json!({ "frames": [{ "type": "PING", "flags": 0, "ref": 7, "body": {} }], "rest": "", "hex": "00000000000400000007" }),
        |_, arguments| Json::Object(arguments.clone()),
        |_, _| json!({ "reply": "ERROR", "code": "MALFORMED_BODY", "violation": { "reply": "ERROR", "code": "MALFORMED_BODY" } }),
        |_, _| json!({ "version": 1, "enabled": [], "missing": [] }),
        |_, _| json!("refused"),
        |_, _| json!(null),
    ];
    for answer in answers {
        let report = play(&["decode", "encode", "judge", "negotiate"], answer, true);
        assert_eq!(
            report.count(Verdict::Pass),
            0,
            "{}",
            answer("", &Map::new())
        );
        assert_eq!(report.coverage.executed, 0);
    }
    // An adapter that is gone is no codec that is wrong.
    assert_eq!(play(ALL, |_, _| json!(null), false).count(Verdict::Fail), 0);
}

#[test]
fn a_codec_without_any_op_runs_nothing() {
    let report = play(&[], right, false);
    assert_eq!(report.executed(), 0);
    assert_eq!(report.exit_code(), 2);
}
