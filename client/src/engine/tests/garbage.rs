//! Whatever a server sends, and whenever the line is cut: no panic, no unbounded queue, no broken promise.

use tidewire_codec::grease::Grease;
use tidewire_codec::{Flags, FrameType, RawFrame};

use super::*;

/// Bytes that are no body at all, or nearly one.
fn body(random: &mut Grease) -> Bytes {
    let len = random.next_u64() % 24;
    (0..len).map(|_| (random.next_u64() & 0x3f) as u8).collect()
}

#[test]
fn garbage_ends_at_most_the_client() {
    for seed in 0..300 {
        let mut random = Grease::new(seed);
        let mut world = World::live(Config {
            grease: true,
            ..config()
        });
        for _ in 0..60 {
            let pick = random.next_u64();
            let count = FrameType::ALL.len() + 1;
            let known = FrameType::ALL.get(pick as usize % count).copied();
            world.frame(RawFrame {
                flags: Flags((random.next_u64() & 0x87) as u8),
                frame_type: known.unwrap_or(FrameType(0x3a7a)),
                reference: (random.next_u64() % 4) as u32,
                body: body(&mut random),
            });
            match random.next_u64() % 8 {
                0 => drop(world.send(hello())),
                1 => drop(world.events()),
                2 => world.wait(random.next_u64() % 40_000),
                3 if world.is_open => world.cut(),
                _ => {}
            }
            if world.dials > 1 && !world.is_open {
                world.wait(120_000);
                if matches!(world.engine.phase, crate::engine::Phase::Dialing { .. }) {
                    world.log_in(resumed());
                }
            }
        }
    }
}

/// A server that takes each message once, over a line that is cut at random, with answers that are lost.
#[test]
fn every_message_is_accepted_once_whatever_is_cut() {
    for seed in 0..200 {
        let mut random = Grease::new(seed);
        let mut world = World::new(config());
        let mut taken: Vec<Bytes> = Vec::new();
        let mut outcomes = Vec::new();
        for round in 0..40 {
            if matches!(world.engine.phase, crate::engine::Phase::Dialing { .. }) {
                world.log_in(if world.engine.position.is_some() {
                    resumed()
                } else {
                    login_ok()
                });
                world.synced();
            }
            if round < 20 {
                outcomes.push(world.send(hello()));
            }
            while let Some(frame) = world.sent.pop_front() {
                let Frame::Send(send) = frame.decode().unwrap() else {
                    continue;
                };
                let known = taken.iter().position(|key| *key == send.idem);
                if known.is_none() {
                    taken.push(send.idem.clone());
                }
                let id = known.unwrap_or(taken.len() - 1) as u64 + 1;
                // The answer may be lost with the line.
                if random.next_u64().is_multiple_of(3) && round < 30 {
                    world.cut();
                    break;
                }
                world.reply(
                    frame.reference,
                    proto::SendAck {
                        duplicate: known.is_some(),
                        ..ack(id)
                    },
                );
            }
            if random.next_u64().is_multiple_of(4) {
                // The app is killed; nobody waits for what it had asked.
                let (store, now) = (world.store, world.now);
                world = World::from_store(config(), store, now);
            }
            world.events();
            world.wait(100_000);
        }
        assert_eq!(taken.len(), 20, "seed {seed}");
        assert_eq!(world.engine.outbox.len(), 0, "seed {seed}");
    }
}

/// What the module promises: whoever brings time, bytes and storage brings all of it.
#[test]
fn the_engine_touches_nothing_outside() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = std::fs::read_dir(folder.join("engine")).unwrap();
    let files = files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file());
    let mut looked_at = 0;
    for path in files.chain([
        folder.join("engine.rs"),
        folder.join("tracker.rs"),
        folder.join("entry.rs"),
    ]) {
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for outside in [
            "tokio::",
            "std::fs",
            "std::net",
            "std::io",
            "SystemTime",
            "Instant",
            "getrandom",
            "spawn",
        ] {
            assert!(!text.contains(outside), "{} has {outside}", path.display());
        }
        looked_at += 1;
    }
    assert!(looked_at > 8);
}
