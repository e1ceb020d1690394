//! Version and feature choice, as pure functions.

use alloc::vec::Vec;
use core::fmt;
use core::ops::RangeInclusive;

use crate::registry::{Code, Feature};

/// The major versions that this crate speaks.
pub const VERSIONS: RangeInclusive<u32> = 1..=1;

/// Why no version came of a LOGIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionError {
    /// `version_min` is 0 or above `version_max`: no range at all.
    InvalidRange {
        /// `version_min` of LOGIN.
        min: u32,
        /// `version_max` of LOGIN.
        max: u32,
    },
    /// The ranges do not meet.
    Unsupported {
        /// `version_min` of LOGIN.
        min: u32,
        /// `version_max` of LOGIN.
        max: u32,
    },
}

impl VersionError {
    /// The code of the GOAWAY that answers the LOGIN.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            VersionError::InvalidRange { .. } => Code::INVALID_LOGIN,
            VersionError::Unsupported { .. } => Code::VERSION_UNSUPPORTED,
        }
    }
}

impl fmt::Display for VersionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionError::InvalidRange { min, max } => {
                write!(f, "version_min {min} and version_max {max} are no range")
            }
            VersionError::Unsupported { min, max } => {
                write!(f, "no version from {min} to {max} is spoken here")
            }
        }
    }
}

impl core::error::Error for VersionError {}

//= spec/03-versioning.md#major-version
//# [VER-001] The server MUST choose the highest version that lies in the client's range and that it speaks, and name it
//# in LOGIN_OK.
//= spec/03-versioning.md#major-version
//# [VER-002] When no version fits, the server MUST send GOAWAY VERSION_UNSUPPORTED and close.
//= spec/03-versioning.md#major-version
//# [VER-003] When version_min is 0 or above version_max, the server MUST send GOAWAY INVALID_LOGIN and close.
/// The highest version that lies in the client's range and in `ours`.
///
/// ```
/// use tidewire_codec::negotiate::{VERSIONS, choose_version};
///
/// assert_eq!(choose_version(1, 7, VERSIONS), Ok(1));
/// assert!(choose_version(2, 7, VERSIONS).is_err());
/// ```
///
/// # Errors
/// [`VersionError::InvalidRange`] if `min` is 0 or above `max`; [`VersionError::Unsupported`] if the ranges do not meet.
pub fn choose_version(min: u32, max: u32, ours: RangeInclusive<u32>) -> Result<u32, VersionError> {
    if min == 0 || min > max {
        return Err(VersionError::InvalidRange { min, max });
    }
    let highest = max.min(*ours.end());
    if highest < min || highest < *ours.start() {
        return Err(VersionError::Unsupported { min, max });
    }
    Ok(highest)
}

//= spec/03-versioning.md#features
//# [VER-010] The features in LOGIN_OK MUST be a subset of those that the client offered.
//= spec/03-versioning.md#features
//# [VER-012] The server MUST ignore feature ids in features that it does not know.
//= spec/03-versioning.md#features
//# [VER-015] The features in LOGIN_OK MUST NOT repeat an id.
/// The features that are both offered and ours, in the order of `ours`, each once however often it is offered.
#[must_use]
pub fn choose_features(offered: &[u32], ours: &[Feature]) -> Vec<Feature> {
    let mut chosen = Vec::with_capacity(ours.len());
    for feature in ours {
        if offered.contains(&feature.0) && !chosen.contains(feature) {
            chosen.push(*feature);
        }
    }
    chosen
}

/// The ids of `requires` that are not enabled, in their order, each once. Empty: the request may go on.
#[must_use]
pub fn missing_features(requires: &[u32], enabled: &[Feature]) -> Vec<Feature> {
    let mut missing = Vec::new();
    for feature in requires.iter().map(|id| Feature(*id)) {
        if !enabled.contains(&feature) && !missing.contains(&feature) {
            missing.push(feature);
        }
    }
    missing
}
