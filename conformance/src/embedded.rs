//! The suite that the program carries: fixtures and specification, unpacked once into the user's cache where there is no
//! checkout, so that a failure names a file that can be opened.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

mod files {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

use files::{DIGEST, FILES};

/// Where the fixtures and the specification lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) fixtures: PathBuf,
    pub(crate) spec: PathBuf,
}

impl Places {
    fn in_root(root: &Path) -> Places {
        Places {
            fixtures: root.join("fixtures"),
            spec: root.join("spec"),
        }
    }
}

/// The folders of the checkout that the program was built from, if they are still there; else those in the cache.
///
/// # Errors
/// Without a checkout: if the program carries no files, there is no place for a cache, or it cannot be written.
pub(crate) fn places() -> Result<Places, String> {
    let checkout = Places {
        fixtures: concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures").into(),
        spec: concat!(env!("CARGO_MANIFEST_DIR"), "/../spec").into(),
    };
    if let (Ok(fixtures), Ok(spec)) = (
        checkout.fixtures.canonicalize(),
        checkout.spec.canonicalize(),
    ) {
        return Ok(Places { fixtures, spec });
    }
    if FILES.is_empty() {
        return Err(format!(
            "{} is gone, and this program was built without the feature `embedded`: give --fixtures and --spec",
            checkout.fixtures.display()
        ));
    }
    let cache = cache_folder()
        .ok_or("neither XDG_CACHE_HOME nor HOME is set: give --fixtures and --spec")?;
    unpack_into(&cache).map_err(|error| format!("{}: {error}", cache.display()))
}

fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("tidewire-conformance"))
}

/// Unpacks the files below `cache`, in a folder named by what is in them; what is there already is left as it is.
fn unpack_into(cache: &Path) -> io::Result<Places> {
    let root = cache.join(DIGEST);
    if !root.is_dir() {
        fs::create_dir_all(cache)?;
        // Whole or not at all, also where two programs do it at once.
        let fresh = tempfile::Builder::new().prefix(".new-").tempdir_in(cache)?;
        write_all(fresh.path())?;
        match fs::rename(fresh.path(), &root) {
            Err(_) if root.is_dir() => {}
            done => done?,
        }
    }
    Ok(Places::in_root(&root))
}

fn write_all(folder: &Path) -> io::Result<()> {
    for (name, bytes) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&path, bytes)?;
        // Who changes a case changes a copy of it, made by `export`: this one is what the program carries.
        let mut permissions = fs::metadata(&path)?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions)?;
    }
    Ok(())
}

#[cfg(all(test, feature = "embedded"))]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn what_is_unpacked_is_the_checkout() {
        let cache = tempfile::tempdir().unwrap();
        let unpacked = unpack_into(cache.path()).unwrap();
        assert_eq!(unpack_into(cache.path()).unwrap(), unpacked);
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1);
        let checkout = places().unwrap();
        let compare = |one: &Path, other: &Path| {
            let output = std::process::Command::new("diff")
                .arg("-r")
                .args([one, other])
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
        };
        compare(&unpacked.fixtures, &checkout.fixtures);
        compare(&unpacked.spec, &checkout.spec);
    }
}
