//! Files that others read: secrets are for their owner alone, and a file is there whole or not at all.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

/// Writes a file that only its owner may read, replacing what was there in one step.
pub(crate) fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text, 0o600)
}

/// Writes a file that everybody may read, replacing what was there in one step. It survives a power loss whole: a
/// certificate that is there and empty would keep the server from starting.
pub(crate) fn write_public(path: &Path, text: &str) -> io::Result<()> {
    replace(path, text, 0o644)
}

fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    // Left over from a run that ended in between.
    let _ = std::fs::remove_file(new);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(new, path)
}
