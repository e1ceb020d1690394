//! The admin API as an operator sees it.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Server, folder, message};
use serde_json::{Value, json};
use tidewire_codec::{Code, FrameType};

#[test]
fn only_with_the_key() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    for key in [None, Some("wrong")] {
        let (status, answer) = server.http("GET", "/v1/stats", "", key);
        assert_eq!(
            (status, answer["error"]["code"].as_str()),
            (401, Some("unauthorized"))
        );
    }
    let (status, _) = server.http("GET", "/healthz", "", None);
    assert_eq!(status, 200);
    let (status, document) = server.http("GET", "/v1/openapi.json", "", None);
    assert_eq!((status, document["openapi"].as_str()), (200, Some("3.1.0")));
}

#[test]
fn every_documented_operation_is_there_and_no_testing_without_the_flag() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let (_, document) = server.http("GET", "/v1/openapi.json", "", None);
    for (path, methods) in document["paths"].as_object().unwrap() {
        let for_tests = path.starts_with("/v1/testing/");
        let path = path.replace("{user}", "nobody").replace("{group}", "1");
        for method in methods.as_object().unwrap().keys() {
            let (status, answer) = server.admin(&method.to_uppercase(), &path, Value::Null);
            let unknown = answer["error"]["message"] == "there is no such path";
            assert_eq!(unknown, for_tests, "{method} {path}: {status} {answer}");
            assert_ne!(status, 405, "{method} {path}");
        }
    }
}

#[test]
fn users_and_tokens() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    assert_eq!(server.admin("PUT", "/v1/users/dave", json!({})).0, 201);
    assert_eq!(server.admin("PUT", "/v1/users/dave", json!({})).0, 200);
    let (_, users) = server.admin("GET", "/v1/users?after=bob&limit=2", json!({}));
    assert_eq!(users, json!({ "users": ["carol", "dave"] }));
    let token = server.new_token("dave");
    let mut dave = server.connect();
    dave.login(&token, "dave");
    dave.expect(FrameType::SYNCED);
    assert_eq!(server.admin("DELETE", "/v1/users/dave", json!({})).0, 204);
    dave.expect_goaway(Code::USER_DELETED);
    assert_eq!(server.admin("DELETE", "/v1/users/dave", json!({})).0, 404);
    assert_eq!(
        server.admin("POST", "/v1/users/dave/tokens", json!({})).0,
        404
    );
    assert_eq!(
        server
            .admin("DELETE", "/v1/tokens", json!({ "token": "twt_unknown" }))
            .0,
        404
    );
}

#[test]
fn errors_name_the_field() {
    let data = folder();
    let server = Server::start(data.path(), &["--testing"]);
    let long = format!("/v1/users/{}", "x".repeat(65));
    let cases = [
        ("PUT", long.as_str(), json!({}), "user"),
        (
            "POST",
            "/v1/users/alice/tokens",
            json!({ "ttl_ms": "soon" }),
            "ttl_ms",
        ),
        (
            "POST",
            "/v1/users/alice/tokens",
            json!({ "ttl_ms": 0 }),
            "ttl_ms",
        ),
        (
            "DELETE",
            "/v1/tokens",
            json!({ "token_id": "xyz" }),
            "token_id",
        ),
        (
            "POST",
            "/v1/groups",
            json!({ "name": "", "members": [{ "user": "alice" }] }),
            "name",
        ),
        (
            "POST",
            "/v1/groups",
            json!({ "name": "x", "members": [{ "user": 5 }] }),
            "members[0].user",
        ),
        (
            "POST",
            "/v1/groups",
            json!({ "name": "x", "info": "%" }),
            "info",
        ),
        ("GET", "/v1/users?limit=0", json!({}), "limit"),
        (
            "POST",
            "/v1/testing/clock",
            json!({ "advance_ms": -1 }),
            "advance_ms",
        ),
    ];
    for (method, path, body, field) in cases {
        let (status, answer) = server.admin(method, path, body);
        assert_eq!(
            (status, answer["error"]["field"].as_str()),
            (400, Some(field)),
            "{method} {path}: {answer}"
        );
    }
    let (status, answer) = server.admin("POST", "/v1/testing/clock", json!({ "advance_ms": 1 }));
    assert_eq!(
        (status, answer["error"]["code"].as_str()),
        (409, Some("real_time"))
    );
}

#[test]
fn groups() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut alice = server.client("alice");
    let body = json!({ "name": "team", "members": [{ "user": "alice" }, { "user": "bob" }], "info": "aGk=" });
    let (status, group) = server.admin("POST", "/v1/groups", body);
    assert_eq!(
        (status, &group["member_count"], &group["info"]),
        (201, &json!(2), &json!("aGk=")),
        "{group}"
    );
    alice.expect(FrameType::GROUP_EVENT);
    let path = format!("/v1/groups/{}", group["id"].as_str().unwrap());
    let (status, changed) = server.admin(
        "PATCH",
        &path,
        json!({ "name": "crew", "if_rev": group["rev"] }),
    );
    assert_eq!(
        (status, &changed["name"], &changed["info"]),
        (200, &json!("crew"), &json!("aGk=")),
        "{changed}"
    );
    assert_eq!(
        server
            .admin(
                "PATCH",
                &path,
                json!({ "name": "late", "if_rev": group["rev"] })
            )
            .0,
        409
    );
    let members = format!("{path}/members");
    assert_eq!(
        server
            .admin(
                "POST",
                &members,
                json!({ "members": [{ "user": "carol" }] })
            )
            .0,
        200
    );
    assert_eq!(
        server
            .admin(
                "PUT",
                &format!("{members}/carol"),
                json!({ "permissions": 3 })
            )
            .0,
        200
    );
    assert_eq!(
        server
            .admin("DELETE", &format!("{members}/bob"), json!({}))
            .0,
        204
    );
    let (_, now) = server.admin("GET", &path, json!({}));
    assert_eq!(now["members"].as_array().unwrap().len(), 2, "{now}");
    assert_eq!(server.admin("DELETE", &path, json!({})).0, 204);
    assert_eq!(server.admin("GET", &path, json!({})).0, 404);
}

#[test]
fn stats_count() {
    let data = folder();
    let server = Server::start(data.path(), &[]);
    let mut alice = server.client("alice");
    alice.request(message("bob", 1, "x"));
    alice.expect(FrameType::SEND_ACK);
    let (_, stats) = server.admin("GET", "/v1/stats", json!({}));
    for (name, count) in [
        ("users", 3),
        ("sessions", 1),
        ("connections", 1),
        ("groups", 0),
        ("undelivered", 1),
    ] {
        assert_eq!(stats[name], json!(count), "{name}: {stats}");
    }
}

#[test]
fn logs_hold_no_secrets() {
    let data = folder();
    let (server, log) =
        Server::start_logging(data.path(), &["--log", "trace", "--log-format", "json"]);
    let mut alice = server.client("alice");
    alice.send("bob", 1, "a very secret content");
    let mut bob = server.client_with_backlog("bob");
    bob.expect_message("a very secret content");
    let tokens = [server.token("alice"), server.token("bob")];
    server.terminate();
    let log = log.join().unwrap();
    assert!(log.contains("stopping on SIGTERM"));
    //= spec/04-security.md#security
    //= type=test
    //# [SEC-004] Tokens and contents MUST NOT appear in logs.
    assert!(!log.contains("secret content"));
    for token in tokens {
        assert!(!log.contains(&token[4..]));
    }
}
