//! The self-test as one page for a browser: every proof with its figures, and the kill matrix. Nothing is fetched.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use super::{Outcome, Proof, Selftest, Which};
use crate::mutant::Judgement;
use crate::report::{STYLE, xml};
use crate::spec::{Requirement, Requirements};

const PAGE: &str = include_str!("page/page.html");
const OWN_STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Faults of one proof that the page has room for; the artefact has all.
const FAULTS_SHOWN: usize = 60;

/// The page.
pub(crate) fn to_html(selftest: &Selftest, requirements: &Requirements) -> String {
    let has_mutants = selftest
        .proofs
        .iter()
        .any(|proof| proof.name == Which::Mutants);
    let (matrix, holes) = match has_mutants {
        true => matrix(selftest, requirements),
        false => (
            "<p class=\"quiet\">No mutants were played.</p>".to_owned(),
            0,
        ),
    };
    let proofs: String = selftest.proofs.iter().map(proof).collect();
    // The matrix is filled in last: nothing that stands in it is taken for a place to fill.
    PAGE.replace("{{title}}", "Self-test")
        .replace("{{style}}", &format!("{STYLE}{OWN_STYLE}"))
        .replace("{{script}}", SCRIPT)
        .replace("{{holes}}", &holes.to_string())
        .replace("{{summary}}", &summary(selftest))
        .replace("{{proofs}}", &proofs)
        .replace("{{matrix}}", &matrix)
}

fn summary(selftest: &Selftest) -> String {
    let (class, sign, title) = match selftest.holds {
        true => ("good", "✓", "The suite proves itself"),
        false => ("bad", "✕", "The suite has a hole"),
    };
    let count = |outcome| {
        let is = |proof: &&Proof| proof.outcome == outcome;
        selftest.proofs.iter().filter(is).count()
    };
    let extent = if selftest.quick { "quick" } else { "full" };
    format!(
        "<div class=\"card {class}\"><p class=\"eyebrow\">Suite {}, {} self-test of {}</p><h1><i>{sign}</i>{title}</h1>\
         <dl class=\"facts\"><dt>Proofs that hold</dt><dd>{}</dd><dt>Proofs that fail</dt><dd>{}</dd>\
         <dt>Not made</dt><dd>{}</dd><dt>Took</dt><dd>{}</dd><dt>Seed</dt><dd>{}</dd></dl></div>",
        xml(selftest.suite),
        extent,
        xml(&selftest.date),
        count(Outcome::Holds),
        count(Outcome::Fails),
        count(Outcome::NotMade),
        seconds(selftest.duration_ms),
        selftest.seed,
    )
}

fn proof(proof: &Proof) -> String {
    let (class, state) = match proof.outcome {
        Outcome::Holds => ("v-holds", "holds"),
        Outcome::Fails => ("v-fails", "fails"),
        Outcome::NotMade => ("v-not-made", "not made"),
    };
    let mut out = format!(
        "<article class=\"proof {class}\"><h3>{}<small>{}</small></h3><p class=\"state\">{state}</p>",
        xml(proof.title),
        seconds(proof.duration_ms)
    );
    if let Some(reason) = &proof.reason {
        let _ = write!(out, "<p class=\"quiet\">{}</p>", xml(reason));
    }
    out.push_str("<dl class=\"facts\">");
    for figure in &proof.figures {
        let value = match &figure.value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let _ = write!(
            out,
            "<dt>{}</dt><dd>{}</dd>",
            xml(&figure.name),
            xml(&value)
        );
    }
    out.push_str("</dl>");
    if !proof.faults.is_empty() {
        out.push_str("<ul class=\"problems\">");
        for fault in proof.faults.iter().take(FAULTS_SHOWN) {
            let _ = write!(out, "<li>{}</li>", xml(fault));
        }
        let left_out = proof.faults.len().saturating_sub(FAULTS_SHOWN);
        if left_out > 0 {
            let _ = write!(out, "<li>and {left_out} more</li>");
        }
        out.push_str("</ul>");
    }
    out.push_str("</article>");
    out
}

/// The rows, and how many requirements are not broken by a mutant that is killed.
fn matrix(selftest: &Selftest, requirements: &Requirements) -> (String, usize) {
    let by_id: BTreeMap<&str, &Judgement> = selftest
        .mutants
        .iter()
        .map(|judgement| (judgement.id.as_str(), judgement))
        .collect();
    let mut out = String::new();
    let mut holes = 0;
    let mut chapter = "";
    for requirement in in_order(requirements) {
        let Some(mutants) = selftest.matrix.get(&requirement.id) else {
            continue;
        };
        if chapter != requirement.file {
            if !chapter.is_empty() {
                out.push_str("</div>");
            }
            chapter = &requirement.file;
            let _ = write!(out, "<div><h3>{}</h3>", xml(title(chapter)));
        }
        let killed = mutants.values().filter(|cases| !cases.is_empty()).count();
        let is_needed = requirement.role != "codec" && requirement.sentence.contains(" MUST ");
        let class = match (killed, is_needed) {
            (0, true) => "need hole",
            (0, false) => "need free",
            _ => "need",
        };
        holes += usize::from(killed == 0 && is_needed);
        let _ = write!(
            out,
            "<details class=\"{class}\"><summary><code>{}</code><span>{}</span><span class=\"count\">{killed} of {} seen</span></summary><ul class=\"mutants\">",
            xml(&requirement.id),
            xml(&requirement.sentence),
            mutants.len()
        );
        for (id, cases) in mutants {
            let judgement = by_id.get(id.as_str()).copied();
            row(&mut out, id, cases, &requirement.id, judgement);
        }
        out.push_str("</ul></details>");
    }
    if !chapter.is_empty() {
        out.push_str("</div>");
    }
    (out, holes)
}

fn row(
    out: &mut String,
    id: &str,
    cases: &[String],
    requirement: &str,
    judgement: Option<&Judgement>,
) {
    let title = judgement.map_or("", |judgement| judgement.title.as_str());
    let _ = write!(
        out,
        "<li><span class=\"wrong\">{}<small>{}</small></span><span class=\"cases\">",
        xml(title),
        xml(id)
    );
    for case in cases {
        let is_strict = judgement.is_some_and(|judgement| {
            let mut kills = judgement.kills.iter();
            kills.any(|kill| kill.case == *case && kill.strict.contains(requirement))
        });
        let mark = if is_strict { "◆ " } else { "" };
        let _ = write!(out, "<span>{mark}{}</span>", xml(case));
    }
    if cases.is_empty() {
        let why = judgement.and_then(|judgement| judgement.equivalent.as_deref());
        let _ = write!(out, "<em>{}</em>", xml(why.unwrap_or("no case sees it")));
    }
    out.push_str("</span></li>");
}

/// As the specification has them: by chapter, then by line.
fn in_order(requirements: &Requirements) -> Vec<&Requirement> {
    let mut all: Vec<&Requirement> = requirements.iter().collect();
    all.sort_by(|one, other| (&one.file, one.line).cmp(&(&other.file, other.line)));
    all
}

/// `30-send.md` as a heading.
fn title(file: &str) -> &str {
    let name = file.trim_end_matches(".md");
    name.split_once('-').map_or(name, |(_, name)| name)
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}
