//! Texts of a testee in reports: shortened, and with every sign visible, so that none steers what shows it.

use std::fmt::Write;

/// The characters of a text that one place of a report shows; the JSON has the rest.
pub(super) const LONGEST: usize = 4_000;

/// The text with control and direction signs written out, cut after `most` characters. Line ends stay.
pub(super) fn visible(text: &str, most: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(most));
    let mut signs = text.chars();
    for sign in signs.by_ref().take(most) {
        if sign != '\n' && is_hidden(sign) {
            let _ = write!(shown, "\\u{{{:x}}}", u32::from(sign));
        } else {
            shown.push(sign);
        }
    }
    let left_out = signs.count();
    if left_out > 0 {
        let _ = write!(shown, "... {left_out} more characters");
    }
    shown
}

/// The same in one line.
pub(crate) fn in_line(text: &str, most: usize) -> String {
    visible(text, most).replace('\n', " ")
}

/// Control signs steer terminals, direction signs let a text look like another, and XML cannot hold the last two.
fn is_hidden(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// A text within XML: an element's content or an attribute in double quotes.
pub(crate) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            sign => escaped.push(sign),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(visible("a\0b\x1b[31m\n", 99), "a\\u{0}b\\u{1b}[31m\n");
        assert_eq!(visible("\u{202e}x", 99), "\\u{202e}x");
    }

    #[test]
    fn long_texts_say_what_is_left_out() {
        assert_eq!(visible("abcdef", 4), "abcd... 2 more characters");
        assert_eq!(in_line("a\nb", 4), "a b");
    }
}
