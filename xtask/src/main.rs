//! Automation of the Tidewire repository: `cargo xtask <command>`.

mod generate;

use std::path::PathBuf;

use anyhow::Result;

fn main() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    for (path, bytes) in generate::files(&root)? {
        let path = root.join(path);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(path, bytes)?;
    }
    Ok(())
}
