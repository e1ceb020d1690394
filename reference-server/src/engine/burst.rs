//! What the core wants done, in order: commit, write, close, read, answer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use bytes::BytesMut;
use tidewire_core::Core;
use tidewire_core::api::{AdminId, AdminOp, AdminReply, ConnId, Input, Millis, Output, ReadLog};
use tidewire_core::store::{Store, StoreError};
use tokio::sync::oneshot;

use crate::conn::Conn;

/// Pages read in one round. Then it is the turn of new inputs, so that one long backlog delays nobody.
const READS_A_ROUND: usize = 32;

/// Answers that an operator waits for.
struct Asked {
    left: usize,
    replies: Vec<Option<AdminReply>>,
    reply: Option<oneshot::Sender<Vec<AdminReply>>>,
}

/// A thing to do once the core has nothing more to say.
enum Deed {
    Send(ConnId, BytesMut),
    Close(ConnId),
    Reply(AdminId, AdminReply),
}

/// The connections, and what is under way between them and the core.
#[derive(Default)]
pub(super) struct Burst {
    conns: HashMap<ConnId, Arc<Conn>>,
    /// Connections whose batches were fed to the core in this burst, once for each batch.
    taken: Vec<ConnId>,
    deeds: Vec<Deed>,
    reads: VecDeque<ReadLog>,
    /// Connections that hold too many unsent bytes, each with the pages that it shall get later: it could not take what
    /// comes of them now. It is not read from either, so that it cannot ask for more.
    congested: HashMap<ConnId, Vec<ReadLog>>,
    /// By the number of the first of each operator's questions.
    asked: BTreeMap<u64, Asked>,
    next_asked: u64,
}

impl Burst {
    pub(super) fn opened(&mut self, conn: Arc<Conn>) {
        self.conns.insert(conn.id, conn);
    }

    pub(super) fn closed(&mut self, conn: ConnId) {
        self.conns.remove(&conn);
        self.congested.remove(&conn);
        self.reads.retain(|read| read.conn != conn);
    }

    pub(super) fn has_conns(&self) -> bool {
        !self.conns.is_empty()
    }

    /// A batch of this connection is part of the burst.
    pub(super) fn batch_taken(&mut self, conn: ConnId) {
        self.taken.push(conn);
    }

    /// Remembers who asked, and numbers the questions.
    pub(super) fn asked(
        &mut self,
        ops: Vec<AdminOp>,
        reply: oneshot::Sender<Vec<AdminReply>>,
    ) -> impl Iterator<Item = (AdminId, AdminOp)> + use<> {
        let first = self.next_asked;
        self.next_asked += ops.len() as u64;
        if ops.is_empty() {
            let _ = reply.send(Vec::new());
        } else {
            let asked = Asked {
                left: ops.len(),
                replies: vec![None; ops.len()],
                reply: Some(reply),
            };
            self.asked.insert(first, asked);
        }
        (first..).map(AdminId).zip(ops)
    }

    /// The connection is no longer congested.
    pub(super) fn relieved(&mut self, conn: ConnId) {
        self.reads
            .extend(self.congested.remove(&conn).unwrap_or_default());
    }

    /// True if a page can be read now.
    pub(super) fn has_reads(&self) -> bool {
        !self.reads.is_empty()
    }

    /// Drains the core and does what it says. Ends when the core wants nothing more, or only more pages than one round
    /// reads.
    pub(super) fn settle(
        &mut self,
        core: &mut Core,
        store: &mut dyn Store,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.drain(core, store, now)?;
        for _ in 0..READS_A_ROUND {
            let Some(read) = self.reads.pop_front() else {
                break;
            };
            if let Some(parked) = self.congested.get_mut(&read.conn) {
                parked.push(read);
                continue;
            }
            let page = store.read_log(read.user, read.after, read.max_entries, read.max_bytes)?;
            core.handle(Input::LogPage { read, page }, now);
            self.drain(core, store, now)?;
        }
        for conn in self.taken.drain(..) {
            if let Some(conn) = self.conns.get(&conn) {
                conn.batch_done();
            }
        }
        Ok(())
    }

    pub(super) fn abort_all(&mut self) {
        for conn in self.conns.values() {
            conn.abort();
        }
        self.conns.clear();
    }

    fn drain(
        &mut self,
        core: &mut Core,
        store: &mut dyn Store,
        now: Millis,
    ) -> Result<(), StoreError> {
        loop {
            while let Some(output) = core.poll_output() {
                match output {
                    Output::Commit(batch) => {
                        store.commit(&batch)?;
                        core.handle(Input::Committed, now);
                    }
                    Output::Send { conn, bytes } => self.deeds.push(Deed::Send(conn, bytes)),
                    Output::SetMaxFrame { conn, max_frame } => {
                        // Before any byte of this burst is written: the peer may use the limit once it has LOGIN_OK.
                        if let Some(conn) = self.conns.get(&conn) {
                            conn.set_max_frame(max_frame);
                        }
                    }
                    Output::Close { conn } => self.deeds.push(Deed::Close(conn)),
                    Output::ReadLog(read) => self.reads.push_back(read),
                    Output::AdminReply { id, reply } => self.deeds.push(Deed::Reply(id, reply)),
                }
            }
            let mut said_more = false;
            for deed in std::mem::take(&mut self.deeds) {
                said_more |= self.perform(deed, core, now);
            }
            if !said_more {
                return Ok(());
            }
        }
    }

    /// True if the core was told something.
    fn perform(&mut self, deed: Deed, core: &mut Core, now: Millis) -> bool {
        match deed {
            Deed::Send(id, bytes) => {
                let congested = self.conns.get(&id).is_some_and(|conn| conn.push(bytes));
                if congested {
                    self.congested.entry(id).or_default();
                    core.handle(Input::Congested { conn: id, on: true }, now);
                }
                congested
            }
            Deed::Close(id) => {
                if let Some(conn) = self.conns.get(&id) {
                    conn.close();
                }
                false
            }
            Deed::Reply(id, reply) => {
                self.answer(id, reply);
                false
            }
        }
    }

    fn answer(&mut self, id: AdminId, reply: AdminReply) {
        let Some((first, asked)) = self.asked.range_mut(..=id.0).next_back() else {
            return;
        };
        let first = *first;
        let Some(slot) = usize::try_from(id.0 - first)
            .ok()
            .and_then(|at| asked.replies.get_mut(at))
        else {
            return;
        };
        if slot.replace(reply).is_none() {
            asked.left -= 1;
        }
        if asked.left == 0
            && let Some(mut done) = self.asked.remove(&first)
            && let Some(reply) = done.reply.take()
        {
            let _ = reply.send(done.replies.into_iter().flatten().collect());
        }
    }
}
