//! Sessions that do nothing: what each costs in memory.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::report::{Phase, Report};
use crate::session::login;
use crate::target::Target;

/// Devices of one user that log in.
const DEVICES: usize = 8;
/// How long they do nothing.
const TIME: Duration = Duration::from_secs(5);

/// Opens all, waits, and tells the memory of the server before and after. Both ends are on this machine: the file
/// descriptors of both count against the bound of their process.
pub(crate) async fn run(target: &Rc<Target>, count: usize) -> anyhow::Result<Report> {
    let names: Vec<String> = (0..count.div_ceil(DEVICES))
        .map(|at| format!("load-{at}"))
        .collect();
    let mut tokens = Vec::new();
    for names in names.chunks(1_000) {
        tokens.extend(target.admin.make_users(names).await?);
    }
    let before = target.usage()?;
    let start = Instant::now();
    let mut sessions = Vec::new();
    for (at, device) in (0..count).zip((1..=8_u8).cycle()) {
        let (mut incoming, outgoing) = login(target.address, &tokens[at / DEVICES], device).await?;
        incoming.synced().await?;
        incoming.shrink();
        sessions.push((incoming, outgoing));
    }
    let took = start.elapsed();
    let between = target.usage()?;
    tokio::time::sleep(TIME).await;
    let after = target.usage()?;
    let opened = between
        .zip(before)
        .map(|(after, before)| after.since(before));
    let grown = after
        .zip(before)
        .map(|(after, before)| after.resident.saturating_sub(before.resident));
    let each = grown.map_or_else(String::new, |bytes| {
        format!(", {:.2} KB each", bytes as f64 / 1e3 / count as f64)
    });
    let idle = after
        .zip(between)
        .map(|(after, before)| after.since(before));
    Ok(Report {
        phases: vec![
            Phase::new("logged in", count, took, opened),
            Phase::new(format!("idle{each}"), count, TIME, idle),
        ],
    })
}
