//! Generated code: prost types and the descriptor set, from `spec/proto`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use prost::Message;

/// The proto files, in the order of the families.
pub(crate) const FAMILIES: [&str; 6] = ["control", "login", "send", "status", "group", "expiry"];

/// Everything that `cargo xtask generate` writes: path below the root, and bytes.
pub(crate) fn files(root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let include = root.join("spec/proto");
    let protos = FAMILIES.map(|f| format!("tidewire/v1/{f}.proto"));
    let set = protox::compile(&protos, [&include]).context("spec/proto does not compile")?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.enable_type_names();
    let out = tempdir(root)?;
    config.out_dir(&out);
    let descriptor = set.encode_to_vec();
    config.compile_fds(set)?;
    let code = std::fs::read(out.join("tidewire.v1.rs"))?;
    std::fs::remove_dir_all(&out)?;
    Ok(vec![
        ("codec/src/generated/tidewire.v1.rs".into(), code),
        ("spec/proto/tidewire.v1.binpb".into(), descriptor),
    ])
}

fn tempdir(root: &Path) -> Result<PathBuf> {
    let dir = root.join("target/xtask-generate");
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
