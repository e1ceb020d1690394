//! One case: what it needs, its picture, each step as the file has it with the bytes that it sends, its sentences.

use std::io::{self, Write};

use anstyle::Style as Paint;
use tidewire_codec::dump::Dump;

use super::sample::{Sample, Samples};
use super::{Suite, diagram, killed, sentence, tidy};
use crate::mutant::Mutants;
use crate::session::{Action, Expect, Session, Step};

const HEAD: Paint = Paint::new().bold();
const DIM: Paint = Paint::new().dimmed();
/// The lines of a dump that are shown of one frame.
const DUMP_LINES: usize = 24;

pub(super) fn explain(
    out: &mut dyn Write,
    suite: &Suite,
    session: &Session,
    mutants: &Mutants,
) -> io::Result<()> {
    head(out, suite, session)?;
    writeln!(out)?;
    for line in diagram::draw(session) {
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "\n{HEAD}steps{HEAD:#}")?;
    let mut samples = Samples::new(session);
    let mut has_login = false;
    for step in &session.steps {
        self::step(out, session, step)?;
        // One LOGIN with nothing but defaults looks like the next.
        let is_known = has_login
            && matches!(&step.action, Action::Login(login) if login.body.names().next().is_none());
        has_login |= matches!(step.action, Action::Login(_));
        if let Some(sample) = samples.next(step)
            && !is_known
        {
            bytes(out, step, &sample)?;
        }
    }
    writeln!(out, "\n{HEAD}sentences{HEAD:#}")?;
    for id in session.covers() {
        sentence(out, suite, id)?;
    }
    let covers = session.covers();
    killed(out, mutants, &|mutant| {
        mutant
            .breaks
            .iter()
            .any(|broken| covers.contains(broken.as_str()))
    })
}

fn head(out: &mut dyn Write, suite: &Suite, session: &Session) -> io::Result<()> {
    writeln!(out, "{HEAD}{}{HEAD:#}: {}", session.id, session.title)?;
    writeln!(out, "file: {}", tidy(&session.path).display())?;
    let actors: Vec<String> = session
        .actors
        .iter()
        .map(|actor| {
            let mut text = actor.name.clone();
            if actor.user != actor.name {
                text += &format!(" (user {})", actor.user);
            }
            if actor.device != actor.name {
                text += &format!(" (device {})", actor.device);
            }
            if let Some(transport) = actor.transport {
                text += &format!(" (over {transport})");
            }
            text
        })
        .collect();
    writeln!(out, "actors: {}", actors.join(", "))?;
    if !session.needs.is_empty() {
        let needs: Vec<String> = session.needs.iter().map(ToString::to_string).collect();
        writeln!(out, "needs: {}", needs.join(", "))?;
    }
    if session.is_exclusive() {
        writeln!(out, "runs alone: it changes the testee for everybody")?;
    }
    if let Some(twin) = &session.twin {
        let title = suite
            .sessions
            .get(twin)
            .map_or("", |twin| twin.title.as_str());
        writeln!(out, "twin: {twin} ({title}); without it this is blocked")?;
    }
    let spoiled: Vec<&str> = suite
        .sessions
        .iter()
        .filter(|other| other.twin.as_ref() == Some(&session.id))
        .map(|other| other.id.as_str())
        .collect();
    if !spoiled.is_empty() {
        writeln!(out, "is the twin of: {}", spoiled.join(", "))?;
    }
    if session.is_sweep() {
        writeln!(out, "sweep: its steps run once for each variant")?;
    }
    Ok(())
}

fn step(out: &mut dyn Write, session: &Session, step: &Step) -> io::Result<()> {
    let actor = step.actor.and_then(|actor| session.actors.get(actor));
    let name = actor.map_or("everybody", |actor| actor.name.as_str());
    // The lines of the file say best what a step asks for.
    for (number, line) in session.source_of(step.line).enumerate() {
        if number == 0 {
            writeln!(out, "{:5}  {name}: {line}", step.line)?;
        } else {
            writeln!(out, "         {line}")?;
        }
    }
    let all: &[Expect] = match &step.action {
        Action::OneOf(all) => {
            writeln!(out, "         any one of these {} may come", all.len())?;
            all
        }
        Action::ExpectSet(all) => {
            writeln!(out, "         these {} come, in any order", all.len())?;
            all
        }
        _ => &[],
    };
    for (number, expect) in all.iter().enumerate() {
        if !expect.proves.is_empty() {
            writeln!(
                out,
                "         number {} (line {}) proves {}",
                number + 1,
                expect.line,
                expect.proves.join(", ")
            )?;
        }
    }
    if !step.proves.is_empty() {
        writeln!(out, "         proves {}", step.proves.join(", "))?;
    }
    Ok(())
}

fn bytes(out: &mut dyn Write, step: &Step, sample: &Sample) -> io::Result<()> {
    match sample {
        Sample::Unknown(why) => {
            writeln!(out, "         {DIM}bytes: not known before: {why}{DIM:#}")
        }
        Sample::Frame(frame) => {
            let text = Dump::frame(frame).to_string();
            let lines: Vec<&str> = text.lines().collect();
            for line in lines.iter().take(DUMP_LINES) {
                writeln!(out, "         {DIM}{line}{DIM:#}")?;
            }
            if lines.len() > DUMP_LINES {
                writeln!(
                    out,
                    "         {DIM}... {} more lines{DIM:#}",
                    lines.len() - DUMP_LINES
                )?;
            }
            if let Action::Send(send) = &step.action
                && send.times != crate::session::ONCE
            {
                writeln!(out, "         {DIM}and so on{DIM:#}")?;
            }
            Ok(())
        }
    }
}
