//! What happens to a frame before anybody looks at what it says: kinds, directions, features, decoding.

use tidewire_codec::view::{AckView, SendView};
use tidewire_codec::{
    Code, Direction, Fault, Feature, Flags, Frame, FrameInfo, FrameType, Kind, PeerError, RawFrame,
    Violation,
};

use crate::api::ConnId;
use crate::core::Core;
use crate::refuse::{Farewell, Handled, Refusal};

impl Core {
    //= spec/01-framing.md#requests-and-replies
    //# [FRM-025] The requests of one connection MUST take effect in the order in which they arrived.
    //= spec/02-errors-and-limits.md#sizes
    //# [ERR-038] The server MUST answer every request of a client that sends more than max_inflight at once, reading
    //# slower if it has to.
    pub(crate) fn on_frame(&mut self, conn: ConnId, frame: RawFrame) {
        let now = self.now;
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        if state.closing {
            return;
        }
        if state.session.is_none() {
            self.before_login(conn, &frame);
            return;
        }
        //= spec/01-framing.md#unknown-frames
        //# [FRM-046] A received frame of any kind MUST count as a sign of life.
        state.last_rx = now;
        if let Err(violation) = self.after_login(conn, &frame) {
            self.farewell(conn, &Farewell::from(violation));
        }
    }

    fn before_login(&mut self, conn: ConnId, frame: &RawFrame) {
        match frame.frame_type {
            FrameType::LOGIN if frame.flags.contains(Flags::REPLY) => {
                let violation = Violation::UnexpectedReply {
                    frame_type: frame.frame_type,
                };
                self.farewell(conn, &Farewell::from(violation));
            }
            FrameType::LOGIN => self.on_login(conn, frame),
            FrameType::GOAWAY => self.on_goaway(conn),
            //= spec/02-errors-and-limits.md#what-is-answered-how
            //# [ERR-023] On a frame before LOGIN_OK other than LOGIN the server MUST send GOAWAY PROTOCOL_VIOLATION and
            //# close.
            frame_type => {
                self.farewell(conn, &Farewell::from(Violation::BeforeLogin { frame_type }))
            }
        }
    }

    fn after_login(&mut self, conn: ConnId, frame: &RawFrame) -> Result<(), Violation> {
        let (frame_type, reference) = (frame.frame_type, frame.reference);
        let Some(info) = frame_type.info() else {
            return self.unknown(conn, frame);
        };
        //= spec/01-framing.md#requests-and-replies
        //# [FRM-026] When a frame of a known type travels in the wrong direction, the server MUST send GOAWAY
        //# PROTOCOL_VIOLATION and close.
        if info.direction == Direction::ServerToClient {
            return Err(Violation::WrongDirection { frame_type });
        }
        match (info.kind, frame.flags.contains(Flags::REPLY)) {
            //= spec/01-framing.md#requests-and-replies
            //# [FRM-027] When a client frame has REPLY set on a type that the client may send only as a request or
            //# event, the server MUST send GOAWAY PROTOCOL_VIOLATION and close.
            (Kind::Request | Kind::Event, true) => {
                return Err(Violation::UnexpectedReply { frame_type });
            }
            // An event that asks for an answer, or a reply that says it is none: no request of this type exists.
            (Kind::Reply | Kind::Event, false) if reference != 0 => {
                self.refuse(
                    conn,
                    reference,
                    &PeerError::UnsupportedFrame { frame_type }.into(),
                );
                return Ok(());
            }
            // The server asks nothing, so there is nothing that this could answer; but its body has to decode.
            (Kind::Reply, _) => {
                return frame.decode().map(drop).map_err(Violation::MalformedFrame);
            }
            (Kind::Request | Kind::Event, false) => {}
        }
        //= spec/02-errors-and-limits.md#what-is-answered-how
        //# [ERR-024] On a second LOGIN on a connection the server MUST send GOAWAY PROTOCOL_VIOLATION and close.
        if frame_type == FrameType::LOGIN {
            return Err(Violation::SecondLogin);
        }
        //= spec/01-framing.md#unknown-frames
        //# [FRM-041] To a request of a known type whose feature is not enabled on this connection the server MUST
        //# answer ERROR UNSUPPORTED_FRAME.
        if !self.enabled(conn, info) {
            return self.unknown(conn, frame);
        }
        match self.carry_out(conn, frame) {
            Ok(()) => Ok(()),
            Err(Fault::Connection(violation)) => Err(violation),
            Err(Fault::Request(error)) => {
                self.refuse(conn, reference, &error.into());
                Ok(())
            }
        }
    }

    fn enabled(&self, conn: ConnId, info: &FrameInfo) -> bool {
        let Some(feature) = info.feature else {
            return true;
        };
        self.session(conn)
            .is_some_and(|session| session.has(feature))
    }

