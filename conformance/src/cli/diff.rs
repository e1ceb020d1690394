//! `diff`: what changed from one run to another.

use std::io;
use std::path::PathBuf;

use super::report::read;
use super::written;
use crate::diff::Diff;

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The JSON report of the earlier run.
    #[arg(value_name = "OLD.JSON")]
    old: PathBuf,
    /// The JSON report of the later run.
    #[arg(value_name = "NEW.JSON")]
    new: PathBuf,
}

pub(super) fn run(args: &DiffArgs) -> u8 {
    let diff = match (read(&args.old), read(&args.new)) {
        (Ok(old), Ok(new)) => Diff::of(&old, &new),
        (Err(code), _) | (_, Err(code)) => return code,
    };
    match written(diff.print(&mut io::stdout().lock())) {
        0 => u8::from(diff.is_worse()),
        code => code,
    }
}
