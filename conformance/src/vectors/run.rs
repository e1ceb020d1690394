//! A run of the codec direction: all vectors at once, those that an adapter broke at alone, and the report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tidewire_codec::{Decoder, Item, PREFACE, limits};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::ask::{Codec, Trouble, Wrong};
use super::frames::FrameVector;
use super::{Vector, Vectors, What, frames, invalid, negotiation};
use crate::ladder::seen;
use crate::report::{CaseReport, Direction, Event, Evidence, Report, Role, TesteeFacts};
use crate::run::RunOptions;
use crate::spec::Requirements;
use crate::value::hex;
use crate::verdict::{Failure, Verdict};

/// The questions that wait for their answers at once: enough to keep both sides busy.
const AT_ONCE: usize = 16;
/// How reports call the testee where events have an actor.
const ACTOR: &str = "codec";

/// What of a run is for the codec direction.
pub(crate) struct VectorOptions<'a> {
    pub(crate) run: &'a RunOptions,
    pub(crate) testee: TesteeFacts,
}

/// Puts the chosen vectors to a codec and reports. `progress` is told of each as it ends.
pub(crate) async fn run<C: Codec>(
    vectors: &Vectors,
    requirements: &Requirements,
    codec: &C,
    options: VectorOptions<'_>,
    progress: impl Fn(&CaseReport),
) -> Report {
    let started = Instant::now();
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut jobs = JoinSet::new();
    let chosen = &options.run.cases;
    let is_chosen = |vector: &&Vector| chosen.is_empty() || chosen.contains(&vector.id);
    let mut waiting: BTreeMap<&str, &Vector> = BTreeMap::new();
    for vector in vectors.iter().filter(is_chosen) {
        waiting.insert(&vector.id, vector);
        let (codec, vector, permits) = (codec.clone(), vector.clone(), Arc::clone(&permits));
        jobs.spawn(async move {
            let _permit = permits.acquire().await;
            judge(&codec, &vector).await
        });
    }
    let mut cases = Vec::new();
    while let Some(done) = jobs.join_next().await {
        // What was asked when the adapter broke may have nothing to do with it: each of those is asked again, alone.
        let Ok(case) = done else { continue };
        if case.verdict != Verdict::AdapterError {
            waiting.remove(case.id.as_str());
            progress(&case);
            cases.push(case);
        }
    }
    for vector in waiting.into_values() {
        let case = judge(codec, vector).await;
        progress(&case);
        cases.push(case);
    }
    cases.sort_by(|left, right| left.id.cmp(&right.id));
    Report::new(
        cases,
        requirements,
        options.run,
        options.testee,
        None,
        started.elapsed(),
    )
}

/// Puts one vector to the codec.
async fn judge<C: Codec>(codec: &C, vector: &Vector) -> CaseReport {
    let started = Instant::now();
    let proves: Vec<String> = vector.proves.iter().cloned().collect();
    let outcome = match (vector.lacks(&|op| codec.can(op)), &vector.what) {
        (Some(what), _) => Err(Trouble::Lacks(what)),
        (None, What::Frame(frame)) => frames::check(codec, frame, &proves).await,
        (None, What::Invalid(bytes)) => invalid::check(codec, bytes, &proves).await,
        (None, What::Row(row)) => negotiation::check(codec, row, &proves).await,
    };
    let mut report = CaseReport {
        id: vector.id.clone(),
        family: vector.family().to_owned(),
        role: Role::Codec,
        title: vector.title.clone(),
        file: vector.file.clone(),
        verdict: Verdict::Pass,
        reason: None,
        twin: match &vector.what {
            What::Row(row) => Some(row.twin.id.clone()),
            _ => None,
        },
        failure: None,
        claims: vector.claims(),
        proved: BTreeSet::new(),
        variants: 1,
        failed_variants: 0,
        duration: Duration::ZERO,
        overlay: None,
        repeats: None,
        evidence: None,
    };
    match outcome {
        Ok(questions) => report.variants = questions,
        Err(trouble) => describe(&mut report, vector, trouble),
    }
    // Only what passes proves anything: a codec that always says the same is right now and then.
    if matches!(report.verdict, Verdict::Pass | Verdict::Observed) {
        report.proved = proved(codec, vector);
    }
    report.duration = started.elapsed();
    report
}

/// What a case that passed has proved, with the ops that there are.
fn proved<C: Codec>(codec: &C, vector: &Vector) -> BTreeSet<String> {
    let mut proved = vector.claims();
    if matches!(vector.what, What::Frame(_)) {
        proved.retain(|id| codec.can(FrameVector::op_of(id)));
    }
    proved
}

fn describe(report: &mut CaseReport, vector: &Vector, trouble: Trouble) {
    let (verdict, reason) = match trouble {
        Trouble::Wrong(wrong) => {
            report.evidence = Some(evidence(vector, &wrong));
            report.verdict = wrong.class.verdict();
            report.failed_variants = 1;
            report.failure = Some(Failure {
                class: wrong.class,
                line: vector.line,
                actor: None,
                proves: wrong.proves,
                at: wrong.at,
                expected: wrong.expected,
                got: wrong.got,
                variant: None,
                step: Vec::new(),
                stderr: Vec::new(),
            });
            return;
        }
        Trouble::Other(what) => (Verdict::Observed, what),
        Trouble::Blocked(why) => (Verdict::Blocked, why),
        Trouble::Lacks(what) => (Verdict::NotRun, what),
        Trouble::Fault(fault) => (Verdict::AdapterError, fault.to_string()),
    };
    report.verdict = verdict;
    report.reason = Some(reason);
    if !verdict.is_executed() {
        report.variants = 0;
    }
}

/// The bytes with what they mean, and the question that shows the fault.
fn evidence(vector: &Vector, wrong: &Wrong) -> Evidence {
    let mut events = Vec::new();
    let bytes = vector.bytes().unwrap_or_default();
    let rest = bytes.strip_prefix(&PREFACE).unwrap_or(bytes);
    if rest.len() < bytes.len() {
        events.push(as_bytes(&PREFACE));
    }
    let mut src = BytesMut::from(rest);
    let mut decoder = Decoder::new(false);
    decoder.set_max_frame(limits::MAX_FRAME_HARD);
    while let Some(Item::Frame(frame)) = decoder.poll(&mut src) {
        events.push(Event::Frame(seen(
            ACTOR.to_owned(),
            Direction::Received,
            &frame,
        )));
    }
    if !src.is_empty() {
        events.push(as_bytes(&src));
    }
    if let Some((op, arguments, answer)) = &wrong.asked {
        let line = |direction, name: &str, text: &str| Event::Adapter {
            actor: ACTOR.to_owned(),
            direction,
            name: name.to_owned(),
            text: text.to_owned(),
        };
        events.push(line(Direction::Received, op, arguments));
        events.push(line(Direction::Sent, "answer", answer));
    }
    Evidence {
        actors: vec![ACTOR.to_owned()],
        earlier: 0,
        events,
    }
}

fn as_bytes(bytes: &[u8]) -> Event {
    const KEPT: usize = 256;
    Event::Bytes {
        actor: ACTOR.to_owned(),
        direction: Direction::Received,
        length: bytes.len(),
        hex: hex(bytes.get(..KEPT).unwrap_or(bytes)),
    }
}
