//! Feature ids: what a client offers and a server enables.

use super::registry;

registry! {
    /// A feature id of `spec/registries/features.toml`.
    pub struct Feature(u32), grease(0x0F0F_0F0F, 0x0A0A_0A0A);

    DEVICES = 1, "devices", "DEVICES and DEVICE_LIST";
    STATUS_GET = 2, "status-get", "STATUS_GET and STATUS_LIST";
    GROUPS = 3, "groups", "the group family";
    EXPIRY_SET = 4, "expiry-set", "EXPIRY_SET";
}
