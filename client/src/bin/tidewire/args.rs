//! The command line.

use std::path::PathBuf;

use clap::{Args as Flags, Parser, Subcommand};

/// A Tidewire client for the terminal
///
/// With a reference server of its own (`tidewire-server --dev`) it needs no more than a user: `tidewire listen --as bob`.
#[derive(Debug, Parser)]
#[command(version, args_override_self = true)]
pub(crate) struct Args {
    /// The user, where the token comes from a users file
    #[arg(
        long = "as",
        value_name = "USER",
        global = true,
        default_value = "alice"
    )]
    pub(crate) user: String,
    /// tls://host:port, wss://host/path, or on this machine tcp://host:port, ws://host:port
    #[arg(long, value_name = "URL", env = "TIDEWIRE_URL", global = true)]
    pub(crate) url: Option<String>,
    /// The credential
    #[arg(
        long,
        value_name = "TOKEN",
        env = "TIDEWIRE_TOKEN",
        hide_env_values = true,
        global = true
    )]
    pub(crate) token: Option<String>,
    /// Where the server wrote addresses and tokens
    #[arg(
        long,
        value_name = "FILE",
        default_value = ".tidewire-dev/users.toml",
        global = true
    )]
    pub(crate) users: PathBuf,
    /// Certificates to trust, in PEM
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca: Option<PathBuf>,
    /// The folder of this device; without it every call is a new device that forgets itself at the end
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) store: Option<PathBuf>,
    /// Seconds to wait for the server
    #[arg(long, value_name = "SECONDS", default_value_t = 15, global = true)]
    pub(crate) timeout: u64,
    /// One JSON object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send a text; returns once the server has it for good
    Send(Send),
    /// Show what comes, until interrupted
    Listen(Listen),
    /// Show the groups of the user
    Groups,
    /// Make a group
    Group {
        /// Its name
        name: String,
        /// Its members, besides the user
        members: Vec<String>,
    },
    /// Show the devices of the user
    Devices,
    /// Show what the device stored, oldest first; needs --store
    History {
        /// Only with this user
        #[arg(long, value_name = "USER")]
        with: Option<String>,
        /// The newest so many
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
    },
}

#[derive(Debug, Flags)]
pub(crate) struct Send {
    /// To this user
    #[arg(
        long,
        value_name = "USER",
        conflicts_with = "group",
        required_unless_present = "group"
    )]
    pub(crate) to: Option<String>,
    /// To this group
    #[arg(long, value_name = "ID")]
    pub(crate) group: Option<u64>,
    /// Seconds that it lives
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ttl: Option<u64>,
    /// Ask for receipts; `listen` shows them
    #[arg(long)]
    pub(crate) receipts: bool,
    /// Only for devices that are online now
    #[arg(long)]
    pub(crate) online_only: bool,
    /// The text; from standard input if absent
    pub(crate) text: Option<String>,
}

#[derive(Debug, Flags)]
pub(crate) struct Listen {
    /// End after so many messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,
    /// Mark each message as read, and tell its sender
    #[arg(long)]
    pub(crate) mark: bool,
}
