//! One adapter for many cases: it is started again after a breach, but not for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Mutex;

use super::AdapterFault;
use super::file::AdapterFile;
use super::host::Adapter;
use super::protocol::Hello;

/// An adapter that broke so often is not asked again in the same run.
const MAX_STARTS: usize = 24;

/// The adapter of a testee, started when it is needed.
pub(crate) struct AdapterPool {
    file: AdapterFile,
    hello: Hello,
    can_crash: bool,
    current: Mutex<Adapter>,
    starts: AtomicUsize,
    announce: Arc<dyn Fn(String) + Send + Sync>,
}

impl AdapterPool {
    /// Starts the adapter. `announce` is told where one that dials in is awaited.
    ///
    /// # Errors
    /// As [`Adapter::start`].
    pub(crate) async fn start(
        file: AdapterFile,
        announce: Arc<dyn Fn(String) + Send + Sync>,
    ) -> Result<AdapterPool, AdapterFault> {
        let adapter = Adapter::start(&file, announce.as_ref()).await?;
        Ok(AdapterPool {
            hello: adapter.hello().clone(),
            can_crash: adapter.can_crash(),
            current: Mutex::new(adapter),
            starts: AtomicUsize::new(1),
            file,
            announce,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.file.name
    }

    /// What it said of itself at its first start.
    pub(crate) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// True if it can be killed and started again.
    pub(crate) fn can_crash(&self) -> bool {
        self.can_crash
    }

    /// The adapter that cases share.
    ///
    /// # Errors
    /// The fault of the last one if it broke too often, and what keeps a new one from starting.
    pub(crate) async fn shared(&self) -> Result<Adapter, AdapterFault> {
        let mut current = self.current.lock().await;
        if let Some(fault) = current.fault() {
            if self.starts.fetch_add(1, Ordering::Relaxed) >= MAX_STARTS {
                return Err(fault);
            }
            *current = self.own().await?;
        }
        Ok(current.clone())
    }

    /// An adapter for the caller alone.
    ///
    /// # Errors
    /// What keeps it from starting.
    pub(crate) async fn own(&self) -> Result<Adapter, AdapterFault> {
        Adapter::start(&self.file, self.announce.as_ref()).await
    }
}
