//! The codec direction: the fixtures of frames, of bytes that break a rule and of negotiation, put to a bare codec.
//!
//! Each file, and each row of a table, is a case. Nothing is taken from an answer alone: bytes that must be refused come
//! with others that must not, and a row of a table with one that has another answer. So a codec that always says the same
//! passes nothing.

mod ask;
mod bodies;
mod frames;
mod invalid;
mod load;
mod negotiation;
mod run;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::session::FixtureError;
use crate::spec::Requirements;

pub(crate) use ask::AdapterCodec;
pub(crate) use run::{VectorOptions, run};

/// One case of the codec direction.
#[derive(Clone, Debug)]
pub(crate) struct Vector {
    /// `frames/send/ack-07-beyond-doubles`, `invalid/size-01-login`, `negotiation/version#3`.
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) file: PathBuf,
    /// The line in the file, from 1.
    pub(crate) line: usize,
    /// What the fixture says that it proves.
    pub(crate) proves: BTreeSet<String>,
    pub(crate) what: What,
}

/// What is put to the codec.
#[derive(Clone, Debug)]
pub(crate) enum What {
    Frame(frames::FrameVector),
    Invalid(invalid::InvalidVector),
    Row(negotiation::Row),
}

impl Vector {
    /// All of the id but its last part.
    pub(crate) fn family(&self) -> &str {
        self.id.rsplit_once('/').map_or("", |(family, _)| family)
    }

    /// The bytes that are put to the codec, where it is bytes.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.what {
            What::Frame(frame) => Some(&frame.bytes),
            What::Invalid(invalid) => Some(&invalid.bytes),
            What::Row(_) => None,
        }
    }

    /// What the codec has to say, as the fixture writes it.
    pub(crate) fn expected(&self) -> Json {
        match &self.what {
            What::Frame(frame) => frame.fields(),
            What::Invalid(invalid) => Json::Object(invalid.answer.clone()),
            What::Row(row) => Json::Object(row.expected.clone()),
        }
    }

    /// Why it cannot be put to a codec with these ops.
    pub(crate) fn lacks(&self, can: &dyn Fn(&str) -> bool) -> Option<String> {
        let op = match &self.what {
            What::Frame(frame) => frame.lacks(can),
            What::Invalid(invalid) => invalid.lacks(can),
            What::Row(_) => (!can("negotiate")).then_some("negotiate"),
        };
        op.map(|op| format!("the codec has no {op}"))
    }

    /// What it can prove, the procedure itself included.
    pub(crate) fn claims(&self) -> BTreeSet<String> {
        let mut claims = self.proves.clone();
        if let What::Frame(frame) = &self.what {
            claims.extend(frame.procedure_proves().map(str::to_owned));
        }
        claims
    }
}

/// All cases of the codec direction, in the order of their ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Vectors(Vec<Vector>);

impl Vectors {
    /// Reads `<fixtures>/frames`, `invalid` and `negotiation`.
    ///
    /// # Errors
    /// The first file that is not there or not as it must be, or that cites a requirement that the specification has not.
    pub(crate) fn read(
        fixtures: &Path,
        requirements: &Requirements,
    ) -> Result<Vectors, FixtureError> {
        load::read(fixtures, requirements).map(Vectors)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Vector> {
        self.0.iter()
    }
}
