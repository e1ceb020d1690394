//! `export`: the suite as files, for tools in any language and for cases of one's own.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{EXIT_USAGE, Folders, complain};

#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    /// The folder to write to; it is made, or is empty.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// What one needs to write an adapter: the protocol, and one to begin with.
const ADAPTERS: [(&str, &str); 2] = [
    ("README.md", include_str!("../../adapters/README.md")),
    (
        "template.py",
        include_str!("../../../docs/guides/adapter-template.py"),
    ),
];

pub(super) fn run(args: &ExportArgs, folders: &Folders) -> u8 {
    if let Err(code) = folders.check() {
        return code;
    }
    let folder = &args.folder;
    let is_taken = fs::read_dir(folder).is_ok_and(|mut listing| listing.next().is_some());
    if is_taken {
        return complain(&format!("{} is not empty", folder.display()));
    }
    match export(folder, folders) {
        Ok(count) => {
            let done = writeln!(io::stdout(), "{count} files in {}", folder.display());
            done.map_or(EXIT_USAGE, |()| 0)
        }
        Err(error) => complain(&format!("{}: {error}", folder.display())),
    }
}

fn export(folder: &Path, folders: &Folders) -> io::Result<usize> {
    let copied = copy(&folders.fixtures, &folder.join("fixtures"))?
        + copy(&folders.spec, &folder.join("spec"))?;
    let adapters = folder.join("adapters");
    fs::create_dir_all(&adapters)?;
    for (name, text) in ADAPTERS {
        fs::write(adapters.join(name), text)?;
    }
    Ok(copied + ADAPTERS.len())
}

/// Copies a folder with all that is in it; gives the number of files.
fn copy(from: &Path, to: &Path) -> io::Result<usize> {
    fs::create_dir_all(to)?;
    let mut count = 0;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            count += copy(&path, &target)?;
        } else {
            // The bytes and not the permissions: these files are there to be changed.
            fs::write(&target, fs::read(&path)?)?;
            count += 1;
        }
    }
    Ok(count)
}
