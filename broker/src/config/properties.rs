//! Reads `server.properties`: the Java properties format as people write it for Kafka.
//!
//! Must not know what keys mean.

use std::collections::BTreeMap;

/// The keys and values of a properties text; a key given twice keeps its last value, as in Java.
///
/// Comments begin with `#` or `!`; key and value are parted by `=`, `:` or white space; a backslash at the end of a
/// line continues it; `\t \n \r \f \uXXXX` and `\` before any other character are unescaped.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Malformed> {
    let mut values = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, first)) = lines.next() {
        let mut line = first.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while continues(&line) {
            line.pop();
            match lines.next() {
                Some((_, next)) => line.push_str(next.trim_start()),
                None => break,
            }
        }
        let (key, value) = split(&line);
        let unescape = |part: &str| unescape(part).ok_or(Malformed { line: index + 1 });
        values.insert(unescape(key)?, unescape(value.trim_end())?);
    }
    Ok(values)
}

/// A line with a broken `\uXXXX` escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: malformed \\uXXXX escape")]
pub struct Malformed {
    /// Number of the line, from 1.
    pub line: usize,
}

/// An odd number of backslashes at the end continues the line; an even one is escaped backslashes.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|&b| b == b'\\').count() % 2 == 1
}

fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (c == '=' || c == ':' || c.is_whitespace());
            escaped = !escaped && c == '\\';
            ends
        })
        .map_or(line.len(), |(at, _)| at);
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start();
    (key, rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start())
}

fn unescape(part: &str) -> Option<String> {
    let mut out = String::with_capacity(part.len());
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits = chars.as_str().get(..4)?;
                out.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
                chars = chars.as_str()[4..].chars();
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_that_of_java() {
        let text =
            "# comment\n! too\n\n a=1\nb : 2\nc 3\nd=x\\\n   y\ne\nf\\=g=h\ni=\\u00e4\\tz\nj=a\\\\\nk= = \na=9\n";
        let values = parse(text).unwrap();
        let expected = [
            ("a", "9"),
            ("b", "2"),
            ("c", "3"),
            ("d", "xy"),
            ("e", ""),
            ("f=g", "h"),
            ("i", "ä\tz"),
            ("j", "a\\"),
            ("k", "="),
        ];
        assert_eq!(values, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn a_broken_escape_names_its_line() {
        assert_eq!(parse("a=1\nb=\\u12"), Err(Malformed { line: 2 }));
    }
}
