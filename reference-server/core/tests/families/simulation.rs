//! A seeded simulation: clients that lose connections and memory, a server that dies, time that passes.
//!
//! Each client keeps the rules of the spec: a message is stored with its key before it is sent, repeated until it is
//! answered; an entry is stored before it is acknowledged; `prev_pos` tells gaps. In the end nobody may have lost,
//! doubled or reordered anything, and no sender may have seen a state fall back. A failure prints its seed.

mod verdict;

use std::collections::{BTreeMap, VecDeque};

use tidewire_codec::Frame;
use tidewire_codec::proto::{self, MarkScope, MessageState};
use tidewire_core::api::{ConnId, Input};

use crate::world::{DAY, SECOND, World, key, login, mark, message};

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n` times.
    fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What a client has on disk; it survives a crash of the client.
#[derive(Clone, Default)]
struct Disk {
    resume: Option<(u64, u64)>,
    messages: Vec<(u64, String, String)>,
    states: BTreeMap<u64, Vec<MessageState>>,
}

struct Client {
    user: &'static str,
    device: u8,
    conn: Option<ConnId>,
    memory: Disk,
    disk: Disk,
    outbox: VecDeque<proto::Send>,
    /// Ids of own messages, by text.
    sent: BTreeMap<String, u64>,
    sync_needed: bool,
    event_limit: u64,
}

/// A message and how it ended, as the test knows it.
struct Fact {
    from: (&'static str, u8),
    to: String,
    short: bool,
    delivered: bool,
}

struct Simulation {
    seed: u64,
    rng: Rng,
    w: World,
    clients: Vec<Client>,
    facts: BTreeMap<String, Fact>,
    made: u64,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let w = World::of(&["alice", "bob", "carol"]);
        let devices = [
            ("alice", 1),
            ("alice", 2),
            ("bob", 1),
            ("bob", 2),
            ("carol", 1),
        ];
        let clients = devices.map(|(user, device)| Client {
            user,
            device,
            conn: None,
            memory: Disk::default(),
            disk: Disk::default(),
            outbox: VecDeque::new(),
            sent: BTreeMap::new(),
            sync_needed: false,
            event_limit: 0,
        });
        let mut simulation = Simulation {
            seed,
            rng: Rng(seed),
            w,
            clients: clients.into(),
            facts: BTreeMap::new(),
            made: 0,
        };
        // Every device is known before the first message, so each of them has to get everything.
        for index in 0..simulation.clients.len() {
            simulation.connect(index);
        }
        simulation
    }

    fn run(mut self) {
        for _ in 0..250 {
            let index = self.rng.below(self.clients.len() as u64) as usize;
            match self.rng.below(12) {
                0..=3 => self.compose(index),
                4 => self.connect(index),
                5 => self.cut(index),
                6 if self.rng.once_in(3) => self.client_crash(index),
                7 if self.rng.once_in(4) => self.server_crash(),
                8 => self.pass_time(),
                9 => self.congest(index),
                10 => self.mark(index),
                _ => self.flush(index),
            }
            self.read(index);
        }
        self.finish();
        self.judge();
    }

    fn compose(&mut self, index: usize) {
        self.made += 1;
        let client = &mut self.clients[index];
        let to = ["alice", "bob", "carol"][self.rng.below(3) as usize];
        let text = format!("{}-{}-{}", client.user, client.device, self.made);
        let short = self.rng.once_in(6);
        let delivered = !self.rng.once_in(3);
        let send = proto::Send {
            idem: key(self.made),
            ttl_ms: short.then_some(30 * SECOND),
            receipts: Some(proto::Receipts {
                delivered,
                read: self.rng.once_in(2),
            }),
            ..message(to, &text)
        };
        client.outbox.push_back(send);
        self.facts.insert(
            text,
            Fact {
                from: (client.user, client.device),
                to: to.into(),
                short,
                delivered,
            },
        );
        if self.rng.once_in(2) {
            self.flush(index);
        }
    }

    fn connect(&mut self, index: usize) {
        if self.clients[index].conn.is_some() {
            return;
        }
        let limit = if self.rng.once_in(4) {
            self.rng.below(20)
        } else {
            1_000_000
        };
        let client = &mut self.clients[index];
        let resume = client
            .memory
            .resume
            .map(|(epoch, pos)| proto::Resume { epoch, pos });
        let (conn, ok) = self.w.login_with(proto::Login {
            resume,
            event_limit: limit,
            ..login(client.user, client.device)
        });
        client.conn = Some(conn);
        client.event_limit = limit;
        client.sync_needed = false;
        match client.memory.resume {
            Some((epoch, _)) => {
                assert_eq!(
                    (ok.resume(), ok.epoch),
                    (proto::ResumeResult::Resumed, epoch),
                    "seed {}",
                    self.seed
                );
            }
            None => client.memory.resume = Some((ok.epoch, ok.oldest_pos - 1)),
        }
        client.disk.resume = client.disk.resume.or(client.memory.resume);
        // After a reconnect every unanswered request goes again.
        self.flush(index);
    }

    fn cut(&mut self, index: usize) {
        if let Some(conn) = self.clients[index].conn.take() {
            self.w.hang_up(conn);
        }
    }

    fn client_crash(&mut self, index: usize) {
        self.cut(index);
        let client = &mut self.clients[index];
        client.memory = client.disk.clone();
    }

    fn server_crash(&mut self) {
        for client in &mut self.clients {
            client.conn = None;
        }
        self.w.now = self.w.now.plus(self.rng.below(20) * SECOND);
        self.w.crash();
    }

    fn pass_time(&mut self) {
        let ms = self.rng.below(15) * SECOND;
        self.w.advance(ms);
        self.drop_closed();
    }

    fn drop_closed(&mut self) {
        for client in &mut self.clients {
            if let Some(conn) = client.conn
                && !self.w.is_open(conn)
            {
                self.w.hang_up(conn);
                client.conn = None;
            }
        }
    }

    fn congest(&mut self, index: usize) {
        if let Some(conn) = self.clients[index].conn {
            let on = self.rng.once_in(2);
            self.w.feed(Input::Congested { conn, on });
        }
    }

    /// Sends what waits in the outbox; sometimes the connection is cut before the answers come.
    fn flush(&mut self, index: usize) {
        let Some(conn) = self.clients[index].conn else {
            return;
        };
        let sends: Vec<_> = self.clients[index].outbox.iter().cloned().collect();
        for (n, send) in sends.into_iter().enumerate() {
            self.w.put(conn, send, n as u32 + 1);
        }
        self.w.settle();
        if self.rng.once_in(5) {
            self.cut(index);
        }
    }

    fn mark(&mut self, index: usize) {
        let client = &self.clients[index];
        let (Some(conn), Some((id, from, _))) =
            (client.conn, client.memory.messages.last().cloned())
        else {
            return;
        };
        if from != client.user {
            let scope = if self.rng.once_in(2) {
                MarkScope::Public
            } else {
                MarkScope::Private
            };
            self.w.put(conn, mark(&from, id, scope), u32::MAX);
            self.w.settle();
        }
    }

    /// Reads what came, stores it, and acknowledges what is stored.
    fn read(&mut self, index: usize) {
        let Some(conn) = self.clients[index].conn else {
            return;
        };
        let seed = self.seed;
        let frames = self.w.take(conn);
        let client = &mut self.clients[index];
        let mut answered = Vec::new();
        for frame in frames {
            match frame {
                Frame::SendAck(ack) => answered.push(ack),
                Frame::Message(message) if client.place(message.pos, message.prev_pos, seed) => {
                    let text = String::from_utf8(message.content.to_vec()).unwrap();
                    client
                        .memory
                        .messages
                        .push((message.msg_id, message.from, text));
                }
                Frame::Status(status) if client.place(status.pos, status.prev_pos, seed) => {
                    client
                        .memory
                        .states
                        .entry(status.msg_id)
                        .or_default()
                        .push(status.state());
                }
                Frame::Expired(expired) if client.place(expired.pos, expired.prev_pos, seed) => {
                    client
                        .memory
                        .states
                        .entry(expired.msg_id)
                        .or_default()
                        .push(MessageState::Expired);
                }
                _ => {}
            }
        }
        // Answers come in the order of the requests, so those that are there belong to the first in the outbox.
        for ack in answered {
            if let Some(send) = client.outbox.pop_front() {
                let text = String::from_utf8(send.content.to_vec()).unwrap();
                let known = client.sent.insert(text, ack.msg_id);
                assert!(known.is_none_or(|id| id == ack.msg_id), "seed {seed}");
            }
        }
        if self.rng.once_in(2) {
            client.disk = client.memory.clone();
        }
        let stored = client.disk.resume.map_or(0, |(_, pos)| pos);
        if self.rng.once_in(2) {
            self.w.ack(conn, stored);
        }
        let client = &mut self.clients[index];
        if self.rng.once_in(3) {
            client.event_limit += self.rng.below(30);
            let event_limit = client.event_limit;
            self.w.tell(conn, proto::Credit { event_limit });
        }
        assert!(!self.clients[index].sync_needed, "seed {seed}: a gap");
        self.drop_closed();
    }

    /// Everybody comes back, reads everything, and time passes until every short life is over.
    fn finish(&mut self) {
        for round in 0..4 {
            for index in 0..self.clients.len() {
                self.cut(index);
                self.clients[index].memory = self.clients[index].disk.clone();
            }
            for index in 0..self.clients.len() {
                let client = &self.clients[index];
                let resume = client
                    .memory
                    .resume
                    .map(|(epoch, pos)| proto::Resume { epoch, pos });
                let (conn, _) = self.w.login_with(proto::Login {
                    resume,
                    ..login(client.user, client.device)
                });
                self.clients[index].conn = Some(conn);
                let sends: Vec<_> = self.clients[index].outbox.iter().cloned().collect();
                for (n, send) in sends.into_iter().enumerate() {
                    self.w.put(conn, send, n as u32 + 1);
                }
                self.w.settle();
                self.read(index);
            }
            for index in 0..self.clients.len() {
                self.read(index);
                let client = &mut self.clients[index];
                client.disk = client.memory.clone();
                if let (Some(conn), Some((_, pos))) = (client.conn, client.disk.resume) {
                    self.w.ack(conn, pos);
                }
            }
            if round == 1 {
                self.w.crash();
                for client in &mut self.clients {
                    client.conn = None;
                }
            }
            self.w.advance(31 * SECOND);
        }
    }
}

impl Client {
    /// Takes an entry at its position; false if it is known already.
    fn place(&mut self, pos: u64, prev_pos: u64, seed: u64) -> bool {
        let Some((_, own)) = &mut self.memory.resume else {
            panic!("seed {seed}")
        };
        if pos <= *own {
            return false;
        }
        if prev_pos > *own {
            self.sync_needed = true;
            return false;
        }
        *own = pos;
        true
    }
}

/// `TIDEWIRE_SIM_SEEDS=4000` runs as many; by default enough for every push.
fn seeds() -> u64 {
    let wanted = std::env::var("TIDEWIRE_SIM_SEEDS").ok();
    wanted.and_then(|seeds| seeds.parse().ok()).unwrap_or(150)
}

#[test]
fn nothing_is_lost_doubled_or_reordered() {
    for seed in 0..seeds() {
        Simulation::new(seed).run();
    }
}

#[test]
fn a_log_that_nobody_reads_stays_within_its_time() {
    let mut w = World::of(&["alice", "bob"]);
    for day in 0..60u64 {
        let alice = w.login_quiet("alice", 1);
        for n in 0..20 {
            w.send(alice, "bob", &format!("{day} {n}"));
        }
        w.advance(DAY);
    }
    let (_, ok) = w.login_with(login("bob", 1));
    let kept = ok.head_pos - ok.oldest_pos + 1;
    assert!(
        (600..=640).contains(&kept),
        "{kept} entries for thirty days"
    );
}
