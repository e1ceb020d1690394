//! The seventh proof: a codec that was written from the specification alone derives every fixture again.

use std::path::Path;

use tokio::process::Command;

use super::{Ground, Proof, Which};

/// Where it lies, seen from the folder of the fixtures.
const SCRIPT: &str = "../conformance/adapters/python/check_fixtures.py";

/// Runs it, on the fixtures and on fixtures that it spoils itself.
pub(super) async fn prove(ground: &Ground<'_>) -> Proof {
    let script = ground.fixtures.join(SCRIPT);
    if !script.exists() {
        return Proof::not_made(
            Which::CodecB,
            "the second codec is part of the repository, and this runner stands alone",
        );
    }
    let mut proof = Proof::new(Which::CodecB);
    for (what, arguments) in [
        ("fixtures derived again", &[][..]),
        ("spoilt fixtures noticed", &["--self-test"]),
    ] {
        match check(&script, arguments).await {
            Ok(count) => proof.figure(what, count),
            Err(error) => proof.fault(format!("{what}: {error}")),
        }
    }
    proof
}

/// How many it checked; what it says where it disagrees.
async fn check(script: &Path, arguments: &[&str]) -> Result<u64, String> {
    let output = Command::new("python3")
        .arg(script)
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("python3: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{said}{complaint}"));
    }
    // The last of its counts is the sum.
    let mut counts = said
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok());
    counts
        .next_back()
        .filter(|count| *count > 0)
        .ok_or_else(|| format!("it checked nothing: {said}"))
}
