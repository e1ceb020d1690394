//! `tidewire`: sends a message, listens, shows groups and devices, from a terminal.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::SUCCESS
}
