//! The Tidewire reference server.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidewire_server::cli::main_from(std::env::args_os())
}
