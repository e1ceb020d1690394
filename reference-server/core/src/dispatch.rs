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
    //# [FRM-025]
    //# [ERR-038]
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
        //# [FRM-046]
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
            //# [ERR-023]
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
        //# [FRM-026]
        if info.direction == Direction::ServerToClient {
            return Err(Violation::WrongDirection { frame_type });
        }
        match (info.kind, frame.flags.contains(Flags::REPLY)) {
            // The server asks nothing, so there is nothing that this could answer.
            (Kind::Reply, true) => return Ok(()),
            //# [FRM-027]
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
            (Kind::Reply, false) => return Ok(()),
            (Kind::Request | Kind::Event, false) => {}
        }
        //# [ERR-024]
        if frame_type == FrameType::LOGIN {
            return Err(Violation::SecondLogin);
        }
        //# [FRM-041]
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

    //# [VER-020]
    //# [VER-022]
    fn unknown(&mut self, conn: ConnId, frame: &RawFrame) -> Result<(), Violation> {
        let frame_type = frame.frame_type;
        if frame.is_request() {
            //# [FRM-040]
            self.refuse(
                conn,
                frame.reference,
                &PeerError::UnsupportedFrame { frame_type }.into(),
            );
            return Ok(());
        }
        //# [FRM-042]
        if frame.flags.contains(Flags::CRITICAL) {
            return Err(Violation::UnknownCritical { frame_type });
        }
        //# [FRM-043]
        Ok(())
    }

    //# [ERR-020]
    //# [ERR-021]
    //# [ERR-022]
    //# [ERR-025]
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

    //# [ERR-002]
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
