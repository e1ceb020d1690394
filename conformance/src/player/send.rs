//! Frames and bytes that actors send.

use bytes::BytesMut;
use prost::Message;
use tidewire_codec::{Flags, FrameType, Kind, RawFrame};

use super::{Miss, Player, Variant};
use crate::ladder::Event;
use crate::session::{Payload, Send, Sweep, Transport};
use crate::value::{Expr, Scope, Val};
use crate::verdict::FailureClass;

impl Player<'_> {
    /// A `send` step: one frame, or many in one write.
    pub(super) async fn send_step(
        &mut self,
        index: usize,
        actor: usize,
        send: &Send,
    ) -> Result<(), Miss> {
        let frame_type = self.frame_type(&send.frame)?;
        let times = send.times.eval_int(&self.world).map_err(Miss::harness)?;
        let times = usize::try_from(times).map_err(Miss::harness)?;
        let flags = match &send.flags {
            Some(flags) => flags.eval_int(&self.world).map_err(Miss::harness)?,
            None => 0,
        };
        let flags = Flags(u8::try_from(flags).map_err(Miss::harness)?);
        let reference = match &send.reference {
            Some(expr) => Some(expr.eval_int(&self.world).map_err(Miss::harness)?),
            None => None,
        };
        let reference = reference
            .map(u32::try_from)
            .transpose()
            .map_err(Miss::harness)?;
        // What is unknown is sent as a request, because that gets an answer.
        let asks = frame_type
            .info()
            .is_none_or(|info| info.kind == Kind::Request);
        self.link(actor)?.refs.rename(send.name.as_deref());
        let mut bytes = BytesMut::new();
        for number in 0..times {
            let body = self.payload(send, number)?;
            let link = self.link(actor)?;
            let reference = match reference {
                Some(reference) => reference,
                None if asks => link.new_ref(),
                None => 0,
            };
            link.refs.asked(send.name.as_deref(), reference);
            let frame = RawFrame {
                flags,
                frame_type,
                reference,
                body: body.into(),
            };
            frame.encode_into(&mut bytes).map_err(Miss::harness)?;
            if number < 3 {
                self.ladder.push(Event::Sent { actor, frame });
            }
        }
        if times > 3 {
            self.note(Some(actor), format!("... {times} such frames in one write"));
        }
        self.send_swept(index, actor, &bytes).await
    }

    pub(super) fn payload(&self, send: &Send, number: usize) -> Result<Vec<u8>, Miss> {
        payload(send, &self.world.each(number)).map_err(Miss::harness)
    }

    /// Sends the bytes of a step, as the sweep has them sent if it is about this step.
    pub(super) async fn send_swept(
        &mut self,
        index: usize,
        actor: usize,
        bytes: &[u8],
    ) -> Result<(), Miss> {
        let target = match &self.session.sweep {
            Some(Sweep::Split { step } | Sweep::Truncate { step } | Sweep::Bits { step, .. }) => {
                Some(*step)
            }
            _ => None,
        };
        if target != Some(index) {
            return self.send_bytes(actor, bytes).await;
        }
        self.swept_len = Some(bytes.len());
        match self.variant {
            // A message of WebSocket ends at the end of a frame, so it goes whole.
            Variant::Split(_) if self.transport(actor) == Transport::Ws => {
                self.send_bytes(actor, bytes).await
            }
            Variant::Split(at) => {
                let (first, second) = bytes.split_at(at.min(bytes.len()));
                self.send_bytes(actor, first).await?;
                // The first part is on its way before the second is written.
                tokio::task::yield_now().await;
                self.send_bytes(actor, second).await
            }
            Variant::Truncate(at) => {
                // Borrowed users have names of different lengths, and a whole frame would be no truncation.
                let at = at.min(bytes.len().saturating_sub(1));
                let (first, _) = bytes.split_at(at);
                let sent = self.send_bytes(actor, first).await;
                self.note(
                    Some(actor),
                    format!("cut after {at} of {} bytes", bytes.len()),
                );
                self.drop_link(actor);
                self.silenced = Some(actor);
                sent
            }
            Variant::Bit(bit) => {
                let mut spoiled = bytes.to_vec();
                if let Some(byte) = spoiled.get_mut(bit / 8) {
                    *byte ^= 0x80 >> (bit % 8);
                }
                self.note(Some(actor), format!("bit {bit} of the header is flipped"));
                self.send_bytes(actor, &spoiled).await?;
                self.after_bit(actor).await
            }
            Variant::Plain | Variant::Value(_) | Variant::Bound(_) => {
                self.send_bytes(actor, bytes).await
            }
        }
    }

    /// A `raw` step.
    pub(super) async fn raw_step(
        &mut self,
        actor: usize,
        bytes: &Expr,
        split: Option<usize>,
        text: bool,
    ) -> Result<(), Miss> {
        let bytes = bytes_of(bytes.eval(&self.world).map_err(Miss::harness)?)?;
        self.ladder.push(Event::SentBytes {
            actor,
            bytes: bytes.clone(),
        });
        if text {
            let link = self.link(actor)?;
            return link
                .connection
                .send_text(&bytes)
                .await
                .map_err(Miss::harness);
        }
        match split {
            None => self.send_bytes(actor, &bytes).await,
            Some(size) => {
                for piece in bytes.chunks(size) {
                    self.send_bytes(actor, piece).await?;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    }

    /// Sends one frame and writes it down.
    pub(super) async fn send_frame(&mut self, actor: usize, frame: &RawFrame) -> Result<(), Miss> {
        self.ladder.push(Event::Sent {
            actor,
            frame: frame.clone(),
        });
        let bytes = frame.to_bytes().map_err(Miss::harness)?;
        self.send_bytes(actor, &bytes).await
    }

    /// A PING that is a fence; returns its `ref`.
    pub(super) async fn send_ping(&mut self, actor: usize) -> Result<RawFrame, Miss> {
        let reference = self.link(actor)?.new_ref();
        let data = reference.to_be_bytes();
        // Field 1 with wire type 2, and the number of bytes.
        let body = [&[0x0a, 4], &data[..]].concat();
        let frame = RawFrame {
            flags: Flags::NONE,
            frame_type: FrameType::PING,
            reference,
            body: body.into(),
        };
        self.send_frame(actor, &frame).await?;
        Ok(frame)
    }

    async fn send_bytes(&mut self, actor: usize, bytes: &[u8]) -> Result<(), Miss> {
        let budget = self.stage.budget;
        let link = self.link(actor)?;
        match link.connection.send(bytes, budget).await {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Err(Miss::new(
                FailureClass::NothingCame,
                "the server reads",
                "it takes no bytes within the budget",
            )),
            // The peer closed. Why is in what it sent before, which the next step reads.
            Err(_) => Ok(()),
        }
    }
}

/// The body of a frame that a step sends.
pub(crate) fn payload(send: &Send, scope: &dyn Scope) -> Result<Vec<u8>, String> {
    let mut body = match &send.body {
        Payload::Empty => Vec::new(),
        Payload::Fields(body) => body.build(scope)?.encode_to_vec(),
        Payload::Raw(expr) => to_bytes(expr.eval(scope)?)?,
    };
    if let Some(extra) = &send.extra {
        body.extend(to_bytes(extra.eval(scope)?)?);
    }
    Ok(body)
}

/// Bytes, or a text as bytes.
pub(super) fn bytes_of(value: Val) -> Result<Vec<u8>, Miss> {
    to_bytes(value).map_err(Miss::harness)
}

fn to_bytes(value: Val) -> Result<Vec<u8>, String> {
    match value {
        Val::Bytes(bytes) => Ok(bytes.to_vec()),
        Val::Text(text) => Ok(text.into_bytes()),
        other => Err(format!("{other} is not bytes")),
    }
}
