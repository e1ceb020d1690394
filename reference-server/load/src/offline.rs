//! Messages for a user that is away, and then its return.

use std::rc::Rc;
use std::time::Instant;

use tidewire_codec::Frame;

use crate::flow::{Load, store};
use crate::report::{Phase, Report};
use crate::session::login;
use crate::target::Target;

/// Stores all, then fetches and acknowledges all.
pub(crate) async fn run(target: &Rc<Target>, load: &Load) -> anyhow::Result<Report> {
    let names = ["load-sender".to_owned(), "load-away".to_owned()];
    let tokens = target.admin.make_users(&names).await?;
    let stored = store(target, &tokens[0], &names[1], load).await?;
    let before = target.usage()?;
    let start = Instant::now();
    let (mut incoming, mut outgoing) = login(target.address, &tokens[1], 1).await?;
    let mut count = 0;
    while count < load.messages {
        incoming.fill().await?;
        let mut last = None;
        while let Some(frame) = incoming.poll()? {
            if let Frame::Message(message) = frame.decode()? {
                count += 1;
                last = Some(message.pos);
            }
        }
        if let Some(pos) = last {
            outgoing.ack(pos).await?;
        }
    }
    let took = start.elapsed();
    let usage = target
        .usage()?
        .zip(before)
        .map(|(after, before)| after.since(before));
    Ok(Report {
        phases: vec![stored, Phase::new("fetched", count, took, usage)],
    })
}
