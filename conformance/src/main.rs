//! The program `tidewire-conformance`. All of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidewire_conformance::cli::main()
}
