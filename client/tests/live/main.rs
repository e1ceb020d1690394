//! The client against the reference server, over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on has failed"
)]

mod command;
mod credentials;
mod server;

use std::time::Duration;

use bytes::Bytes;
use server::{PATIENCE, Server, Wire, message, synced, until};
use tidewire_client::{
    Client, Code, Conversation, Entry, Error, Event, GroupChanges, HistoryQuery, Member, Message,
    MessageState, NewGroup, Permissions, Pin, Receipts, Stop, proto,
};
use tokio::time::timeout;

fn text(text: &str) -> Message {
    Message::text(text).to_user("bob").receipts(Receipts::All)
}

#[tokio::test]
async fn a_message_goes_there_and_its_states_come_back() {
    let server = Server::start();
    let (alice, mut of_alice) = server.client("alice").connect().await.unwrap();
    let (bob, mut of_bob) = server.client("bob").connect().await.unwrap();
    let receipt = alice.send(text("hello").label("first")).await.unwrap();
    assert_eq!(
        (receipt.label.as_str(), receipt.duplicate),
        ("first", false)
    );
    let got = message(&mut of_bob).await;
    assert_eq!(
        (got.text(), got.from(), got.id()),
        (Some("hello"), "alice", receipt.id)
    );
    assert_eq!(got.conversation(), &Conversation::user("alice"));
    let state_is = |wanted: MessageState| {
        move |event| match event {
            Event::Entry(Entry::Status(status)) => {
                let told = status.messages().iter().find(|told| told.state == wanted)?;
                assert_eq!(told.label.as_deref(), Some("first"));
                Some(())
            }
            _ => None,
        }
    };
    until(&mut of_alice, state_is(MessageState::Delivered)).await;
    bob.mark_read(Conversation::user("alice"), got.id(), true)
        .await
        .unwrap();
    until(&mut of_alice, state_is(MessageState::Read)).await;
    let state = alice
        .message_state(Conversation::user("bob"), receipt.id, None)
        .await
        .unwrap();
    assert_eq!(state, Some(MessageState::Read));
    let status = alice
        .status(Conversation::user("bob"), receipt.id)
        .await
        .unwrap();
    assert_eq!((status.total, status.read), (1, 1));
    let refused = alice
        .send(Message::text("x").to_user("nobody"))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Some(Code::UNKNOWN_USER));
    assert!(matches!(
        alice.send(Message::text("x")).await,
        Err(Error::Invalid(_))
    ));
    assert_eq!(bob.devices().await.unwrap().len(), 1);
}

