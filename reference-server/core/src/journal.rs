//! The journal of the idempotency window: one value per burst, records one after the other.
//!
//! It is the durable form of what [`crate::msgs`] holds of messages that were delivered: keys, and how they ended.

use crate::api::Millis;
use crate::bin::{Put, Take};
use crate::groups::AcceptedOp;
use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
use crate::msgs::{Accepted, Traits};
use crate::store::UserKey;

/// A message that was accepted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SendRecord {
    pub(crate) id: MsgId,
    pub(crate) idem: Accepted,
    pub(crate) conv: ConvKey,
    /// Revision of the group at acceptance; 0 in a conversation of two.
    pub(crate) rev: u64,
    pub(crate) sender: UserKey,
    pub(crate) accepted_at: Millis,
    pub(crate) deadline: Millis,
    pub(crate) traits: Traits,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    Send(SendRecord),
    GroupOp(AcceptedOp),
    /// A message's time ended; these recipients had not acknowledged it.
    Expired(MsgId, Vec<UserKey>),
    /// A recipient was deleted before it acknowledged the message.
    Failed(MsgId, UserKey),
}

const SEND: u8 = 1;
const GROUP_OP: u8 = 2;
const EXPIRED: u8 = 3;
const FAILED: u8 = 4;

impl Record {
    /// Appends the record to the value of the burst.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::Send(send) => {
                out.push(SEND);
                out.push(send.traits.to_bits());
                put_idem(out, &send.idem);
                out.put_num(send.id.0);
                let (a, b) = match send.conv {
                    ConvKey::Direct(a, b) => (a.0, b.0),
                    // Users start at 1, so 0 says that it is a group.
                    ConvKey::Group(group) => (0, group.0),
                };
                out.put_num(a);
                out.put_num(b);
                out.put_num(send.rev);
                out.put_num(send.sender.0);
                out.put_num(send.accepted_at.0);
                out.put_num(send.deadline.since(send.accepted_at));
            }
            Record::GroupOp(op) => {
                out.push(GROUP_OP);
                put_idem(
                    out,
                    &Accepted {
                        device: op.device,
                        key: op.key,
                        digest: op.digest,
                    },
                );
                out.put_num(op.at.0);
                out.put_num(op.group.0);
                out.put_num(op.rev);
            }
            Record::Expired(id, users) => {
                out.push(EXPIRED);
                out.put_num(id.0);
                out.put_num(users.len() as u64);
                for user in users {
                    out.put_num(user.0);
                }
            }
            Record::Failed(id, user) => {
                out.push(FAILED);
                out.put_num(id.0);
                out.put_num(user.0);
            }
        }
    }

    /// Takes the next record.
    pub(crate) fn decode(take: &mut Take<'_>) -> Option<Record> {
        Some(match take.byte()? {
            SEND => {
                let traits = Traits::from_bits(take.byte()?);
                let idem = take_idem(take)?;
                let id = MsgId(take.num()?);
                let conv = match (take.num()?, take.num()?) {
                    (0, group) => ConvKey::Group(GroupId(group)),
                    (a, b) => ConvKey::Direct(UserKey(a), UserKey(b)),
                };
                let rev = take.num()?;
                let sender = UserKey(take.num()?);
                let accepted_at = take.time()?;
                let deadline = accepted_at.plus(take.num()?);
                Record::Send(SendRecord {
                    id,
                    idem,
                    conv,
                    rev,
                    sender,
                    accepted_at,
                    deadline,
                    traits,
                })
            }
            GROUP_OP => {
                let Accepted {
                    device,
                    key,
                    digest,
                } = take_idem(take)?;
                let at = take.time()?;
                let group = GroupId(take.num()?);
                Record::GroupOp(AcceptedOp {
                    at,
                    device,
                    key,
                    digest,
                    group,
                    rev: take.num()?,
                })
            }
            EXPIRED => {
                let id = MsgId(take.num()?);
                let count = take.num()?;
                let users = (0..count)
                    .map(|_| take.num().map(UserKey))
                    .collect::<Option<_>>()?;
                Record::Expired(id, users)
            }
            FAILED => Record::Failed(MsgId(take.num()?), UserKey(take.num()?)),
            _ => return None,
        })
    }
}

fn put_idem(out: &mut Vec<u8>, idem: &Accepted) {
    out.put_num(idem.device.0);
    out.extend_from_slice(&idem.key);
    out.extend_from_slice(&idem.digest.to_be_bytes());
}

fn take_idem(take: &mut Take<'_>) -> Option<Accepted> {
    let device = DeviceUid(take.num()?);
    let key = take.array()?;
    Some(Accepted {
        device,
        key,
        digest: u128::from_be_bytes(take.array()?),
    })
}

#[cfg(test)]
mod tests {
    use super::{Record, SendRecord};
    use crate::api::Millis;
    use crate::bin::Take;
    use crate::groups::AcceptedOp;
    use crate::ids::{ConvKey, DeviceUid, GroupId, MsgId};
    use crate::msgs::{Accepted, Traits};
    use crate::store::UserKey;

    #[test]
    fn records_come_back_in_their_order() {
        let idem = Accepted {
            device: DeviceUid(3),
            key: [9; 16],
            digest: u128::MAX - 5,
        };
        let send = SendRecord {
            id: MsgId(1 << 40),
            idem,
            conv: ConvKey::Group(GroupId(77)),
            rev: 4,
            sender: UserKey(2),
            accepted_at: Millis(1_000),
            deadline: Millis(2_000),
            traits: Traits {
                delivered: true,
                offline: true,
                ..Traits::default()
            },
        };
        let op = AcceptedOp {
            at: Millis(5),
            device: DeviceUid(1),
            key: [1; 16],
            digest: 2,
            group: GroupId(3),
            rev: 4,
        };
        let records = [
            Record::Send(send),
            Record::Send(SendRecord {
                conv: ConvKey::Direct(UserKey(1), UserKey(2)),
                rev: 0,
                ..send
            }),
            Record::GroupOp(op),
            Record::Expired(MsgId(1), vec![UserKey(2), UserKey(3)]),
            Record::Failed(MsgId(1), UserKey(2)),
        ];
        let mut value = Vec::new();
        for record in &records {
            record.encode(&mut value);
        }
        let mut take = Take(&value);
        for record in &records {
            assert_eq!(
                format!("{:?}", Record::decode(&mut take)),
                format!("{:?}", Some(record))
            );
        }
        assert!(take.is_empty());
        for len in 1..value.len() {
            let mut take = Take(&value[..len]);
            while !take.is_empty() && Record::decode(&mut take).is_some() {}
        }
        assert!(Record::decode(&mut Take(&[77])).is_none());
    }
}
