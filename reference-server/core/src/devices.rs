//! Family login, feature `devices`: the list of devices, and forgetting one.

use tidewire_codec::{Code, FrameType, proto};

use crate::api::ConnId;
use crate::core::Core;
use crate::ids::{DeviceId, DeviceUid};
use crate::persist::Key;
use crate::refuse::{Handled, Refusal};
use crate::store::UserKey;

impl Core {
    //= spec/20-login.md#devices
    //# [LGN-033] To DEVICES the server MUST answer DEVICE_LIST with every known device of the user, the asking one with
    //# online true.
    //= spec/04-security.md#security
    //# [SEC-006] A frame MUST NOT let a user read or change the log, the devices or the marks of another.
    pub(crate) fn on_devices(
        &mut self,
        conn: ConnId,
        reference: u32,
        devices: &proto::Devices,
    ) -> Handled {
        let Some((user, own)) = self.who(conn) else {
            return Ok(());
        };
        if let Some(forget) = &devices.forget {
            //= spec/20-login.md#devices
            //# [LGN-035] DEVICES that would forget the asking device or one that is not known MUST be answered with
            //# ERROR INVALID_FIELD for forget.
            let known = DeviceId::try_from(&forget[..])
                .ok()
                .and_then(|id| {
                    self.users
                        .get_mut(user)?
                        .device_by_id(&id)
                        .map(|device| device.uid)
                })
                .filter(|uid| *uid != own);
            let Some(uid) = known else {
                return Err(Refusal::field("forget"));
            };
            //= spec/20-login.md#devices
            //# [LGN-034] DEVICES with forget MUST remove that device from the list that it answers, and a live session
            //# of it gets GOAWAY DEVICE_FORGOTTEN.
            let session = self
                .users
                .get(user)
                .and_then(|user| user.device(uid))
                .and_then(|device| device.session);
            if let Some(session) = session {
                self.goaway(session, Code::DEVICE_FORGOTTEN);
            }
            self.forget_device(user, uid);
        }
        let list = self.device_list(user);
        self.reply(conn, FrameType::DEVICE_LIST, reference, &list);
        Ok(())
    }

    fn device_list(&self, user: UserKey) -> proto::DeviceList {
        let devices = self.users.get(user).map_or(&[][..], |user| &user.devices);
        let devices = devices.iter().map(|device| proto::Device {
            device_id: device.id.to_vec().into(),
            agent: device.agent.clone(),
            online: device.session.is_some(),
            //= spec/20-login.md#devices
            //# [LGN-036] DEVICE_LIST MUST carry each device's cursor in acked_pos.
            acked_pos: device.cursor.0,
            age_ms: self.now.since(device.last_login),
        });
        proto::DeviceList {
            devices: devices.collect(),
        }
    }

    //= spec/30-send.md#idempotency
    //# [SND-031] The key of a forgotten device MUST NOT be mistaken for one of the device that logs in later with the
    //# same id.
    /// The device is not known any more. What it acknowledged stays acknowledged, and its keys are those of nobody.
    pub(crate) fn forget_device(&mut self, key: UserKey, uid: DeviceUid) {
        let Some(user) = self.users.get_mut(key) else {
            return;
        };
        let Some(index) = user.devices.iter().position(|device| device.uid == uid) else {
            return;
        };
        let device = user.devices.remove(index);
        user.acked_floor = user.acked_floor.max(device.cursor);
        self.batch.put_user(user);
        self.batch.remove(Key::Device(key, device.id));
        self.batch.remove(Key::Cursor(key, uid));
    }
}
