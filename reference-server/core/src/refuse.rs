//! Every ERROR and GOAWAY that the core makes comes from here.

use tidewire_codec::{Code, Feature, PeerError, Violation, limits, negotiate, proto};

/// How long a client waits before it tries again, where the core cannot know better.
const RETRY_STORE_FULL_MS: u32 = 1_000;
const RETRY_INBOX_FULL_MS: u32 = 10_000;

/// Why a request is not carried out: the body of its ERROR.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal(pub(crate) Box<proto::Error>);

/// What handling a request comes to; on `Ok` its reply is written.
pub(crate) type Handled = Result<(), Refusal>;

impl Refusal {
    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-004] ERROR MUST carry a code of class 4 or 5, and GOAWAY a code of class 1, 2 or 3.
    /// A refusal without details.
    pub(crate) fn of(code: Code) -> Refusal {
        let text = code.meaning().unwrap_or_default().to_owned();
        Refusal(Box::new(proto::Error {
            code: u32::from(code.0),
            text,
            ..proto::Error::default()
        }))
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-009] ERROR INVALID_FIELD MUST name the field.
    /// INVALID_FIELD.
    pub(crate) fn field(name: &str) -> Refusal {
        let mut refusal = Refusal::of(Code::INVALID_FIELD);
        refusal.0.field = Some(name.to_owned());
        refusal
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-010] Where a bound was broken, ERROR and GOAWAY MUST carry the bound in limit and the given value in
    //# actual.
    /// The same with the bound that was broken.
    pub(crate) fn bound(mut self, limit: u64, actual: u64) -> Refusal {
        self.0.limit = Some(limit);
        self.0.actual = Some(actual);
        self
    }

    /// The same with the value that was found where no bound was broken.
    pub(crate) fn actual(mut self, actual: u64) -> Refusal {
        self.0.actual = Some(actual);
        self
    }

    /// The same with a time to wait.
    pub(crate) fn retry(mut self, ms: u32) -> Refusal {
        self.0.retry_after_ms = Some(ms);
        self
    }

    //= spec/02-errors-and-limits.md#error-and-goaway
    //# [ERR-012] An ERROR of class 5 MUST carry retry_after_ms.
    /// STORE_FULL.
    pub(crate) fn store_full() -> Refusal {
        Refusal::of(Code::STORE_FULL).retry(RETRY_STORE_FULL_MS)
    }

    //= spec/30-send.md#bounds
    //# [SND-080] When the addressed user has as many undelivered messages as allowed, the server MUST answer ERROR
    //# INBOX_FULL.
    /// INBOX_FULL.
    pub(crate) fn inbox_full(limit: usize, actual: usize) -> Refusal {
        Refusal::of(Code::INBOX_FULL)
            .bound(limit as u64, actual as u64)
            .retry(RETRY_INBOX_FULL_MS)
    }

    //= spec/03-versioning.md#features
    //# [VER-013] To a request whose requires names a feature that is not enabled on the connection, the server MUST
    //# answer ERROR FEATURE_REQUIRED listing the missing ids, before any effect.
    /// FEATURE_REQUIRED, if something is missing.
    pub(crate) fn missing(requires: impl Iterator<Item = u32>, enabled: &[Feature]) -> Handled {
        let ids: Vec<u32> = requires.collect();
        let missing = negotiate::missing_features(&ids, enabled);
        if missing.is_empty() {
            Ok(())
        } else {
            Err(PeerError::FeatureRequired { missing }.into())
        }
    }
}

impl From<PeerError> for Refusal {
    fn from(error: PeerError) -> Refusal {
        Refusal(Box::new(error.to_error()))
    }
}

/// Why a connection ends: the body of its GOAWAY.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Farewell(pub(crate) Box<proto::Goaway>);

impl Farewell {
    /// A farewell without details.
    pub(crate) fn of(code: Code) -> Farewell {
        let text = code.meaning().unwrap_or_default().to_owned();
        Farewell(Box::new(proto::Goaway {
            code: u32::from(code.0),
            text,
            ..proto::Goaway::default()
        }))
    }

    //= spec/20-login.md#login-1
    //# [LGN-006] When token is empty or longer than 4,096 bytes, device_id is not 16 bytes or all zero, or agent is
    //# longer than 64 bytes, the server MUST send GOAWAY INVALID_LOGIN that names the field, and close.
    /// INVALID_LOGIN for a field.
    pub(crate) fn login_field(name: &str) -> Farewell {
        let mut farewell = Farewell::of(Code::INVALID_LOGIN);
        farewell.0.field = Some(name.to_owned());
        farewell
    }

    /// The same with the bound that was broken.
    pub(crate) fn bound(mut self, limit: u64, actual: u64) -> Farewell {
        self.0.limit = Some(limit);
        self.0.actual = Some(actual);
        self
    }

    /// The same with feature ids.
    pub(crate) fn features(mut self, features: &[Feature]) -> Farewell {
        self.0.features = features.iter().map(|feature| feature.0).collect();
        self
    }

    /// The budget of frames that must be answered is used up.
    pub(crate) fn budget() -> Farewell {
        let limit = u64::from(limits::MUST_ANSWER_BUDGET);
        Farewell::of(Code::TOO_MANY_CONTROL_FRAMES).bound(limit, limit + 1)
    }
}

impl From<Violation> for Farewell {
    fn from(violation: Violation) -> Farewell {
        Farewell(Box::new(violation.to_goaway()))
    }
}

/// Shorthand of a check.
pub(crate) fn check(holds: bool, refusal: impl FnOnce() -> Refusal) -> Handled {
    if holds { Ok(()) } else { Err(refusal()) }
}
