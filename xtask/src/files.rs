//! Files of the repository: a sorted walk, and sets of files that are written or compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::problem::Problems;

/// Every file below `root/folder` whose name ends with `.extension`, as paths below `root`, sorted.
/// A folder that does not exist holds none. Build output and hidden folders are left out.
///
/// # Errors
/// When a folder cannot be listed.
pub fn walk(root: &Path, folder: &str, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(folder)];
    while let Some(folder) = open.pop() {
        let full = root.join(&folder);
        if !full.is_dir() {
            continue;
        }
        for entry in
            std::fs::read_dir(&full).with_context(|| format!("cannot list {}", full.display()))?
        {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = folder.join(&name);
            if entry.file_type()?.is_dir() {
                let built = ["target", "__pycache__", "node_modules", "dist"];
                if !built.contains(&name.as_str()) && !name.starts_with('.') {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Files that a command makes: path below the root, and bytes.
#[derive(Debug, Default)]
pub struct Output(BTreeMap<PathBuf, Vec<u8>>);

impl Output {
    /// Adds a file.
    pub fn add(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), bytes.into());
    }

    /// Path and bytes of each file, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &[u8])> {
        self.0
            .iter()
            .map(|(path, bytes)| (path.as_path(), bytes.as_slice()))
    }

    /// Writes what differs from the files on disk and removes files in the `owned` folders that are not part of it.
    /// Returns the paths that changed.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, root: &Path, owned: &[&str]) -> Result<Vec<PathBuf>> {
        let mut changed = Vec::new();
        for (path, bytes) in &self.0 {
            let full = root.join(path);
            if std::fs::read(&full).is_ok_and(|old| old == *bytes) {
                continue;
            }
            if let Some(folder) = full.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&full, bytes)
                .with_context(|| format!("cannot write {}", full.display()))?;
            changed.push(path.clone());
        }
        for path in self.strays(root, owned)? {
            std::fs::remove_file(root.join(&path))?;
            changed.push(path);
        }
        Ok(changed)
    }

    /// Names each file that is missing, differs, or is not part of the output though in an `owned` folder.
    ///
    /// # Errors
    /// When a folder cannot be listed.
    pub fn check(&self, root: &Path, owned: &[&str], problems: &mut Problems) -> Result<()> {
        for (path, bytes) in &self.0 {
            let place = path.display().to_string();
            match std::fs::read(root.join(path)) {
                Ok(old) if old == *bytes => {}
                Ok(_) => problems.add(&place, "is not what the generator writes"),
                Err(_) => problems.add(&place, "is missing"),
            }
        }
        for path in self.strays(root, owned)? {
            problems.add(
                &path.display().to_string(),
                "is not written by the generator",
            );
        }
        Ok(())
    }

    fn strays(&self, root: &Path, owned: &[&str]) -> Result<Vec<PathBuf>> {
        let mut strays = Vec::new();
        for folder in owned {
            for extension in ["json", "hex", "bin"] {
                let files = walk(root, folder, extension)?.into_iter();
                strays.extend(
                    files.filter(|path| !self.0.contains_key(path) && !is_regression(path)),
                );
            }
        }
        Ok(strays)
    }
}

/// What once broke an implementation is kept beside the generated files, under a name that says so.
fn is_regression(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("regress-"))
}
