//! `completions`: what a shell needs to complete commands and options.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell; what is printed goes where that shell looks for completions.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs) -> u8 {
    let mut text = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "tidewire-conformance",
        &mut text,
    );
    super::written(io::Write::write_all(&mut io::stdout(), &text))
}
