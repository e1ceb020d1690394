//! One sender, its receivers, and a window between them.
//!
//! A message counts against the window until it is both acknowledged to the sender and delivered to every receiver. The
//! receivers acknowledge once for each read, cumulatively.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::{BufMut, Bytes, BytesMut};
use tidewire_codec::{Flags, Frame, FrameType, limits, proto};
use tokio::sync::Notify;
use tokio::task::spawn_local;

use crate::report::{Latency, Phase, Report};
use crate::session::{Incoming, Outgoing, login};
use crate::target::Target;

/// What is to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Messages under way at a time.
    pub(crate) window: usize,
    /// Bytes of content, at least 8: the number of the message.
    pub(crate) size: usize,
    /// Messages of all senders together.
    pub(crate) messages: usize,
}

/// Whom a sender sends to.
#[derive(Clone, Debug)]
pub(crate) enum To {
    User(String),
    Group(u64),
}

/// The state of a flow, shared by its tasks, which run on one thread.
struct Flow {
    to: To,
    window: usize,
    count: usize,
    size: usize,
    sent_at: RefCell<Vec<Instant>>,
    progress: RefCell<Progress>,
    moved: Notify,
}

#[derive(Default)]
struct Progress {
    acked: usize,
    /// Of each receiver.
    delivered: Vec<usize>,
    ack_times: Vec<Duration>,
    delivery_times: Vec<Duration>,
}

impl Flow {
    fn new(to: To, receivers: usize, load: &Load) -> Rc<Flow> {
        Rc::new(Flow {
            to,
            window: load.window.max(1),
            count: load.messages,
            size: load.size.max(8),
            sent_at: RefCell::default(),
            progress: RefCell::new(Progress {
                delivered: vec![0; receivers],
                ..Progress::default()
            }),
            moved: Notify::new(),
        })
    }

    /// Messages that are through in every respect.
    fn done(&self) -> usize {
        let progress = self.progress.borrow();
        progress
            .delivered
            .iter()
            .copied()
            .chain([progress.acked])
            .min()
            .unwrap_or_default()
    }

    /// Encodes what the window has room for.
    fn encode(&self, key: &mut [u8; limits::IDEM_LEN], out: &mut BytesMut) -> anyhow::Result<()> {
        let room = (self.done() + self.window).min(self.count);
        let mut sent_at = self.sent_at.borrow_mut();
        let now = Instant::now();
        for number in sent_at.len()..room {
            let mut content = BytesMut::with_capacity(self.size);
            content.put_u64(number as u64);
            content.resize(self.size, b'x');
            key[..8].copy_from_slice(&(number as u64).to_be_bytes());
            let target = match &self.to {
                To::User(user) => proto::send::Target::ToUser(user.clone()),
                To::Group(group) => proto::send::Target::ToGroup(*group),
            };
            let send = proto::Send {
                target: Some(target),
                idem: Bytes::copy_from_slice(&key[..]),
                delivery: proto::Delivery::Store.into(),
                content: content.freeze(),
                ..proto::Send::default()
            };
            let reference = u32::try_from(number + 2)?;
            Frame::from(send)
                .to_raw(Flags::NONE, reference)
                .encode_into(out)?;
            sent_at.push(now);
        }
        Ok(())
    }

    fn acked(&self) -> anyhow::Result<()> {
        let mut progress = self.progress.borrow_mut();
        let sent = *self
            .sent_at
            .borrow()
            .get(progress.acked)
            .context("more acknowledgements than messages")?;
        progress.acked += 1;
        progress.ack_times.push(sent.elapsed());
        Ok(())
    }

    fn delivered(&self, receiver: usize, content: &[u8]) -> anyhow::Result<()> {
        let mut progress = self.progress.borrow_mut();
        let expected = progress.delivered[receiver];
        let number = content
            .first_chunk()
            .map_or(0, |number| u64::from_be_bytes(*number));
        if number != expected as u64 {
            bail!("message {number} came where {expected} was due");
        }
        progress.delivered[receiver] += 1;
        let sent = *self
            .sent_at
            .borrow()
            .get(expected)
            .context("a message that was not sent")?;
        progress.delivery_times.push(sent.elapsed());
        Ok(())
    }
}

async fn send(
    flow: Rc<Flow>,
    mut incoming: Incoming,
    mut outgoing: Outgoing,
) -> anyhow::Result<()> {
    let mut key = [0; limits::IDEM_LEN];
    getrandom::fill(&mut key)?;
    let mut out = BytesMut::new();
    while flow.done() < flow.count {
        out.clear();
        flow.encode(&mut key, &mut out)?;
        if !out.is_empty() {
            outgoing.write(&out).await?;
        }
        tokio::select! {
            filled = incoming.fill() => filled?,
            () = flow.moved.notified() => {}
        }
        while let Some(frame) = incoming.poll()? {
            if frame.frame_type == FrameType::SEND_ACK {
                flow.acked()?;
            }
        }
    }
    Ok(())
}

