//! Lists the files of the suite as Rust, so that the program can carry them. Without the feature `embedded` it carries none,
//! and a changed fixture rebuilds nothing.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let mut entries = String::new();
    let mut hasher = DefaultHasher::new();
    if env::var_os("CARGO_FEATURE_EMBEDDED").is_some() {
        let root = root.canonicalize()?;
        for folder in ["fixtures", "spec"] {
            println!("cargo::rerun-if-changed={}", root.join(folder).display());
            for path in files(&root.join(folder))? {
                let name = path.strip_prefix(&root).unwrap_or(&path);
                // The name is the same on every system.
                let name: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
                let name = name.join("/");
                (&name, fs::read(&path)?).hash(&mut hasher);
                entries += &format!("    ({name:?}, include_bytes!({path:?})),\n");
            }
        }
    }
    let digest = hasher.finish();
    let text = format!(
        "/// Each file by its path in the repository.\n\
         pub(super) const FILES: &[(&str, &[u8])] = &[\n{entries}];\n\
         /// Differs where any name or byte does.\n\
         pub(super) const DIGEST: &str = \"{digest:016x}\";\n"
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("embedded.rs"), text)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
