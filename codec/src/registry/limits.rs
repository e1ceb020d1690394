//! Numbers of the protocol, from `spec/registries/limits.toml`.
//!
//! The type of a constant follows its use: lengths and counts that are compared with `len()` are `usize`; what travels
//! in a field has the type of that field.

macro_rules! limits {
    ($($name:ident: $type:ty = $value:literal $unit:literal, $meaning:literal;)*) => {
        $(
            #[doc = concat!($meaning, ", in ", $unit, ".")]
            pub const $name: $type = $value;
        )*

        /// Every limit as (name, value, unit), in the order of the registry.
        pub const ALL: &[(&str, u64, &str)] = &[$((stringify!($name), $value, $unit),)*];
    };
}

limits! {
    PREFACE_LEN: usize = 8 "bytes", "length of the preface";
    HEADER_LEN: usize = 10 "bytes", "length of the frame header";
    MAX_FRAME_HARD: u32 = 1_048_576 "bytes", "largest body length in version 1";
    MAX_FRAME_BEFORE_LOGIN: u32 = 8_192 "bytes", "largest body before LOGIN_OK, both directions";
    MAX_FRAME_FLOOR: u32 = 16_384 "bytes", "smallest max_frame that may be announced";
    MAX_FRAME_DEFAULT: u32 = 65_536 "bytes", "max_frame where LOGIN says nothing";
    MAX_CONTENT_OVERHEAD: u32 = 2_048 "bytes", "content of a SEND may be the server's max_frame less this";
    MAX_INFLIGHT_DEFAULT: u32 = 256 "count", "max_inflight where LOGIN says nothing";
    MAX_NESTING: usize = 16 "count", "depth of nested messages in a body";
    MAX_ITEMS: usize = 1_000 "items", "items of one repeated field in a request";
    MAX_FEATURES: usize = 64 "items", "items of features and requires";
    MAX_TOKEN: usize = 4_096 "bytes", "length of a token";
    DEVICE_ID_LEN: usize = 16 "bytes", "length of a device id";
    IDEM_LEN: usize = 16 "bytes", "length of an idempotency key";
    MAX_USER_ID: usize = 64 "bytes", "length of a user id";
    MAX_AGENT: usize = 64 "bytes", "length of agent";
    MAX_CONTENT_TYPE: usize = 64 "bytes", "length of content_type";
    MAX_PING_DATA: usize = 32 "bytes", "length of the data of PING";
    LOGIN_TIMEOUT_MS: u64 = 10_000 "ms", "time from connect to LOGIN";
    KEEPALIVE_MIN_MS: u32 = 15_000 "ms", "shortest keepalive";
    KEEPALIVE_MAX_MS: u32 = 900_000 "ms", "longest keepalive";
    KEEPALIVE_DEFAULT_MS: u32 = 60_000 "ms", "keepalive where LOGIN says nothing";
    MUST_ANSWER_BUDGET: u32 = 1_000 "count", "PING frames and refused requests a connection may cause in one MUST_ANSWER_WINDOW_MS";
    MUST_ANSWER_WINDOW_MS: u64 = 10_000 "ms", "window of the budget";
    MAX_DEVICES: u32 = 8 "count", "devices of a user";
    IDEM_WINDOW_MS: u64 = 86_400_000 "ms", "shortest time an idempotency key is remembered";
    MAX_IDEM_PER_DEVICE: u32 = 1_000_000 "count", "keys remembered for one device; more is RATE_LIMITED";
    DEFAULT_TTL_MS: u64 = 2_592_000_000 "ms", "life of a message that names none (reference server)";
    MAX_TTL_MS: u64 = 2_592_000_000 "ms", "longest life of a message (reference server)";
    LOG_RETENTION_MS: u64 = 604_800_000 "ms", "an acknowledged entry is kept at least this long (reference server)";
    LOG_LIFETIME_MS: u64 = 2_592_000_000 "ms", "an entry that was not acknowledged is kept at least this long (reference server)";
    MAX_INBOX: usize = 100_000 "items", "undelivered messages a user may have (reference server)";
    MAX_GROUP_MEMBERS: usize = 5_000 "items", "members of a group (reference server)";
    MAX_GROUPS_PER_USER: usize = 1_000 "items", "groups of a user (reference server)";
    MAX_GROUP_NAME: usize = 128 "bytes", "length of a group name";
    MAX_GROUP_INFO: usize = 4_096 "bytes", "length of a group's info";
    MIN_PIN: usize = 4 "bytes", "shortest PIN";
    MAX_PIN: usize = 32 "bytes", "longest PIN";
    GROUP_RECEIPT_LIMIT: usize = 256 "items", "members up to which a group reports STATUS a member";
    GROUP_INFO_MEMBERS: usize = 256 "items", "members listed in GROUP_INFO, STATUS_LIST";
    GROUP_PAGE_LIMIT: usize = 100 "items", "groups in one GROUP_PAGE";
}
