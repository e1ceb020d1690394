//! The command line.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Parser, ValueEnum};
use tidewire_core::api::{AdminOp, AdminReply};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::server::{Config, Server, TlsIdentity};
use crate::token::Token;
use crate::transport::Identity;

/// Twice what a client receives that announces nothing: so there are messages of which it gets a stub (SND-070).
const MAX_FRAME: u32 = 2 * tidewire_codec::limits::MAX_FRAME_DEFAULT;

/// Users that `--dev` makes.
const DEMO_USERS: [&str; 3] = ["alice", "bob", "carol"];
/// Where `--dev` keeps its data if nothing is said.
const DEV_FOLDER: &str = ".tidewire-dev";

/// The Tidewire reference server.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    /// Start without any set-up: demo users with tokens, an own certificate, everything on loopback
    #[arg(long)]
    dev: bool,
    /// The data folder; with --dev ./.tidewire-dev if absent
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Plain TCP; with --dev 127.0.0.1:7400 if absent
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// WebSocket; with --dev 127.0.0.1:7401 if absent
    #[arg(long, value_name = "ADDR")]
    ws_listen: Option<SocketAddr>,
    /// TLS 1.3; with --dev 127.0.0.1:7402 if absent
    #[arg(long, value_name = "ADDR")]
    tls_listen: Option<SocketAddr>,
    /// The admin API; with --dev 127.0.0.1:7480 if absent
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// Certificate chain in PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Allow TCP, WebSocket and the admin API, none of them encrypted, on addresses other than loopback
    #[arg(long)]
    allow_plain: bool,
    /// Key of the admin API; with --dev a new one if absent
    #[arg(
        long,
        value_name = "KEY",
        env = "TIDEWIRE_ADMIN_KEY",
        hide_env_values = true
    )]
    admin_key: Option<String>,
    /// Write addresses, admin key and demo tokens to this file when ready; with --dev users.toml in the data folder if absent
    #[arg(long, value_name = "FILE")]
    users_out: Option<PathBuf>,
    /// Connections at a time
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    max_connections: usize,
    /// Largest body that is received, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = MAX_FRAME)]
    max_frame: u32,
    /// Refuse to store while less than this is free on the disk
    #[arg(long, value_name = "MIB", default_value_t = 64)]
    min_free_mib: u64,
    /// Threads for sockets, beside the one of the engine
    #[arg(long, value_name = "N", default_value_t = 1)]
    io_threads: usize,
    /// Time stands still until a test moves it
    #[arg(long)]
    virtual_clock: bool,
    /// Hooks for tests in the admin API: clock, restart, faults
    #[arg(long)]
    testing: bool,
    /// What to log, as "warn" or "tidewire_server=debug"
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
    /// How to log
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

