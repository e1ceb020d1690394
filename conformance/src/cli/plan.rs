//! `plan`: what a run would play, what it would leave out and why, and which requirements that reaches. No case is played.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::target::{CaseArgs, TargetArgs};
use super::{Folders, Suite, complain, written};
use crate::adapter::{AdapterFile, Role as AdapterRole};
use crate::report::Role;
use crate::run::{Planned, RunOptions, plan};

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    cases: CaseArgs,
    #[command(flatten)]
    target: TargetArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PlanArgs, folders: &Folders) -> u8 {
    let mut suite = match folders.read() {
        Ok(suite) => suite,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    match runtime.block_on(ask(args, &mut suite)) {
        Ok((planned, role)) => {
            let reach = Reach::new(&suite, &planned, role);
            let mut out = io::stdout().lock();
            written(if args.json {
                writeln!(out, "{:#}", to_json(&suite, &planned, &reach))
            } else {
                print(&mut out, &suite, &planned, &reach)
            })
        }
        Err(code) => code,
    }
}

async fn ask(args: &PlanArgs, suite: &mut Suite) -> Result<(Planned, Role), u8> {
    if let Some(file) = &args.target.testee {
        let role = AdapterFile::role_of(file).map_err(|error| complain(&error.to_string()))?;
        if role == AdapterRole::Codec {
            return Err(complain(
                "a bare codec plays no sessions: `run` puts every vector to it whose op its hello has",
            ));
        }
    }
    let options = RunOptions {
        cases: args.cases.choose(suite)?,
        transport: args.target.transport,
        sdks: args.target.sdks().await?,
        ..RunOptions::default()
    };
    let testee = args.target.start_one().await?;
    plan(&suite.sessions, testee, &options)
        .await
        .map(|planned| (planned, options.role()))
        .map_err(|error| super::broken(&format!("the testee's back door: {error}")))
}

/// What became of the requirements that can be observed.
struct Reach<'a> {
    /// Whose they are.
    role: Role,
    /// A case that would run proves them.
    proved: BTreeSet<&'a str>,
    /// Only cases that are left out, or were not chosen, prove them.
    left_out: BTreeSet<&'a str>,
    /// No case proves them.
    without: BTreeSet<&'a str>,
}

impl<'a> Reach<'a> {
    fn new(suite: &'a Suite, planned: &Planned, role: Role) -> Reach<'a> {
        let mut reach = Reach {
            role,
            proved: BTreeSet::new(),
            left_out: BTreeSet::new(),
            without: suite
                .requirements
                .iter()
                .filter(|requirement| requirement.is_observable_of(role))
                .map(|requirement| requirement.id.as_str())
                .collect(),
        };
        for session in suite.sessions.iter() {
            let is_played = planned.played.contains(&session.id);
            let covers = session.covers();
            let known = covers.into_iter().filter(|id| {
                suite
                    .requirements
                    .get(id)
                    .is_some_and(|requirement| requirement.is_observable_of(role))
            });
            for id in known {
                reach.without.remove(id);
                if is_played {
                    reach.left_out.remove(id);
                    reach.proved.insert(id);
                } else if !reach.proved.contains(id) {
                    reach.left_out.insert(id);
                }
            }
        }
        reach
    }

    fn observable(&self) -> usize {
        self.proved.len() + self.left_out.len() + self.without.len()
    }
}

/// Cases that run and cases that do not, by family.
fn families<'a>(suite: &'a Suite, planned: &Planned) -> BTreeMap<&'a str, (usize, usize)> {
    let mut families = BTreeMap::new();
    for session in suite.sessions.iter() {
        let (played, left_out): &mut (usize, usize) = families.entry(session.family()).or_default();
        *played += usize::from(planned.played.contains(&session.id));
        *left_out += usize::from(planned.left_out.contains_key(&session.id));
    }
    families.retain(|_, counts| *counts != (0, 0));
    families
}

/// The cases that are left out, by the reason.
fn reasons(planned: &Planned) -> BTreeMap<&str, Vec<&str>> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, (_, reason)) in &planned.left_out {
        reasons.entry(reason).or_default().push(id);
    }
    reasons
}

fn print(
    out: &mut dyn Write,
    suite: &Suite,
    planned: &Planned,
    reach: &Reach<'_>,
) -> io::Result<()> {
    if !planned.is_probed {
        writeln!(
            out,
            "no login succeeded: which features the testee has is not known\n"
        )?;
    }
    for (reason, cases) in reasons(planned) {
        writeln!(out, "left out, {reason}:")?;
        for id in cases {
            writeln!(out, "  {id}")?;
        }
        writeln!(out)?;
    }
    let families = families(suite, planned);
    let width = families.keys().map(|name| name.len()).max().unwrap_or(0);
    for (family, (played, left_out)) in families {
        let rest = match left_out {
            0 => String::new(),
            number => format!("  {number} left out"),
        };
        writeln!(out, "{family:width$}  {played:4} would run{rest}")?;
    }
    for (what, ids) in [
        ("only in cases that would not run", &reach.left_out),
        ("in no case", &reach.without),
    ] {
        if !ids.is_empty() {
            let ids: Vec<&str> = ids.iter().copied().collect();
            writeln!(out, "{what}: {}", ids.join(" "))?;
        }
    }
    writeln!(
        out,
        "requirements of {}s: {} of {} observable have a case that would run",
        reach.role,
        reach.proved.len(),
        reach.observable()
    )?;
    writeln!(
        out,
        "{} cases would run, {} are left out",
        planned.played.len(),
        planned.left_out.len()
    )
}

fn to_json(suite: &Suite, planned: &Planned, reach: &Reach<'_>) -> Value {
    let left_out: Vec<Value> = planned
        .left_out
        .iter()
        .map(|(id, (verdict, reason))| json!({ "id": id, "verdict": verdict, "reason": reason }))
        .collect();
    let families: BTreeMap<&str, Value> = families(suite, planned)
        .into_iter()
        .map(|(family, (played, left_out))| {
            (family, json!({ "run": played, "left_out": left_out }))
        })
        .collect();
    json!({
        "role": reach.role,
        "probed": planned.is_probed,
        "run": planned.played,
        "left_out": left_out,
        "families": families,
        "requirements": {
            "observable": reach.observable(),
            "run": reach.proved,
            "left_out": reach.left_out,
            "without_a_case": reach.without,
        },
    })
}