#[tokio::test]
async fn over_tls_and_websocket() {
    let server = Server::start();
    let (alice, _) = server
        .client_at(&server.url("tls"), "alice")
        .ca(server.ca())
        .server_name("localhost")
        .connect()
        .await
        .unwrap();
    let (_bob, mut of_bob) = server
        .client_at(&server.url("ws"), "bob")
        .connect()
        .await
        .unwrap();
    // More than a read and a WebSocket message hold at once.
    let long = "x".repeat(60_000);
    for number in 0..5 {
        alice.send(text(&format!("{number}{long}"))).await.unwrap();
    }
    for number in 0..5 {
        let got = message(&mut of_bob).await;
        assert!(got.text().unwrap().starts_with(&number.to_string()));
    }
    // Nobody vouches for the certificate of a development server.
    let strangers = Client::builder(&server.url("tls"))
        .token("t")
        .start()
        .await
        .unwrap();
    let waiting = timeout(Duration::from_millis(300), strangers.0.connected()).await;
    assert!(waiting.is_err(), "no session without trust");
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_over_cuts_and_restarts_of_the_server() {
    let server = Server::start();
    let wire = Wire::to(&server).await;
    let (alice, of_alice) = server
        .client_at(&wire.url, "alice")
        .connect()
        .await
        .unwrap();
    drop(of_alice);
    let (_bob, mut of_bob) = server.client_at(&wire.url, "bob").connect().await.unwrap();
    const COUNT: usize = 60;
    let sending = tokio::spawn(async move {
        let mut queued = Vec::new();
        for number in 0..COUNT {
            queued.push(alice.enqueue(text(&number.to_string())).await.unwrap());
        }
        for message in queued {
            message.accepted().await.unwrap();
        }
        alice
    });
    let mut got = Vec::new();
    while got.len() < COUNT {
        got.push(message(&mut of_bob).await.text().unwrap().to_owned());
        match got.len() {
            5 | 20 => wire.cut(),
            12 => server.restart(),
            _ => {}
        }
    }
    let alice = timeout(PATIENCE, sending).await.unwrap().unwrap();
    let wanted: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    assert_eq!(got, wanted);
    assert!(alice.state().await.unwrap().outbox.is_empty());
}

#[tokio::test]
async fn the_outbox_and_the_history_survive_the_app() {
    let server = Server::start();
    let wire = Wire::to(&server).await;
    let (alice, mut of_alice) = server
        .client_at(&wire.url, "alice")
        .connect()
        .await
        .unwrap();
    wire.down();
    until(&mut of_alice, |event| {
        matches!(event, Event::Disconnected { .. }).then_some(())
    })
    .await;
    let late = alice
        .enqueue(text("written offline").label("late"))
        .await
        .unwrap();
    assert_eq!(alice.state().await.unwrap().outbox, ["late"]);
    alice.close().await;
    assert_eq!(late.accepted().await, Err(Error::Stopped(Stop::Closed)));
    wire.up();
    let (alice, mut of_alice) = server
        .client_at(&wire.url, "alice")
        .connect()
        .await
        .unwrap();
    let label = until(&mut of_alice, |event| match event {
        Event::Accepted { receipt, .. } => Some(receipt.label),
        _ => None,
    })
    .await;
    assert_eq!(label, "late");
    let history = alice.history(HistoryQuery::default()).await.unwrap();
    assert!(
        matches!(&history[0].entry, Entry::Message(sent) if sent.text() == Some("written offline"))
    );
    // The other side gets it, also after it was away, and once.
    let (bob, mut of_bob) = server.client("bob").connect().await.unwrap();
    assert_eq!(message(&mut of_bob).await.from(), "alice");
    // What the fence came behind was taken, and is acknowledged before the end.
    until(&mut of_bob, |event| (event == Event::Synced).then_some(())).await;
    bob.fence().await.unwrap();
    bob.close().await;
    let (bob, mut of_bob) = server.client("bob").connect().await.unwrap();
    until(&mut of_bob, |event| match event {
        Event::Entry(entry) => panic!("{entry:?} once more"),
        event => (event == Event::Synced).then_some(()),
    })
    .await;
    let query = HistoryQuery {
        conversation: Some(Conversation::user("alice")),
        ..HistoryQuery::default()
    };
    assert_eq!(bob.history(query).await.unwrap().len(), 1);
}

#[tokio::test]
async fn groups() {
    let server = Server::start();
    let (alice, of_alice) = server.client("alice").connect().await.unwrap();
    drop(of_alice);
    let (bob, mut of_bob) = server.client("bob").connect().await.unwrap();
    let (carol, of_carol) = server.client("carol").connect().await.unwrap();
    drop(of_carol);
    let team = alice
        .create_group(NewGroup::named("team").member("bob"))
        .await
        .unwrap();
    let change = |wanted| {
        move |event| match event {
            Event::Entry(Entry::Group(group)) => (group.change() == wanted).then_some(group),
            _ => None,
        }
    };
    let created = until(&mut of_bob, change(proto::GroupChange::Created)).await;
    assert_eq!((created.group(), created.name()), (team.id(), Some("team")));
    let group = alice.group(team.id());
    let renamed = group
        .update(GroupChanges::new().name("crew"))
        .await
        .unwrap();
    assert_eq!((renamed.rev(), renamed.name()), (2, "crew"));
    let conflict = group
        .if_rev(1)
        .update(GroupChanges::new().name("gang"))
        .await
        .unwrap_err();
    assert_eq!(conflict.code(), Some(Code::REVISION_CONFLICT));
    group
        .set_pin(Some(Pin::new("1234", Permissions::DEFAULT).uses(1)))
        .await
        .unwrap();
    let joined = carol.group(team.id()).join("1234").await.unwrap();
    assert_eq!(joined.member_count(), 3);
    alice
        .send(Message::text("all").to_group(team.id()))
        .await
        .unwrap();
    assert_eq!(
        message(&mut of_bob).await.conversation(),
        &Conversation::Group(team.id())
    );
    group
        .set_permissions("bob", Permissions::DEFAULT | Permissions::MODERATE)
        .await
        .unwrap();
    group.remove(["carol"]).await.unwrap();
    group
        .add([Member::new("carol").with(Permissions::RECV)])
        .await
        .unwrap();
    assert_eq!(group.get().await.unwrap().members().count(), 3);
    carol.group(team.id()).leave().await.unwrap();
    assert_eq!(
        bob.groups()
            .await
            .unwrap()
            .iter()
            .map(|group| group.name().to_owned())
            .collect::<Vec<_>>(),
        ["crew"]
    );
    group.delete().await.unwrap();
    until(&mut of_bob, change(proto::GroupChange::Deleted)).await;
    assert!(bob.groups().await.unwrap().is_empty());
}

#[tokio::test]
async fn lives_end() {
    let server = Server::start();
    let (alice, mut of_alice) = server.client("alice").connect().await.unwrap();
    synced(&mut of_alice).await;
    let short = alice
        .send(text("short").ttl(Duration::from_millis(50)).label("short"))
        .await
        .unwrap();
    let ended = until(&mut of_alice, |event| match event {
        Event::Entry(Entry::Expired(expired)) => Some(expired),
        _ => None,
    })
    .await;
    assert_eq!((ended.id(), ended.undelivered()), (short.id, 1));
    assert_eq!(
        ended
            .message()
            .and_then(|told| told.label.clone())
            .as_deref(),
        Some("short")
    );
    let long = alice.send(text("long")).await.unwrap();
    alice
        .set_expiry(
            Conversation::user("bob"),
            long.id,
            Duration::from_millis(10),
        )
        .await
        .unwrap();
    until(&mut of_alice, |event| {
        matches!(event, Event::Entry(Entry::Expired(expired)) if expired.id() == long.id)
            .then_some(())
    })
    .await;
    let online = alice
        .send(text("now or never").online_only())
        .await
        .unwrap();
    assert_eq!(
        (online.state, online.code),
        (MessageState::Failed, Some(Code::RECIPIENT_OFFLINE))
    );
}

#[tokio::test]
async fn an_app_that_takes_nothing_stops_the_log_and_not_the_session() {
    let server = Server::start();
    let (alice, of_alice) = server.client("alice").connect().await.unwrap();
    drop(of_alice);
    let (bob, mut of_bob) = server.client("bob").window(4).connect().await.unwrap();
    const COUNT: usize = 100;
    for number in 0..COUNT {
        alice.send(text(&number.to_string())).await.unwrap();
    }
    // Requests are answered all the while.
    assert_eq!(bob.devices().await.unwrap().len(), 1);
    assert!(
        bob.state().await.unwrap().pos.0 < 40,
        "the server waits for the app"
    );
    for number in 0..COUNT {
        assert_eq!(
            message(&mut of_bob).await.text(),
            Some(number.to_string().as_str())
        );
    }
}

#[tokio::test]
async fn large_contents_are_fetched_in_parts() {
    let server = Server::start();
    let (alice, of_alice) = server.client("alice").connect().await.unwrap();
    drop(of_alice);
    let (bob, mut of_bob) = server
        .client("bob")
        .max_frame(16_384)
        .connect()
        .await
        .unwrap();
    let content: Bytes = (0..100_000_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect();
    alice
        .send(Message::bytes(content.clone()).to_user("bob"))
        .await
        .unwrap();
    let got = message(&mut of_bob).await;
    assert!(got.content_omitted() && got.content().is_empty());
    assert_eq!(bob.content(got.pos().unwrap()).await.unwrap(), content);
}
