//! The numbers that an operator may choose.

use tidewire_codec::limits;

/// Bounds and times of the server. The defaults are those of `spec/registries/limits.toml`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Largest body the server receives after LOGIN_OK, bytes; 16,384 to 1,048,576.
    pub max_frame: u32,
    /// Unanswered requests that a client may have.
    pub max_inflight: u32,
    /// Life of a message that names none, ms.
    pub default_ttl_ms: u64,
    /// Longest life of a message, ms.
    pub max_ttl_ms: u64,
    /// How long idempotency keys are remembered, ms; at least a day.
    pub idem_window_ms: u64,
    /// Keys remembered for one device.
    pub max_idem_per_device: u32,
    /// How long an entry is kept that every known device acknowledged, ms.
    pub log_retention_ms: u64,
    /// How long an entry is kept that was not acknowledged, ms.
    pub log_lifetime_ms: u64,
    /// Devices of a user.
    pub max_devices: usize,
    /// Undelivered messages of a user.
    pub max_inbox: usize,
    /// Members of a group.
    pub max_group_members: usize,
    /// Groups of a user.
    pub max_groups_per_user: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            max_frame: limits::MAX_FRAME_DEFAULT,
            max_inflight: limits::MAX_INFLIGHT_DEFAULT,
            default_ttl_ms: limits::DEFAULT_TTL_MS,
            max_ttl_ms: limits::MAX_TTL_MS,
            idem_window_ms: limits::IDEM_WINDOW_MS,
            max_idem_per_device: limits::MAX_IDEM_PER_DEVICE,
            log_retention_ms: limits::LOG_RETENTION_MS,
            log_lifetime_ms: limits::LOG_LIFETIME_MS,
            max_devices: limits::MAX_DEVICES as usize,
            max_inbox: limits::MAX_INBOX,
            max_group_members: limits::MAX_GROUP_MEMBERS,
            max_groups_per_user: limits::MAX_GROUPS_PER_USER,
        }
    }
}

impl Config {
    //= spec/02-errors-and-limits.md#sizes
    //# [ERR-033] The server MUST announce in LOGIN_OK a max_frame of at least 16,384 and at most 1,048,576.
    //= spec/20-login.md#login-1
    //# [LGN-012] idem_window_ms MUST be at least 86,400,000.
    /// The same with every value within what the protocol allows.
    #[must_use]
    pub fn clamped(mut self) -> Config {
        self.max_frame = self
            .max_frame
            .clamp(limits::MAX_FRAME_FLOOR, limits::MAX_FRAME_HARD);
        self.max_inflight = self.max_inflight.max(1);
        self.idem_window_ms = self.idem_window_ms.max(limits::IDEM_WINDOW_MS);
        self.max_ttl_ms = self.max_ttl_ms.max(1);
        self.default_ttl_ms = self.default_ttl_ms.clamp(1, self.max_ttl_ms);
        // An entry has to outlive its message, or a message that still lives would be dropped with the log.
        self.log_lifetime_ms = self.log_lifetime_ms.max(self.max_ttl_ms);
        self
    }
}
