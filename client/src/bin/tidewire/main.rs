//! `tidewire`: sends a message, listens, shows groups, devices and the history, from a terminal.

mod account;
mod args;
mod show;

use std::process::ExitCode;
use std::time::Duration;

use account::Account;
use args::{Args, Command, Listen, Send};
use clap::Parser;
use show::Show;
use tidewire_client::{
    BuildError, Client, ConnectError, Conversation, Entry, Error, Event, Events, HistoryQuery,
    Message, NewGroup, Receipts, Stop,
};
use tokio::time::timeout;

/// Why the command failed: what is said, and the exit code.
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// The server or the network said no.
    fn refused(error: impl ToString) -> Failure {
        Failure {
            text: error.to_string(),
            code: 1,
        }
    }

    /// The arguments make no sense.
    fn usage(error: impl ToString) -> Failure {
        Failure {
            text: error.to_string(),
            code: 2,
        }
    }

    fn too_late(what: &str, seconds: u64) -> Failure {
        Failure {
            text: format!("{what} within {seconds} s"),
            code: 3,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::refused(error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        match error {
            ConnectError::Build(BuildError::Url { .. } | BuildError::Option(_)) => {
                Failure::usage(error)
            }
            error => Failure::refused(error),
        }
    }
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help goes to standard output and is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let show = Show::new(args.json);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(args, &show)),
        Err(error) => Err(Failure::refused(error)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            show.failure(&failure.text);
            ExitCode::from(failure.code)
        }
    }
}

async fn run(args: Args, show: &Show) -> Result<(), Failure> {
    let account = Account::find(&args)?;
    let limit = Duration::from_secs(args.timeout);
    let connecting = timeout(limit, account.connect());
    let (client, events) = connecting
        .await
        .map_err(|_| Failure::too_late("no session", args.timeout))??;
    let done = match args.command {
        Command::Send(send) => {
            // Nobody looks at what else comes.
            drop(events);
            let sending = timeout(limit, self::send(&client, send, show));
            sending.await.unwrap_or_else(|_| {
                Err(Failure::too_late(
                    "the server did not take it",
                    args.timeout,
                ))
            })
        }
        Command::Listen(listen) => self::listen(&client, events, &listen, show).await,
        Command::Groups => client
            .groups()
            .await
            .map(|groups| show.groups(&groups))
            .map_err(Failure::from),
        Command::Group { name, members } => {
            let group = members
                .into_iter()
                .fold(NewGroup::named(name), NewGroup::member);
            client
                .create_group(group)
                .await
                .map(|group| show.groups(&[group]))
                .map_err(Failure::from)
        }
        Command::Devices => client
            .devices()
            .await
            .map(|devices| show.devices(&devices))
            .map_err(Failure::from),
        Command::History { with, limit } => {
            let conversation = with.map(Conversation::user);
            let query = HistoryQuery {
                conversation,
                limit,
                before: None,
            };
            let history = client.history(query).await.map_err(Failure::refused)?;
            history
                .iter()
                .rev()
                .for_each(|found| show.entry(&found.entry));
            Ok(())
        }
    };
    if account.is_for_once() {
        // Nobody comes back as this device, and a user has room for only so many.
        let _ = timeout(limit, client.logout(true)).await;
    }
    client.close().await;
    done
}

async fn send(client: &Client, send: Send, show: &Show) -> Result<(), Failure> {
    let text = match send.text {
        Some(text) => text,
        None => std::io::read_to_string(std::io::stdin()).map_err(Failure::usage)?,
    };
    let mut message = Message::text(text).receipts(if send.receipts {
        Receipts::All
    } else {
        Receipts::None
    });
    message = match (send.to, send.group) {
        (Some(user), None) => message.to_user(user),
        (None, Some(group)) => message.to_group(tidewire_client::GroupId(group)),
        _ => return Err(Failure::usage("say either --to or --group")),
    };
    if let Some(seconds) = send.ttl {
        message = message.ttl(Duration::from_secs(seconds));
    }
    if send.online_only {
        message = message.online_only();
    }
    let receipt = client.send(message).await?;
    show.receipt(&receipt);
    match receipt.code {
        Some(code) => Err(Failure::refused(code)),
        None => Ok(()),
    }
}

/// Shows what comes until it is interrupted, or as many messages came as were asked for.
async fn listen(
    client: &Client,
    mut events: Events,
    listen: &Listen,
    show: &Show,
) -> Result<(), Failure> {
    let mut left = listen.count.unwrap_or(u64::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = events.next() => event,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(event) = event else {
            return Err(Failure::refused(Stop::Closed));
        };
        show.event(&event);
        match event {
            Event::Entry(Entry::Message(message)) => {
                left -= 1;
                if listen.mark {
                    let conversation = message.conversation().clone();
                    // In the background: the answer comes between the events that this loop takes.
                    let (client, id) = (client.clone(), message.id());
                    tokio::spawn(async move { client.mark_read(conversation, id, true).await });
                }
            }
            Event::Disconnected {
                reason: Some(reason),
                will_reconnect: false,
            } => {
                return Err(Failure::refused(reason));
            }
            Event::TokenNeeded { .. } => return Err(Failure::refused("another token is needed")),
            _ => {}
        }
    }
    // What was taken is acknowledged before the client ends.
    client.fence().await.or_else(|error| match error {
        Error::NotConnected => Ok(()),
        error => Err(error.into()),
    })
}
