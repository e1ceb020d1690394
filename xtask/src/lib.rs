//! Automation of the Tidewire repository: what `cargo xtask` does, as functions that tests call too.
//! Nothing of it is part of the protocol, and no other crate depends on it.

pub mod citations;
pub mod exceptions;
pub mod files;
pub mod fixtures;
pub mod gate;
pub mod generate;
pub mod mutants;
pub mod problem;
pub mod quotes;
pub mod registry;
pub mod spec;
pub mod table;
pub mod wireshark;

use std::path::PathBuf;

/// The folder of the repository.
pub fn root() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    folder.parent().map(PathBuf::from).unwrap_or(folder)
}
