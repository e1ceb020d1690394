//! Lying adapters: a real one behind a program that spoils what it says. Each has to get its verdict.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

/// How an adapter lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Lie {
    /// Says ok to ops that it does not know.
    ClaimsEverything,
    /// Keeps every entry to itself.
    SwallowsEvents,
    /// Tells every entry twice.
    RepeatsEvents,
    /// Ends in the middle of a case.
    DiesMidCase,
    /// Answers no request any more from the middle of a case on.
    Hangs,
    /// Writes what is no JSON between its lines.
    PrintsGarbage,
    /// Answers a request twice.
    AnswersTwice,
    /// Tells of clients that nobody made.
    TellsOfStrangers,
}

impl Lie {
    /// All of them.
    pub const ALL: [Lie; 8] = [
        Lie::ClaimsEverything,
        Lie::SwallowsEvents,
        Lie::RepeatsEvents,
        Lie::DiesMidCase,
        Lie::Hangs,
        Lie::PrintsGarbage,
        Lie::AnswersTwice,
        Lie::TellsOfStrangers,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        use clap::ValueEnum;
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Runs the real adapter and passes on what both sides say, spoilt.
    ///
    /// # Errors
    /// If the adapter does not start or a pipe breaks.
    pub fn run(self, command: &[std::ffi::OsString]) -> io::Result<()> {
        let (program, arguments) = command
            .split_first()
            .ok_or_else(|| io::Error::other("no command"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("no pipes"));
        };
        let sent = Arc::new(AtomicUsize::new(0));
        let out = Arc::new(Mutex::new(io::stdout()));
        let (count, answers) = (Arc::clone(&sent), Arc::clone(&out));
        std::thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                if let Some(answer) = self.instead(&line, &count) {
                    let mut out = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    // A runner that is gone needs no answer.
                    let _ = writeln!(out, "{answer}").and_then(|()| out.flush());
                } else if writeln!(stdin, "{line}").is_err() {
                    return;
                }
            }
        });
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            let spoilt = self.spoil(&line, sent.load(Ordering::Relaxed));
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            for line in spoilt {
                writeln!(out, "{line}")?;
            }
            out.flush()?;
            if self == Lie::DiesMidCase && sent.load(Ordering::Relaxed) >= MIDDLE {
                break;
            }
        }
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().map(drop)
    }

    /// The answer of the liar, where it does not ask the real adapter.
    fn instead(self, line: &str, sent: &AtomicUsize) -> Option<Value> {
        let asked: Value = serde_json::from_str(line).ok()?;
        let op = asked.get("op")?.as_str()?;
        if op == "send" || op == "fence" {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        let is_probe = op.starts_with("probe-");
        (self == Lie::ClaimsEverything && is_probe)
            .then(|| json!({ "id": asked.get("id"), "ok": {} }))
    }

    /// What it says in place of a line of the real adapter.
    fn spoil(self, line: &str, sent: usize) -> Vec<String> {
        let said: Value = serde_json::from_str(line).unwrap_or_default();
        let is_entry = said.get("event").is_some_and(|name| name == "entry");
        let is_answer = said.get("id").is_some();
        let line = line.to_owned();
        match self {
            Lie::SwallowsEvents if is_entry => Vec::new(),
            Lie::RepeatsEvents if is_entry => vec![line.clone(), line],
            Lie::Hangs if is_answer && sent >= MIDDLE => Vec::new(),
            Lie::PrintsGarbage if sent >= MIDDLE => vec!["Segmentation fault".to_owned(), line],
            Lie::AnswersTwice if is_answer && sent >= MIDDLE => vec![line.clone(), line],
            Lie::TellsOfStrangers if sent >= MIDDLE => {
                let stranger = json!({ "event": "synced", "client": "nobody" });
                vec![line, stranger.to_string()]
            }
            _ => vec![line],
        }
    }
}

/// What counts as the middle of a case: so many messages or fences.
const MIDDLE: usize = 2;
