//! The loop of an adapter that answers each request before it reads the next.

use std::io::{self, BufRead, Write};

use serde_json::{Map, Value, json};

use crate::hex::unhex;

/// What an op came to: what it answers, or the code and text of a refusal.
pub type Done = Result<Value, (String, String)>;
/// `None`: nobody here knows the op.
pub type Outcome = Option<Done>;

/// A request that is none.
pub fn bad(text: impl ToString) -> (String, String) {
    ("BAD_REQUEST".to_owned(), text.to_string())
}

/// The arguments of a request, and what else stands in its line.
#[derive(Clone, Debug)]
pub struct Arguments(pub Map<String, Value>);

impl Arguments {
    /// A text, empty where there is none.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).and_then(Value::as_str).unwrap_or("")
    }

    /// A number of 32 bits, 0 where there is none.
    ///
    /// # Errors
    /// If it is something else.
    pub fn number(&self, key: &str) -> Result<u32, (String, String)> {
        let number = self.0.get(key).map_or(Some(0), Value::as_u64);
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| bad(format!("{key} is no number of 32 bits")))
    }

    /// A number of 64 bits, as a number or in decimal digits, 0 where there is none.
    ///
    /// # Errors
    /// If it is something else.
    pub fn long(&self, key: &str) -> Result<u64, (String, String)> {
        let number = match self.0.get(key) {
            None => Some(0),
            Some(Value::String(digits)) => digits.parse().ok(),
            Some(other) => other.as_u64(),
        };
        number.ok_or_else(|| bad(format!("{key} is no number of 64 bits")))
    }

    /// Bytes in hex, none where there are none.
    ///
    /// # Errors
    /// If it is something else.
    pub fn bytes(&self, key: &str) -> Result<Vec<u8>, (String, String)> {
        unhex(self.text(key)).ok_or_else(|| bad(format!("{key} is not hex")))
    }

    /// A list, empty where there is none.
    ///
    /// # Errors
    /// If it is something else.
    pub fn list(&self, key: &str) -> Result<&[Value], (String, String)> {
        match self.0.get(key) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(bad(format!("{key} is no list"))),
        }
    }
}

/// Says `hello` when the runner does, then answers each request with what `handle` makes of its op and arguments.
///
/// # Errors
/// If a line is no request, or the pipes break.
pub fn serve(
    input: impl BufRead,
    mut output: impl Write,
    hello: &Value,
    mut handle: impl FnMut(&str, &Arguments) -> Outcome,
) -> io::Result<()> {
    for line in input.lines() {
        let request = Arguments(serde_json::from_str(&line?)?);
        let reply = if request.0.contains_key("hello") {
            json!({ "hello": hello })
        } else {
            let id = request.0.get("id").cloned().unwrap_or_default();
            match handle(request.text("op"), &request) {
                Some(Ok(ok)) => json!({ "id": id, "ok": ok }),
                Some(Err((code, text))) => {
                    json!({ "id": id, "err": { "code": code, "text": text } })
                }
                None => json!({ "id": id, "unsupported": true }),
            }
        };
        writeln!(output, "{reply}")?;
        output.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

    use super::*;

    #[test]
    fn each_request_gets_its_answer() {
        let input = "{\"hello\": {}}\n{\"id\": 3, \"op\": \"add\", \"n\": 2}\n{\"id\": 4, \"op\": \"no\"}\n{\"id\": 5, \"op\": \"add\", \"n\": true}\n";
        let mut output = Vec::new();
        serve(
            input.as_bytes(),
            &mut output,
            &json!({ "protocol": 1 }),
            |op, arguments| (op == "add").then(|| Ok(json!({ "n": arguments.number("n")? + 1 }))),
        )
        .unwrap();
        let lines: Vec<Value> = String::from_utf8(output)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                json!({ "hello": { "protocol": 1 } }),
                json!({ "id": 3, "ok": { "n": 3 } }),
                json!({ "id": 4, "unsupported": true }),
                json!({ "id": 5, "err": { "code": "BAD_REQUEST", "text": "n is no number of 32 bits" } }),
            ]
        );
    }
}
