//! `record`: a proxy that turns what clients and a server do into a session file.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::{EXIT_USAGE, broken, complain, written};
use crate::record::{Recorder, write};

#[derive(Debug, clap::Args)]
pub(super) struct RecordArgs {
    /// Where clients connect to; port 0 takes a free one.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    listen: String,
    /// The server, for plain TCP.
    #[arg(long, value_name = "HOST:PORT")]
    server: String,
    /// The session file that is written; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// What the session shows, in one line.
    #[arg(long, default_value = "what was seen")]
    title: String,
    /// Ends when so many connections have ended, and not only with Ctrl-C.
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
}

pub(super) fn run(args: &RecordArgs) -> u8 {
    if args.out.exists() {
        return complain(&format!("{} exists", args.out.display()));
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return broken(&error.to_string()),
    };
    let recorded = runtime.block_on(async {
        let recorder = Recorder::bind(&args.listen, args.server.clone()).await?;
        writeln!(
            io::stdout(),
            "listening on {}, for {}; Ctrl-C ends it",
            recorder.address()?,
            args.server
        )?;
        let refused = |error: io::Error| {
            complain(&format!("{}: {error}", args.server));
        };
        io::Result::Ok(recorder.record(stopped(), args.connections, refused).await)
    });
    let entries = match recorded {
        Ok(entries) => entries,
        Err(error) => return broken(&format!("{}: {error}", args.listen)),
    };
    if entries.is_empty() {
        complain("nobody connected: nothing is written");
        return EXIT_USAGE;
    }
    if let Err(error) = fs::write(&args.out, write(&entries, &args.title)) {
        return broken(&format!("{}: {error}", args.out.display()));
    }
    let out = args.out.display();
    written(writeln!(
        io::stdout(),
        "wrote {out}; play it: tidewire-conformance run --session {out}"
    ))
}

/// Ctrl-C, or what stops a service.
async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    // Without a handler there is no way to end it in order; then the process ends as a whole.
    if interrupted.await.is_err() {
        std::future::pending::<()>().await;
    }
}
