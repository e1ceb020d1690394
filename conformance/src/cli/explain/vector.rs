//! A case of the codec direction: what is put to a codec, and what it has to say.

use std::io::{self, Write};

use tidewire_codec::dump::Dump;

use super::{Suite, sentence, tidy};
use crate::vectors::{Vector, What};

pub(super) fn explain(out: &mut dyn Write, suite: &Suite, vector: &Vector) -> io::Result<()> {
    writeln!(out, "{}: {}", vector.id, vector.title)?;
    writeln!(
        out,
        "file: {}, line {}",
        tidy(&vector.file).display(),
        vector.line
    )?;
    match &vector.what {
        What::Frame(frame) => {
            writeln!(
                out,
                "put to `decode`: whole, twice in one piece, cut in two at each place, and all bytes but the last one by one"
            )?;
            let encoded = if frame.canonical {
                "put to `encode`: the fields; the bytes are these, or others that decode to the same"
            } else {
                "not put to `encode`, which would write other bytes"
            };
            writeln!(out, "{encoded}")?;
        }
        What::Invalid(_) => writeln!(
            out,
            "put to `judge` or `decode`, with bytes beside it that have to be taken"
        )?,
        What::Row(_) => writeln!(
            out,
            "put to `negotiate`, with a row beside it that has another answer"
        )?,
    }
    if let Some(bytes) = vector.bytes() {
        writeln!(out, "\n{}", Dump::stream(bytes).to_string().trim_end())?;
    }
    writeln!(out, "\nexpected: {:#}", vector.expected())?;
    writeln!(out, "\nsentences")?;
    for id in vector.claims() {
        sentence(out, suite, &id)?;
    }
    Ok(())
}
