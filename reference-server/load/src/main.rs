//! Load for a Tidewire server: how many messages a second, how late, at what cost.
//!
//! One thread plays all clients over plain TCP. It measures the server from outside, by what the kernel says of its
//! process; it is no conformance test and stops at the first thing that it does not expect.

mod admin;
mod flow;
mod idle;
mod measure;
mod offline;
mod report;
mod session;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::Context;
use clap::Parser;
use tokio::task::LocalSet;

use report::Report;
use target::Target;

/// Load for a Tidewire server.
///
/// The server is either started here (--spawn) or named by the users file that it wrote (--users).
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Start this server binary for the run, with a data folder of its own
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with = "users",
        required_unless_present = "users"
    )]
    spawn: Option<PathBuf>,
    /// Where the data folder of --spawn is made; its disk is what is measured
    #[arg(long, value_name = "DIR", requires = "spawn")]
    data: Option<PathBuf>,
    /// The users file of a running server, with its admin API
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Process to measure, with --users
    #[arg(long, value_name = "PID", requires = "users")]
    server_pid: Option<u32>,
    /// Messages from one user to another, so many pairs at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    pairs: usize,
    /// Instead of pairs: one user to a group with so many others
    #[arg(long, value_name = "N")]
    fanout: Option<usize>,
    /// Instead of pairs: store so many for a user that is away, then let it fetch them
    #[arg(long, value_name = "N")]
    offline: Option<usize>,
    /// Instead of pairs: so many sessions that do nothing
    #[arg(long, value_name = "N")]
    idle: Option<usize>,
    /// Messages of one sender that are not both acknowledged and delivered yet
    #[arg(long, value_name = "N", default_value_t = 64)]
    window: usize,
    /// Bytes of content
    #[arg(long, value_name = "BYTES", default_value_t = 200)]
    size: usize,
    /// Messages in all
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    messages: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(report) => {
            report.print(args.json);
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = std::io::Write::write_fmt(
                &mut std::io::stderr(),
                format_args!("tidewire-load: {error:#}\n"),
            );
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    LocalSet::new().block_on(&runtime, async {
        let target = match (&args.spawn, &args.users) {
            (Some(path), _) => Target::spawn(path, args.data.as_deref()).await?,
            (None, Some(file)) => Target::read(file, args.server_pid)?,
            (None, None) => anyhow::bail!("say --spawn or --users"),
        };
        let target = Rc::new(target);
        let load = flow::Load {
            window: args.window,
            size: args.size,
            messages: args.messages,
        };
        if let Some(members) = args.fanout {
            flow::fanout(&target, members, &load)
                .await
                .context("fan-out")
        } else if let Some(count) = args.offline {
            offline::run(
                &target,
                &flow::Load {
                    messages: count,
                    ..load
                },
            )
            .await
            .context("offline")
        } else if let Some(count) = args.idle {
            idle::run(&target, count).await.context("idle")
        } else {
            flow::pairs(&target, args.pairs, &load)
                .await
                .context("pairs")
        }
    })
}
