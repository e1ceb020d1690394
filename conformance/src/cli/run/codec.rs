//! `run` for a bare codec: no sessions, but the fixtures that need no peer.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::RunArgs;
use crate::adapter::{AdapterFile, AdapterPool, Role};
use crate::cli::progress::Progress;
use crate::cli::target::{TargetArgs, announce};
use crate::cli::{Folders, broken, complain, matches, tidy};
use crate::report::{Report, TesteeFacts};
use crate::run::RunOptions;
use crate::session::FixtureError;
use crate::spec::Requirements;
use crate::vectors::{AdapterCodec, VectorOptions, Vectors, run as run_vectors};

/// The testee file, if the testee is a codec.
pub(in crate::cli) fn file(target: &TargetArgs) -> Result<Option<&Path>, u8> {
    let Some(file) = target.testee.as_deref() else {
        return Ok(None);
    };
    let role = AdapterFile::role_of(file).map_err(|error| complain(&error.to_string()))?;
    Ok((role == Role::Codec).then_some(file))
}

/// Puts the vectors to the codec and reports.
pub(super) async fn play(
    file: &Path,
    args: &RunArgs,
    folders: &Folders,
    options: RunOptions,
) -> Result<Report, u8> {
    let (requirements, vectors) = read(folders)?;
    let options = RunOptions {
        cases: chosen(&args.cases.filter, &vectors)?,
        ..options
    };
    let (name, pool) = start(file).await?;
    let hello = pool.hello();
    let testee = TesteeFacts {
        name,
        version: Some(hello.version.clone()),
        role: Role::Codec,
        capabilities: hello.ops.clone(),
        ..TesteeFacts::default()
    };
    let total = match options.cases.len() {
        0 => vectors.iter().count(),
        chosen => chosen,
    };
    let progress = Progress::new(total, true);
    let report = run_vectors(
        &vectors,
        &requirements,
        &AdapterCodec(Arc::new(pool)),
        VectorOptions {
            run: &options,
            testee,
        },
        |case| progress.tell(case),
    )
    .await;
    progress.end();
    Ok(report)
}

/// The codec's name, and its adapter.
pub(in crate::cli) async fn start(file: &Path) -> Result<(String, AdapterPool), u8> {
    let file = AdapterFile::read(file).map_err(|error| complain(&error.to_string()))?;
    let name = file.name.clone();
    let pool = AdapterPool::start(file, Arc::new(announce)).await;
    let pool = pool.map_err(|fault| broken(&format!("the adapter of {name}: {fault}")))?;
    Ok((name, pool))
}

pub(in crate::cli) fn read(folders: &Folders) -> Result<(Requirements, Vectors), u8> {
    folders.check()?;
    let requirements =
        Requirements::read(&folders.spec).map_err(|error| complain(&error.to_string()))?;
    let vectors = Vectors::read(&folders.fixtures, &requirements).map_err(|error| {
        let path = tidy(&error.path);
        complain(&FixtureError { path, ..error }.to_string())
    })?;
    Ok((requirements, vectors))
}

/// The vectors that the filters choose, by id; all where there is no filter.
pub(in crate::cli) fn chosen(
    filters: &[String],
    vectors: &Vectors,
) -> Result<BTreeSet<String>, u8> {
    let mut ids = BTreeSet::new();
    for filter in filters {
        let is_exact = vectors.iter().any(|vector| vector.id == *filter);
        let fits = |id: &str| {
            if is_exact {
                id == filter
            } else {
                matches(filter, id)
            }
        };
        let found = vectors.iter().map(|vector| vector.id.clone());
        let found: Vec<String> = found.filter(|id| fits(id)).collect();
        if found.is_empty() {
            return Err(complain(&format!("no case fits the filter {filter}")));
        }
        ids.extend(found);
    }
    Ok(ids)
}
