//! The derived fixtures: frames, broken bytes, negotiation tables and the fuzz corpus, as `fixtures/README.md` says.

mod body;
mod broken;
mod corpus;
mod frames;
mod invalid;
mod logins;
mod negotiation;
mod rules;
mod samples;
mod wire;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::files::Output;

/// Folders that hold nothing but what this module writes.
pub const OWNED: [&str; 4] = [
    "fixtures/frames",
    "fixtures/invalid",
    "fixtures/negotiation",
    "fixtures/corpus",
];

/// Bytes on a line of a `.hex` file.
const HEX_LINE: usize = 32;

/// Everything that `cargo xtask fixtures` writes.
///
/// # Errors
/// When the descriptor set of `root` does not parse, or a fixture is not what the codec says it is.
pub fn output(root: &Path) -> Result<Output> {
    let pool = body::pool(root)?;
    let mut output = Output::default();
    let frames = frames::all(&pool)?;
    let invalid = invalid::all(&pool)?;
    for frame in &frames {
        add(
            &mut output,
            "fixtures/frames",
            &frame.name,
            &frame.json,
            &frame.bytes,
        )?;
    }
    for case in &invalid {
        add(
            &mut output,
            "fixtures/invalid",
            &case.json.name,
            &case.json,
            &case.bytes,
        )?;
    }
    for (name, table) in negotiation::all() {
        output.add(format!("fixtures/negotiation/{name}.json"), pretty(&table)?);
    }
    let valid = frames
        .iter()
        .map(|frame| (frame.name.as_str(), frame.bytes.as_slice()));
    let broken = invalid
        .iter()
        .map(|case| (case.json.name.as_str(), case.bytes.as_slice()));
    corpus::add(&mut output, valid, broken);
    Ok(output)
}

fn add(
    output: &mut Output,
    folder: &str,
    name: &str,
    json: &impl Serialize,
    bytes: &[u8],
) -> Result<()> {
    output.add(format!("{folder}/{name}.json"), pretty(json)?);
    output.add(format!("{folder}/{name}.hex"), hex_lines(bytes));
    Ok(())
}

fn pretty(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Lower-case hex without spaces.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hex_lines(bytes: &[u8]) -> String {
    bytes
        .chunks(HEX_LINE)
        .map(|line| hex(line) + "\n")
        .collect()
}

/// The file that stands beside a fixture's JSON.
fn hex_file(name: &str) -> String {
    format!("{}.hex", name.rsplit('/').next().unwrap_or(name))
}
