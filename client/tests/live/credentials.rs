//! Credentials that end, and clients that are turned away.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tidewire_client::{Client, Code, ConnectError, Error, Event, Stop, TokenError};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::server::{PATIENCE, Server, synced, until};
use crate::text;

#[tokio::test]
async fn credentials_are_replaced_when_they_are_refused() {
    let server = Server::start();
    let token = server.new_token("alice", &json!({}));
    let (alice, mut of_alice) = Client::builder(&server.url("tcp"))
        .token(token.clone())
        .store(server.store("alice"))
        .connect()
        .await
        .unwrap();
    assert_eq!(
        server
            .admin("DELETE", "/v1/tokens", &json!({ "token": token }))
            .0,
        204
    );
    let code = until(&mut of_alice, |event| match event {
        Event::TokenNeeded { code } => code,
        _ => None,
    })
    .await;
    assert_eq!(code, Code::TOKEN_REVOKED);
    assert!(matches!(
        alice.connected().await,
        Err(ConnectError::Credential(_))
    ));
    alice.set_token(server.token("alice")).await.unwrap();
    until(&mut of_alice, |event| {
        matches!(event, Event::Connected { .. }).then_some(())
    })
    .await;
    alice
        .reauth(server.new_token("alice", &json!({})))
        .await
        .unwrap();
    let others = alice.reauth(server.token("bob")).await.unwrap_err();
    assert_eq!(others.code(), Some(Code::BAD_TOKEN));
}

#[tokio::test]
async fn a_source_of_credentials_is_asked_before_the_end() {
    let server = Server::start();
    let first = server.new_token("alice", &json!({ "ttl_ms": 2_000 }));
    let (fresh, asked) = (server.token("alice"), Arc::new(Notify::new()));
    let asking = Arc::clone(&asked);
    let source = move || {
        asking.notify_one();
        let fresh = fresh.clone();
        async move { Ok::<_, TokenError>(Bytes::from(fresh)) }
    };
    let builder = Client::builder(&server.url("tcp"))
        .token(first.clone())
        .token_source(source);
    let (alice, mut of_alice) = builder.connect().await.unwrap();
    synced(&mut of_alice).await;
    timeout(PATIENCE, asked.notified()).await.unwrap();
    // By the end of the first fence the answer was sent to the server, by the end of the second the server took it.
    alice.fence_with(&mut of_alice).await;
    alice.fence_with(&mut of_alice).await;
    assert_eq!(
        server
            .admin("DELETE", "/v1/tokens", &json!({ "token": first }))
            .0,
        204
    );
    alice.fence_with(&mut of_alice).await;
    assert!(
        alice.state().await.unwrap().connected,
        "the session lives by the fresh one"
    );
    assert_eq!(alice.state().await.unwrap().attempts, 1);
}

/// A fence by somebody who takes the events.
trait FenceWith {
    async fn fence_with(&self, events: &mut tidewire_client::Events);
}

impl FenceWith for Client {
    async fn fence_with(&self, events: &mut tidewire_client::Events) {
        let fence = self.fence();
        tokio::pin!(fence);
        loop {
            tokio::select! {
                done = &mut fence => return done.unwrap(),
                event = events.next() => assert!(event.is_some()),
            }
        }
    }
}

#[tokio::test]
async fn whoever_is_turned_away_stays_away() {
    let server = Server::start();
    let (alice, mut of_alice) = server.client("alice").connect().await.unwrap();
    alice.logout(false).await.unwrap();
    let will_reconnect = until(&mut of_alice, |event| match event {
        Event::Disconnected {
            reason,
            will_reconnect,
        } => {
            assert_eq!(reason.unwrap().code, Code::LOGGED_OUT);
            Some(will_reconnect)
        }
        _ => None,
    })
    .await;
    assert!(!will_reconnect);
    assert!(matches!(
        alice.send(text("late")).await,
        Err(Error::Stopped(Stop::Goaway(_)))
    ));
    let bad = Client::connect(&server.url("tcp"), "no such token")
        .await
        .unwrap_err();
    assert!(
        matches!(bad, ConnectError::Credential(refusal) if refusal.code == Code::TOKEN_INVALID)
    );
    for (url, token) in [
        ("ftp://x", "t"),
        ("tcp://10.0.0.1:1", "t"),
        (server.url("tcp").as_str(), ""),
    ] {
        assert!(
            matches!(
                Client::connect(url, token).await,
                Err(ConnectError::Build(_))
            ),
            "{url}"
        );
    }
}
