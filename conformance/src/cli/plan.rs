//! `plan`: what a run would play, what it would leave out and why, and which requirements that reaches. No case is played.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::run::codec;
use super::target::{CaseArgs, TargetArgs};
use super::{Folders, complain, written};
use crate::report::Role;
use crate::run::{Planned, RunOptions, plan};
use crate::spec::Requirements;
use crate::vectors::Vector;
use crate::verdict::Verdict;

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

/// A case, as far as a plan goes.
struct Item<'a> {
    id: &'a str,
    family: &'a str,
    covers: BTreeSet<&'a str>,
}

pub(super) fn run(args: &PlanArgs, folders: &Folders) -> u8 {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error.to_string()),
    };
    let shown = match codec::file(&args.target) {
        Ok(Some(file)) => runtime.block_on(of_codec(args, folders, file)),
        Ok(None) => runtime.block_on(of_sessions(args, folders)),
        Err(code) => Err(code),
    };
    shown.map_or_else(|code| code, written)
}

async fn of_sessions(args: &PlanArgs, folders: &Folders) -> Result<io::Result<()>, u8> {
    let mut suite = folders.read()?;
    let options = RunOptions {
        cases: args.cases.choose(&mut suite)?,
        transport: args.target.transport,
        sdks: args.target.sdks().await?,
        ..RunOptions::default()
    };
    let testee = args.target.start_one().await?;
    let planned = plan(&suite.sessions, testee, &options).await;
    let planned =
        planned.map_err(|error| super::broken(&format!("the testee's back door: {error}")))?;
    let items: Vec<Item<'_>> = suite
        .sessions
        .iter()
        .map(|session| Item {
            id: &session.id,
            family: session.family(),
            covers: session.covers(),
        })
        .collect();
    Ok(show(
        args,
        &suite.requirements,
        &items,
        &planned,
        options.role(),
    ))
}

/// A codec plays no sessions; a hello says which vectors can be put to it.
async fn of_codec(args: &PlanArgs, folders: &Folders, file: &Path) -> Result<io::Result<()>, u8> {
    let (requirements, vectors) = codec::read(folders)?;
    let chosen = codec::chosen(&args.cases.filter, &vectors)?;
    let (_, adapter) = codec::start(file).await?;
    let can = |op: &str| adapter.hello().can(op);
    let mut planned = Planned {
        played: BTreeSet::new(),
        left_out: BTreeMap::new(),
        is_probed: true,
    };
    for vector in vectors.iter() {
        if !chosen.is_empty() && !chosen.contains(&vector.id) {
            continue;
        }
        let id = vector.id.clone();
        match vector.lacks(&can) {
            Some(reason) => drop(planned.left_out.insert(id, (Verdict::NotRun, reason))),
            None => drop(planned.played.insert(id)),
        }
    }
    let claims: Vec<BTreeSet<String>> = vectors.iter().map(Vector::claims).collect();
    let items: Vec<Item<'_>> = vectors
        .iter()
        .zip(&claims)
        .map(|(vector, claims)| Item {
            id: &vector.id,
            family: vector.family(),
            covers: claims.iter().map(String::as_str).collect(),
        })
        .collect();
    Ok(show(args, &requirements, &items, &planned, Role::Codec))
}

fn show(
    args: &PlanArgs,
    requirements: &Requirements,
    items: &[Item<'_>],
    planned: &Planned,
    role: Role,
) -> io::Result<()> {
    let reach = Reach::new(requirements, items, planned, role);
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{:#}", to_json(items, planned, &reach));
    }
    print(&mut out, items, planned, &reach)
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
    fn new(
        requirements: &'a Requirements,
        items: &[Item<'a>],
        planned: &Planned,
        role: Role,
    ) -> Reach<'a> {
        let mut reach = Reach {
            role,
            proved: BTreeSet::new(),
            left_out: BTreeSet::new(),
            without: requirements
                .iter()
                .filter(|requirement| requirement.is_observable_of(role))
                .map(|requirement| requirement.id.as_str())
                .collect(),
        };
        let observable = reach.without.clone();
        for item in items {
            let is_played = planned.played.contains(item.id);
            for id in item.covers.intersection(&observable) {
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
fn families<'a>(items: &[Item<'a>], planned: &Planned) -> BTreeMap<&'a str, (usize, usize)> {
    let mut families = BTreeMap::new();
    for item in items {
        let (played, left_out): &mut (usize, usize) = families.entry(item.family).or_default();
        *played += usize::from(planned.played.contains(item.id));
        *left_out += usize::from(planned.left_out.contains_key(item.id));
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
    items: &[Item<'_>],
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
    let families = families(items, planned);
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

fn to_json(items: &[Item<'_>], planned: &Planned, reach: &Reach<'_>) -> Value {
    let left_out: Vec<Value> = planned
        .left_out
        .iter()
        .map(|(id, (verdict, reason))| json!({ "id": id, "verdict": verdict, "reason": reason }))
        .collect();
    let families: BTreeMap<&str, Value> = families(items, planned)
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
