//! Watches the room on the disk of the data folder.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use crate::engine::{Engine, FullCause, Msg};

/// How often to look. At full speed the store writes some 100 MiB in this time.
const INTERVAL: Duration = Duration::from_secs(1);

/// What must stay free on the disk.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) folder: PathBuf,
    pub(crate) min_free: u64,
}

impl Watch {
    /// True if there is too little room. A disk that cannot be asked counts as one with room: the store will tell.
    pub(crate) fn is_full(&self) -> bool {
        match free_bytes(&self.folder) {
            Ok(free) => free < self.min_free,
            Err(error) => {
                warn!(%error, "cannot ask for the free space");
                false
            }
        }
    }

    /// Tells each engine how things are, and then whenever they change.
    pub(crate) async fn run(self, mut engines: watch::Receiver<Option<Engine>>) {
        let mut told = None;
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                _ = interval.tick() => {}
                changed = engines.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    told = None;
                }
            }
            let full = self.is_full();
            let engine = engines.borrow_and_update().clone();
            if let Some(engine) = engine
                && told != Some(full)
                && engine
                    .send(Msg::Full {
                        cause: FullCause::Disk,
                        full,
                    })
                    .is_ok()
            {
                told = Some(full);
            }
        }
    }
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(folder)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}