    //= spec/03-versioning.md#grease
    //# [VER-020] A receiver MUST treat grease as any unknown value of its kind.
    //= spec/03-versioning.md#grease
    //# [VER-022] The server MUST ignore flag bit 7 on every frame.
    fn unknown(&mut self, conn: ConnId, frame: &RawFrame) -> Result<(), Violation> {
        let frame_type = frame.frame_type;
        if frame.is_request() {
            //= spec/01-framing.md#unknown-frames
            //# [FRM-040] To a request of an unknown type the server MUST answer ERROR UNSUPPORTED_FRAME and keep the
            //# connection.
            self.refuse(
                conn,
                frame.reference,
                &PeerError::UnsupportedFrame { frame_type }.into(),
            );
            return Ok(());
        }
        //= spec/01-framing.md#unknown-frames
        //# [FRM-042] On an unknown event with CRITICAL set the receiver MUST send GOAWAY UNKNOWN_CRITICAL and close.
        if frame.flags.contains(Flags::CRITICAL) {
            return Err(Violation::UnknownCritical { frame_type });
        }
        //= spec/01-framing.md#unknown-frames
        //# [FRM-043] An unknown event without CRITICAL MUST be skipped without effect on the connection.
        Ok(())
    }

    //= spec/02-errors-and-limits.md#what-is-answered-how
    //# [ERR-020] To a request other than LOGIN whose body does not decode the server MUST answer ERROR MALFORMED_BODY.
    //= spec/02-errors-and-limits.md#what-is-answered-how
    //# [ERR-021] On an event whose body does not decode or breaks a bound of items the server MUST send GOAWAY
    //# MALFORMED_FRAME and close.
    //= spec/02-errors-and-limits.md#what-is-answered-how
    //# [ERR-022] To a request other than LOGIN with more items in a repeated field than its bound the server MUST
    //# answer ERROR TOO_MANY_ITEMS with limit and field.
    //= spec/02-errors-and-limits.md#what-is-answered-how
    //# [ERR-025] When several checks of a request fail, the server MUST answer the one that comes first in the order of
    //# this section.
    fn carry_out(&mut self, conn: ConnId, frame: &RawFrame) -> Result<(), Fault> {
        let reference = frame.reference;
        let blame = |error| Fault::of_body(frame, error);
        // The frequent frames are borrowed from the bytes, the others are decoded into types of their own.
        match frame.frame_type {
            FrameType::SEND => {
                let send = SendView::decode(&frame.body).map_err(blame)?;
                let handled = self
                    .required(conn, send.requires.iter().map(|feature| feature.0))
                    .and_then(|()| self.on_send(conn, reference, &send));
                self.finish(conn, reference, handled);
            }
            FrameType::ACK => {
                let ack = AckView::decode(&frame.body).map_err(blame)?;
                self.on_ack(conn, ack.pos);
            }
            _ => {
                let body = frame.decode().map_err(blame)?;
                let handled = self.dispatch(conn, reference, body);
                self.finish(conn, reference, handled);
            }
        }
        Ok(())
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-002] A request that is answered with ERROR MUST have had no effect.
    fn finish(&mut self, conn: ConnId, reference: u32, handled: Handled) {
        if let Err(refusal) = handled {
            self.refuse(conn, reference, &refusal);
        }
    }

    fn required(&self, conn: ConnId, requires: impl Iterator<Item = u32>) -> Handled {
        let enabled: &[Feature] = self.session(conn).map_or(&[], |session| &session.features);
        Refusal::missing(requires, enabled)
    }

    fn dispatch(&mut self, conn: ConnId, reference: u32, body: Frame) -> Handled {
        let requires: &[u32] = match &body {
            Frame::Ping(body) => &body.requires,
            Frame::Reauth(body) => &body.requires,
            Frame::Logout(body) => &body.requires,
            Frame::Devices(body) => &body.requires,
            Frame::Sync(body) => &body.requires,
            Frame::ContentGet(body) => &body.requires,
            Frame::Mark(body) => &body.requires,
            Frame::StatusGet(body) => &body.requires,
            Frame::GroupOp(body) => &body.requires,
            Frame::GroupList(body) => &body.requires,
            Frame::ExpirySet(body) => &body.requires,
            _ => &[],
        };
        if !requires.is_empty() {
            self.required(conn, requires.iter().copied())?;
        }
        match body {
            Frame::Ping(body) => return self.on_ping(conn, reference, body),
            Frame::Credit(body) => self.on_credit(conn, &body),
            Frame::Goaway(_) => self.on_goaway(conn),
            Frame::Reauth(body) => return self.on_reauth(conn, reference, &body),
            Frame::Logout(body) => self.on_logout(conn, reference, &body),
            Frame::Devices(body) => return self.on_devices(conn, reference, &body),
            Frame::Sync(body) => return self.on_sync(conn, reference, &body),
            Frame::ContentGet(body) => return self.on_content_get(conn, reference, &body),
            Frame::Mark(body) => return self.on_mark(conn, reference, &body),
            Frame::StatusGet(body) => return self.on_status_get(conn, reference, &body),
            Frame::GroupOp(body) => return self.on_group_op(conn, reference, body),
            Frame::GroupList(body) => return self.on_group_list(conn, reference, &body),
            Frame::ExpirySet(body) => return self.on_expiry_set(conn, reference, &body),
            // The table of frames lets nothing else come here.
            _ => return Err(Refusal::of(Code::UNSUPPORTED_FRAME)),
        }
        Ok(())
    }
}