async fn receive(
    flow: Rc<Flow>,
    receiver: usize,
    mut incoming: Incoming,
    mut outgoing: Outgoing,
) -> anyhow::Result<()> {
    while flow.progress.borrow().delivered[receiver] < flow.count {
        incoming.fill().await?;
        let mut last = None;
        while let Some(frame) = incoming.poll()? {
            if let Frame::Message(message) = frame.decode()? {
                flow.delivered(receiver, &message.content)?;
                last = Some(message.pos);
            }
        }
        if let Some(pos) = last {
            outgoing.ack(pos).await?;
            flow.moved.notify_one();
        }
    }
    Ok(())
}

/// Pairs of users, all at once.
pub(crate) async fn pairs(
    target: &Rc<Target>,
    pairs: usize,
    load: &Load,
) -> anyhow::Result<Report> {
    let names: Vec<String> = (0..2 * pairs).map(|at| format!("load-{at}")).collect();
    let tokens = target.admin.make_users(&names).await?;
    let each = Load {
        messages: load.messages / pairs.max(1),
        ..load.clone()
    };
    let mut flows = Vec::new();
    for (names, tokens) in names.chunks_exact(2).zip(tokens.chunks_exact(2)) {
        let flow = Flow::new(To::User(names[1].clone()), 1, &each);
        let sender = ready(target, &tokens[0]).await?;
        let receiver = ready(target, &tokens[1]).await?;
        flows.push((flow, sender, vec![receiver]));
    }
    let name = format!("{pairs} pairs, window {}, {} bytes", load.window, load.size);
    run(target, name, flows, each.messages * pairs).await
}

/// One user to a group.
pub(crate) async fn fanout(
    target: &Rc<Target>,
    members: usize,
    load: &Load,
) -> anyhow::Result<Report> {
    let names: Vec<String> = (0..=members).map(|at| format!("load-{at}")).collect();
    let tokens = target.admin.make_users(&names).await?;
    let group = target.admin.make_group(&names).await?;
    let flow = Flow::new(To::Group(group), members, load);
    let sender = ready(target, &tokens[0]).await?;
    let mut receivers = Vec::new();
    for token in &tokens[1..] {
        receivers.push(ready(target, token).await?);
    }
    let name = format!(
        "1 to {members}, window {}, {} bytes, deliveries",
        load.window, load.size
    );
    run(
        target,
        name,
        vec![(flow, sender, receivers)],
        load.messages * members,
    )
    .await
}

/// Sends to somebody who is not there.
pub(crate) async fn store(
    target: &Rc<Target>,
    token: &str,
    to: &str,
    load: &Load,
) -> anyhow::Result<Phase> {
    let flow = Flow::new(To::User(to.into()), 0, load);
    let sender = ready(target, token).await?;
    let mut report = run(
        target,
        "stored".into(),
        vec![(flow, sender, Vec::new())],
        load.messages,
    )
    .await?;
    report.phases.pop().context("no figures")
}

type Session = (Incoming, Outgoing);

async fn ready(target: &Target, token: &str) -> anyhow::Result<Session> {
    let (mut incoming, outgoing) = login(target.address, token, 1).await?;
    incoming.synced().await?;
    Ok((incoming, outgoing))
}

async fn run(
    target: &Target,
    name: String,
    flows: Vec<(Rc<Flow>, Session, Vec<Session>)>,
    count: usize,
) -> anyhow::Result<Report> {
    let before = target.usage()?;
    let start = Instant::now();
    let mut tasks = Vec::new();
    let mut states = Vec::new();
    for (flow, (incoming, outgoing), receivers) in flows {
        for (receiver, (incoming, outgoing)) in receivers.into_iter().enumerate() {
            tasks.push(spawn_local(receive(
                Rc::clone(&flow),
                receiver,
                incoming,
                outgoing,
            )));
        }
        tasks.push(spawn_local(send(Rc::clone(&flow), incoming, outgoing)));
        states.push(flow);
    }
    for task in tasks {
        task.await??;
    }
    let took = start.elapsed();
    let usage = target
        .usage()?
        .zip(before)
        .map(|(after, before)| after.since(before));
    let mut phase = Phase::new(name, count, took, usage);
    let gather = |times: fn(&mut Progress) -> &mut Vec<Duration>| -> Vec<Duration> {
        states
            .iter()
            .flat_map(|flow| std::mem::take(times(&mut flow.progress.borrow_mut())))
            .collect()
    };
    phase.ack = Latency::of(gather(|progress| &mut progress.ack_times));
    phase.delivery = Latency::of(gather(|progress| &mut progress.delivery_times));
    Ok(Report {
        phases: vec![phase],
    })
}
