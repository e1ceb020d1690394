//! What the page has to keep: it needs no network, and no text of a testee is markup in it.

use serde_json::Value;

use super::Broken;

const DATA: &str = "<script type=\"application/json\" id=\"data\">";

/// What would fetch something, or make markup of a text.
const OUTSIDE: [&str; 9] = [
    "<img",
    "<iframe",
    "<link",
    "<script src",
    "@import",
    "url(",
    "fetch(",
    "XMLHttpRequest",
    "innerHTML",
];

/// The page is whole, its data are JSON that no sign ends early, and nothing in it is fetched.
pub(super) fn check(text: &str) -> Result<(), Broken> {
    let fail = |what: &str| Err(Broken::new(what));
    if !text.starts_with("<!doctype html>") || !text.trim_end().ends_with("</html>") {
        return fail("the page is not whole");
    }
    let Some((before, rest)) = text.split_once(DATA) else {
        return fail("no data");
    };
    let Some((data, after)) = rest.split_once("</script>") else {
        return fail("the data do not end");
    };
    if data.contains('<') {
        return fail("the data could be markup");
    }
    if let Err(error) = serde_json::from_str::<Value>(data) {
        return fail(&format!("the data are no JSON: {error}"));
    }
    if !before.contains("default-src 'none'") {
        return fail("the page may fetch what it likes");
    }
    // The title is the one text of a testee outside the data.
    let Some((head, title)) = before.split_once("<title>") else {
        return fail("no title");
    };
    let Some((title, head_after)) = title.split_once("</title>") else {
        return fail("the title does not end");
    };
    if title.contains('<') {
        return fail("the title could be markup");
    }
    for part in [head, head_after, after] {
        for outside in OUTSIDE {
            if part.contains(outside) {
                return fail(&format!("{outside} stands in the page"));
            }
        }
    }
    Ok(())
}
