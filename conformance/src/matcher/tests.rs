//! Matchers as data: a table, a body, and whether they fit.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;

use prost_reflect::DynamicMessage;

use super::*;
use crate::body::Body;
use crate::tree;

struct Named(HashMap<&'static str, Val>);

impl Scope for Named {
    fn lookup(&self, name: &str) -> Option<Val> {
        self.0.get(name).cloned()
    }
}

fn named() -> Named {
    Named(HashMap::from([
        ("p", Val::Int(7)),
        ("u.bob", Val::Text("bob".to_owned())),
    ]))
}

fn body(message: &str, text: &str) -> DynamicMessage {
    let message = crate::names::message(message).unwrap();
    Body::parse(message, tree::parse(text).unwrap())
        .unwrap()
        .build(&named())
        .unwrap()
}

/// `None` where it fits, otherwise where it does not.
fn mismatch_of(message: &str, sent: &str, matcher: &str, exact: bool) -> Option<String> {
    let sent = body(message, sent);
    let matcher = Matcher::parse(&sent.descriptor(), tree::parse(matcher).unwrap()).unwrap();
    let outer = named();
    let found = matcher.check(&sent, exact, &mut Binds::new(&outer));
    found
        .err()
        .map(|found| format!("{}: {} / {}", found.path, found.expected, found.got))
}

#[track_caller]
fn fits(message: &str, sent: &str, matcher: &str) {
    assert_eq!(mismatch_of(message, sent, matcher, false), None);
}

#[track_caller]
fn differs(message: &str, sent: &str, matcher: &str, expected: &str) {
    assert_eq!(
        mismatch_of(message, sent, matcher, false).as_deref(),
        Some(expected)
    );
}

#[test]
fn literals_and_variables_are_equal() {
    fits(
        "Message",
        "pos = 7\nto_user = 'bob'",
        "pos = '$p'\nto_user = '$u.bob'\npriority = 0",
    );
    differs("Message", "pos = 8", "pos = '$p'", "pos: 7 ($p) / 8");
    differs(
        "Message",
        "",
        "content = 'text:hi'",
        "content: text:hi / absent",
    );
}

#[test]
fn absent_and_zero_are_apart_where_the_field_is_optional() {
    fits("Message", "reply_to = 0", "reply_to = 0");
    differs("Message", "", "reply_to = 0", "reply_to: 0 / absent");
    fits("Message", "", "reply_to = { absent = true }");
    differs(
        "Message",
        "reply_to = 0",
        "reply_to = { absent = true }",
        "reply_to: absent / 0",
    );
}

#[test]
fn numbers_are_compared() {
    fits(
        "Message",
        "pos = 7",
        "pos = { ge = 7, le = '$p', gt = 6, lt = 8, between = [1, 7], distinct = ['$p+1'] }",
    );
    differs(
        "Message",
        "pos = 7",
        "pos = { gt = '$p' }",
        "pos: > 7 ($p) / 7",
    );
    differs(
        "Message",
        "pos = 7",
        "pos = { distinct = ['$p'] }",
        "pos: other than 7 / 7",
    );
    differs("Message", "", "pos = { gt = 0 }", "pos: > 0 / absent");
}

#[test]
fn lengths_and_beginnings_are_compared() {
    fits(
        "Message",
        "content = 'text:hello'",
        "content = { len = 5, min_len = 1, max_len = 5, prefix = 'text:he' }",
    );
    differs(
        "Message",
        "content = 'text:hello'",
        "content = { len = 4 }",
        "content: length = 4 (it is 5) / text:hello",
    );
}

#[test]
fn lists_match_item_by_item_or_in_any_order() {
    let sent = "devices = [{ agent = 'a', online = true }, { agent = 'b' }]";
    fits(
        "DeviceList",
        sent,
        "devices = [{ agent = 'a' }, { agent = 'b', online = false }]",
    );
    fits(
        "DeviceList",
        sent,
        "devices = { unordered = [{ agent = 'b' }, { agent = 'a' }], count = 2 }",
    );
    fits(
        "DeviceList",
        sent,
        "devices = { contains = [{ agent = 'b' }] }",
    );
    differs(
        "DeviceList",
        sent,
        "devices = [{ agent = 'a' }, { agent = 'c' }]",
        "devices[1].agent: \"c\" / \"b\"",
    );
    let shown = mismatch_of(
        "DeviceList",
        sent,
        "devices = { unordered = [{ agent = 'a' }] }",
        false,
    )
    .unwrap();
    assert!(
        shown.starts_with("devices: 1 items in any order"),
        "{shown}"
    );
}

#[test]
fn masks_are_compared_by_bits() {
    let sent = "my_permissions = ['SEND', 'LIST']";
    fits(
        "GroupInfo",
        sent,
        "my_permissions = { bits = ['SEND'], clear_bits = ['OWNER', 'ADMIN'] }",
    );
    differs(
        "GroupInfo",
        sent,
        "my_permissions = { bits = ['OWNER'] }",
        "my_permissions: bits set: 1024 / 5",
    );
}

#[test]
fn exact_leaves_nothing_unsaid() {
    let found = mismatch_of("Message", "pos = 7\npriority = 1", "pos = 7", true);
    assert_eq!(found.as_deref(), Some("priority: absent / 1"));
}

#[test]
fn what_is_bound_holds_from_the_next_frame_on() {
    let sent = body("Message", "pos = 9\nprev_pos = 7");
    let matcher = "prev_pos = '$p'\npos = { gt = '$p', bind = 'p' }";
    let matcher = Matcher::parse(&sent.descriptor(), tree::parse(matcher).unwrap()).unwrap();
    let outer = named();
    let mut binds = Binds::new(&outer);
    assert_eq!(matcher.check(&sent, false, &mut binds), Ok(()));
    assert_eq!(
        binds.into_new(),
        HashMap::from([("p".to_owned(), Val::Int(9))])
    );
}

#[test]
fn a_list_stands_for_its_values() {
    let crowd = Val::List(vec![Val::Text("a".to_owned()), Val::Text("b".to_owned())]);
    let scope = Named(HashMap::from([("crowd", crowd)]));
    let text = "members = [{ user = '$crowd', permissions = ['RECV'] }, { user = 'c' }]";
    let body = Body::parse(
        crate::names::message("GroupAdd").unwrap(),
        tree::parse(text).unwrap(),
    )
    .unwrap();
    let built = body.build(&scope).unwrap();
    let shown = show_message(&built);
    assert_eq!(
        shown,
        r#"{ members = [{ user = "a", permissions = 2 }, { user = "b", permissions = 2 }, { user = "c" }] }"#
    );
}