/// Runs the server with these arguments, the first being the name of the program, until it is told to stop.
///
/// Exit codes: 0 after SIGTERM or SIGINT, 1 where it could not start, 2 for wrong arguments, 70 where the store failed.
pub fn main_from<I, T>(args: I) -> ExitCode
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match start_logging(&args).and_then(|()| run(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tidewire-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//= spec/04-security.md#security
//# [SEC-004] Tokens and contents MUST NOT appear in logs.
/// Logs go to standard error. No call in this crate or the core's driver hands a token or a content to them.
fn start_logging(args: &Args) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log {}", args.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    let started = match args.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| anyhow!("{error}"))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let config = config(args)?;
    // One thread for all sockets is cheapest where the engine keeps the second core busy.
    let mut builder = if args.io_threads > 1 {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(args.io_threads);
        builder
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    builder.enable_all().build()?.block_on(serve(args, config))
}

fn config(args: &Args) -> anyhow::Result<Config> {
    let or_dev = |given: Option<SocketAddr>, port: u16| {
        given.or_else(|| {
            args.dev
                .then(|| SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        })
    };
    let data = match (&args.data, args.dev) {
        (Some(data), _) => data.clone(),
        (None, true) => PathBuf::from(DEV_FOLDER),
        (None, false) => {
            bail!("say where to keep the data with --data, or start a trial with --dev")
        }
    };
    let tls = or_dev(args.tls_listen, 7402);
    let identity = match (&args.tls_cert, &args.tls_key) {
        (Some(cert), Some(key)) => TlsIdentity::Files(Identity {
            cert: cert.clone(),
            key: key.clone(),
        }),
        _ if tls.is_none() || args.dev => TlsIdentity::Development,
        _ => bail!("TLS needs --tls-cert and --tls-key, or --dev, which makes its own"),
    };
    let admin = or_dev(args.admin_listen, 7480);
    if admin.is_some() && args.admin_key.is_none() && !args.dev {
        bail!("the admin API needs a key: set TIDEWIRE_ADMIN_KEY or --admin-key");
    }
    if args.virtual_clock && !args.testing {
        bail!("--virtual-clock is of use only with --testing, which lets time move");
    }
    let config = Config {
        data,
        tcp: or_dev(args.listen, 7400),
        ws: or_dev(args.ws_listen, 7401),
        tls,
        admin,
        allow_plain: args.allow_plain,
        identity,
        admin_key: args.admin_key.clone(),
        virtual_clock: args.virtual_clock,
        testing: args.testing,
        max_connections: args.max_connections,
        min_free: args.min_free_mib.saturating_mul(1 << 20),
        core: tidewire_core::Config {
            max_frame: args.max_frame,
            ..tidewire_core::Config::default()
        }
        .clamped(),
    };
    if [config.tcp, config.ws, config.tls]
        .iter()
        .all(Option::is_none)
    {
        bail!("nothing to listen on: say --listen, --ws-listen or --tls-listen");
    }
    Ok(config)
}

async fn serve(args: &Args, config: Config) -> anyhow::Result<()> {
    // Before the first client can come, so that no signal is missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let data = config.data.clone();
    let server = Server::start(config).await?;
    let users = if args.dev {
        demo_users(&server).await?
    } else {
        Vec::new()
    };
    let file = args
        .users_out
        .clone()
        .or_else(|| args.dev.then(|| data.join("users.toml")));
    if let Some(file) = &file {
        server
            .users_file(&users)
            .write(file)
            .with_context(|| file.display().to_string())?;
    }
    let addresses = &server.addresses;
    info!(tcp = ?addresses.tcp, ws = ?addresses.ws, tls = ?addresses.tls, admin = ?server.admin_url, "ready");
    if args.dev {
        let _ = greet(&server, &users, file.as_deref());
    }
    tokio::select! {
        _ = terminate.recv() => info!("stopping on SIGTERM"),
        _ = interrupt.recv() => info!("stopping on SIGINT"),
    }
    server.stop().await;
    info!("stopped");
    Ok(())
}

/// Makes the demo users, each with a fresh token. Tokens of former starts go on working: only their digests are kept, so
/// they cannot be shown again.
async fn demo_users(server: &Server) -> anyhow::Result<Vec<(&'static str, Token)>> {
    let mut users = Vec::new();
    let mut ops = Vec::new();
    for id in DEMO_USERS {
        let token = Token::generate()?;
        ops.push(AdminOp::PutUser { user: id.into() });
        ops.push(AdminOp::PutToken {
            user: id.into(),
            digest: token.digest(),
            ttl_ms: None,
        });
        users.push((id, token));
    }
    let replies = server
        .shared
        .admin(ops)
        .await
        .map_err(|_| anyhow!("the engine has stopped"))?;
    if !replies
        .iter()
        .all(|reply| matches!(reply, AdminReply::Done | AdminReply::Created))
    {
        warn!("some demo users could not be made");
    }
    Ok(users)
}

/// Tells a developer what to do next. On standard output, which no log goes to.
fn greet(server: &Server, users: &[(&str, Token)], file: Option<&Path>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let addresses = &server.addresses;
    writeln!(out, "Tidewire reference server, for development.\n")?;
    for (what, address) in [
        ("tcp", addresses.tcp),
        ("ws", addresses.ws),
        ("tls", addresses.tls),
    ] {
        if let Some(address) = address {
            writeln!(out, "  {what:5}  {address}")?;
        }
    }
    if let Some(ca) = &addresses.ca {
        writeln!(out, "  ca     {}", ca.display())?;
    }
    writeln!(out, "\nUsers and their tokens:")?;
    for (id, token) in users {
        writeln!(out, "  {id:5}  {}", token.reveal())?;
    }
    if let Some(file) = file {
        writeln!(out, "\nAll of this for programs: {}", file.display())?;
        writeln!(out, "  tidewire-conformance run --users {}", file.display())?;
    }
    if let Some(url) = &server.admin_url {
        writeln!(out, "\nAnother user and a token for it:")?;
        let key = &server.admin_key;
        writeln!(
            out,
            "  curl -X PUT  -H 'Authorization: Bearer {key}' {url}/v1/users/dave"
        )?;
        writeln!(
            out,
            "  curl -X POST -H 'Authorization: Bearer {key}' {url}/v1/users/dave/tokens"
        )?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[track_caller]
    fn check(args: &str, error: &str) {
        let args =
            Args::try_parse_from(std::iter::once("server").chain(args.split_whitespace())).unwrap();
        match config(&args) {
            Ok(_) => assert_eq!(error, ""),
            Err(found) => assert!(
                !error.is_empty() && found.to_string().contains(error),
                "{found}"
            ),
        }
    }

    #[test]
    fn what_is_missing_is_said() {
        check("--dev", "");
        check("--listen 127.0.0.1:0", "--data");
        check("--data d --listen 127.0.0.1:0", "");
        check("--data d", "nothing to listen on");
        check("--data d --tls-listen 0.0.0.0:1", "--tls-cert");
        check(
            "--data d --tls-listen 0.0.0.0:1 --tls-cert c --tls-key k",
            "",
        );
        check(
            "--data d --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0",
            "key",
        );
        check("--dev --virtual-clock", "--testing");
    }

    #[test]
    fn dev_listens_on_the_known_ports() {
        let args = Args::try_parse_from(["server", "--dev", "--listen", "127.0.0.1:0"]).unwrap();
        let config = config(&args).unwrap();
        assert_eq!(config.tcp.unwrap().port(), 0);
        assert_eq!(config.ws.unwrap().port(), 7401);
        assert_eq!(config.tls.unwrap().port(), 7402);
        assert_eq!(config.admin.unwrap().port(), 7480);
    }

    #[test]
    fn the_arguments_are_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
