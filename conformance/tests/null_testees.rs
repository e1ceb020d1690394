//! The proof that the suite can fail: peers that do nothing right pass no case at all.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use tidewire_conformance::null::{self, NullKind, NullServer};
use tidewire_conformance::{Requirements, RunOptions, Sessions, run};

/// Plays every case.
fn check(kind: NullKind) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let requirements = Requirements::read(&root.join("spec")).unwrap();
    let sessions = Sessions::read(&root.join("fixtures"), &requirements).unwrap();
    let options = RunOptions {
        seed: 7,
        ..null::options()
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let report = runtime.block_on(async {
        let server = NullServer::start(kind).await.unwrap();
        run(&sessions, &requirements, server.testees(), &options, |_| ())
            .await
            .unwrap()
    });
    assert_eq!(report.passed(), Vec::<&str>::new(), "{kind:?} passes these");
    let for_servers = sessions.iter().filter(|session| !session.is_client());
    let for_servers = for_servers.count();
    assert!(
        report.executed() * 10 > for_servers * 9,
        "{} of {for_servers} played",
        report.executed()
    );
    assert_ne!(report.exit_code(), 0);
}

macro_rules! null_testees {
    ($($name:ident: $kind:ident;)*) => {
        $(
            #[test]
            fn $name() {
                check(NullKind::$kind);
            }
        )*

        #[test]
        fn every_kind_is_tried() {
            assert_eq!(NullKind::ALL.to_vec(), [$(NullKind::$kind),*]);
        }
    };
}

null_testees! {
    accept_and_close: AcceptAndClose;
    mute: Mute;
    preface_then_close: PrefaceThenClose;
    login_then_ignore: LoginThenIgnore;
    ack_everything: AckEverything;
    echo: Echo;
    random_bytes: RandomBytes;
    slow_drip: SlowDrip;
    replay: Replay;
    goaway_always: GoawayAlways;
}
