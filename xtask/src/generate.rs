//! What follows from `spec/`: prost types, shape tables and the descriptor set from the proto files, the registry of
//! requirements from the chapters, and Wireshark's dissector.

mod shapes;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use prost::Message;
use protox::prost_reflect::DescriptorPool;

use crate::files::Output;
use crate::registry;
use crate::wireshark;

/// The proto files, in the order of the families.
pub const FAMILIES: [&str; 6] = ["control", "login", "send", "status", "group", "expiry"];

/// Where the descriptor set stands.
pub const DESCRIPTOR: &str = "spec/proto/tidewire.v1.binpb";

/// Everything that `cargo xtask generate` writes.
///
/// # Errors
/// When the sources below `spec/` do not compile.
pub fn output(root: &Path) -> Result<Output> {
    let mut output = Output::default();
    for (path, bytes) in files(root)? {
        output.add(path, bytes);
    }
    output.add(registry::PATH, registry::text(root)?);
    Ok(output)
}

fn files(root: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let include = root.join("spec/proto");
    let protos = FAMILIES.map(|f| format!("tidewire/v1/{f}.proto"));
    let set = protox::compile(&protos, [&include]).context("spec/proto does not compile")?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.enable_type_names();
    config.type_attribute(
        ".",
        "#[cfg_attr(feature = \"serde\", derive(serde::Serialize, serde::Deserialize))]",
    );
    config.message_attribute(".", "#[cfg_attr(feature = \"serde\", serde(default))]");
    let out = tempfile::tempdir()?;
    config.out_dir(out.path());
    let descriptor = set.encode_to_vec();
    let pool = DescriptorPool::decode(descriptor.as_slice())?;
    let shapes = shapes::file(&pool)?;
    config.compile_fds(set)?;
    let code = std::fs::read(out.path().join("tidewire.v1.rs"))?;
    Ok(vec![
        ("codec/src/generated/tidewire.v1.rs".into(), code),
        ("codec/src/generated/shapes.rs".into(), shapes.into_bytes()),
        (DESCRIPTOR.into(), descriptor),
        (
            wireshark::PATH.into(),
            wireshark::bundle(root, &pool)?.into_bytes(),
        ),
    ])
}
