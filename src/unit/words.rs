//! Command words: systemd's quoting and its variables (systemd.syntax(7), and COMMAND LINES of systemd.service(5)).
//!
//! Owns splitting a text into words, writing a word so that it splits back, and expanding `$VAR` and `${VAR}`. No
//! shell: no globs, pipes or redirections. What a word means (prefixes, the program) is `exec.rs`.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// What separates words.
const WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Why a text does not split into words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WordError {
    /// A quote without its partner.
    Quote(char),
    /// An escape that is none of systemd's, as written.
    Escape(String),
    /// Escapes such as `\xff` that make no UTF-8 together.
    Utf8,
}

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quote(quote) => write!(f, "a {quote} is opened and never closed"),
            Self::Escape(escape) if escape.is_empty() => {
                f.write_str("a lone \\ at the end: write \\\\ for a backslash")
            }
            Self::Escape(escape) => {
                let escape = escape.escape_debug();
                write!(
                    f,
                    "`\\{escape}` is not an escape: write \\\\ for a backslash"
                )
            }
            Self::Utf8 => f.write_str("its escapes do not make valid UTF-8"),
        }
    }
}

impl std::error::Error for WordError {}

/// Splits command lines into words: quotes are taken off and C escapes resolved; a `;` standing alone begins the next
/// command (`\;` is the word `;`). Commands without a word are left out.
///
/// # Errors
/// An open quote, or an escape that does not exist.
pub fn split_commands(text: &str) -> Result<Vec<Vec<String>>, WordError> {
    let mut commands = vec![];
    let mut words = vec![];
    let mut rest = text.trim_start_matches(WHITESPACE);
    while !rest.is_empty() {
        if let Some(after) = alone(rest, ";") {
            commands.push(std::mem::take(&mut words));
            rest = after;
        } else if let Some(after) = alone(rest, "\\;") {
            words.push(";".to_owned());
            rest = after;
        } else {
            let mut chars = rest.chars().peekable();
            words.push(next_word(&mut chars, Escapes::C)?);
            rest = &rest[rest.len() - chars.map(char::len_utf8).sum::<usize>()..];
        }
        rest = rest.trim_start_matches(WHITESPACE);
    }
    commands.push(words);
    commands.retain(|words| !words.is_empty());
    Ok(commands)
}

/// What follows `token` if it stands at the start as a word of its own.
fn alone<'t>(text: &'t str, token: &str) -> Option<&'t str> {
    let after = text.strip_prefix(token)?;
    (after.is_empty() || after.starts_with(WHITESPACE)).then_some(after)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// C escapes; an unknown one or an open quote is an error.
    C,
    /// A backslash takes the next character as it is, an open quote ends with the text: as in a variable's value.
    Plain,
}

/// Reads up to whitespace outside quotes. The first character is no whitespace.
fn next_word(chars: &mut Peekable<Chars>, escapes: Escapes) -> Result<String, WordError> {
    let mut word: Vec<u8> = vec![];
    let mut quote = None;
    while let Some(&c) = chars.peek() {
        if quote.is_none() && WHITESPACE.contains(&c) {
            break;
        }
        chars.next();
        match c {
            '\\' if escapes == Escapes::C => unescape(chars, &mut word)?,
            '\\' => push(&mut word, chars.next().unwrap_or('\\')),
            _ if quote == Some(c) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ => push(&mut word, c),
        }
    }
    match quote {
        Some(quote) if escapes == Escapes::C => Err(WordError::Quote(quote)),
        _ => String::from_utf8(word).map_err(|_| WordError::Utf8),
    }
}

fn push(word: &mut Vec<u8>, c: char) {
    word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Resolves what follows a backslash. `\xHH` and `\NNN` are bytes, `\u` and `\U` characters; none may be NUL.
fn unescape(chars: &mut Peekable<Chars>, word: &mut Vec<u8>) -> Result<(), WordError> {
    let Some(c) = chars.next() else {
        return Err(WordError::Escape(String::new()));
    };
    let simple = match c {
        'a' => Some(7),
        'b' => Some(8),
        'f' => Some(12),
        'n' => Some(b'\n'),
        'r' => Some(b'\r'),
        't' => Some(b'\t'),
        'v' => Some(11),
        's' => Some(b' '),
        '\\' | '"' | '\'' => u8::try_from(c).ok(),
        _ => None,
    };
    if let Some(byte) = simple {
        word.push(byte);
        return Ok(());
    }
    let mut written = String::from(c);
    let (digits, radix) = match c {
        'x' => (2, 16),
        'u' => (4, 16),
        'U' => (8, 16),
        '0'..='7' => (2, 8),
        _ => return Err(WordError::Escape(written)),
    };
    let mut value = c.to_digit(8).unwrap_or(0);
    for _ in 0..digits {
        let digit = chars.peek().and_then(|c| c.to_digit(radix));
        let (Some(digit), Some(c)) = (digit, chars.next()) else {
            return Err(WordError::Escape(written));
        };
        written.push(c);
        value = value.wrapping_mul(radix) + digit;
    }
    let character = char::from_u32(value).filter(|_| value != 0);
    match (c, character, u8::try_from(value)) {
        ('u' | 'U', Some(character), _) => push(word, character),
        ('x' | '0'..='7', _, Ok(byte)) if byte != 0 => word.push(byte),
        _ => return Err(WordError::Escape(written)),
    }
    Ok(())
}

/// Writes a word so that [`split_commands`] reads it back: bare where that is enough, else in double quotes.
#[must_use]
pub fn quote(word: &str) -> String {
    let special = |c: char| c.is_ascii_control() || matches!(c, ' ' | '"' | '\'' | '\\');
    if !word.is_empty() && word != ";" && !word.contains(special) {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for c in word.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Expands variables as systemd does: `$VAR` as a whole word becomes its value split at whitespace (quotes
/// respected; no word at all where it is not set), `${VAR}` its value as it is inside the word, `$$` a dollar
/// sign; any other `$` stays.
pub fn expand<'e>(
    arguments: &[String],
    mut lookup: impl FnMut(&str) -> Option<&'e str>,
) -> Vec<String> {
    let mut expanded = Vec::with_capacity(arguments.len());
    for argument in arguments {
        match argument.strip_prefix('$') {
            Some(name) if !name.is_empty() && !name.starts_with(['$', '{']) => {
                split_value(lookup(name).unwrap_or_default(), &mut expanded);
            }
            _ => expanded.push(expand_word(argument, &mut lookup)),
        }
    }
    expanded
}

fn split_value(value: &str, words: &mut Vec<String>) {
    let mut chars = value.chars().peekable();
    loop {
        while chars.next_if(|c| WHITESPACE.contains(c)).is_some() {}
        if chars.peek().is_none() {
            return;
        }
        // Plain escapes know no error.
        words.extend(next_word(&mut chars, Escapes::Plain));
    }
}

fn expand_word<'e>(word: &str, lookup: &mut impl FnMut(&str) -> Option<&'e str>) -> String {
    let mut result = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let variable = after
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'));
        if let Some((name, next)) = variable {
            result.push_str(lookup(name).unwrap_or_default());
            rest = next;
        } else {
            result.push('$');
            rest = after.strip_prefix('$').unwrap_or(after);
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut commands = split_commands(text).unwrap();
        assert!(commands.len() <= 1, "{text}: {commands:?}");
        commands.pop().unwrap_or_default()
    }

    #[test]
    fn words_split_as_in_systemd() {
        for (text, expected) in [
            ("", vec![]),
            ("  \t\n ", vec![]),
            ("a b\tc\nd", vec!["a", "b", "c", "d"]),
            (r#"a "b c" 'd e'"#, vec!["a", "b c", "d e"]),
            (r#"a "" ''"#, vec!["a", "", ""]),
            (r#"pre"fix and"post"#, vec!["prefix andpost"]),
            (r#""it's" 'say "hi"'"#, vec!["it's", "say \"hi\""]),
            (
                r#"a\tb \s \x41 \101 \u00e9 \U0001F600 \xc3\xa9"#,
                vec!["a\tb", " ", "A", "A", "é", "😀", "é"],
            ),
            (r#""a\"b" 'a\'b' a\\b"#, vec!["a\"b", "a'b", "a\\b"]),
            (r#"find \; ";" ';' a;b"#, vec!["find", ";", ";", ";", "a;b"]),
            (
                "$A ${B} $$ # no comment",
                vec!["$A", "${B}", "$$", "#", "no", "comment"],
            ),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn a_lone_semicolon_begins_the_next_command() {
        let commands = split_commands("echo one ; echo two ;; ; ;").unwrap();
        assert_eq!(commands, [vec!["echo", "one"], vec!["echo", "two", ";;"]]);
    }

    #[test]
    fn bad_words_are_refused() {
        for (bad, error) in [
            ("a \"b", WordError::Quote('"')),
            ("it's", WordError::Quote('\'')),
            ("a\\", WordError::Escape(String::new())),
            ("\\q", WordError::Escape("q".into())),
            ("\\x4", WordError::Escape("x4".into())),
            ("\\xzz", WordError::Escape("x".into())),
            ("\\x00", WordError::Escape("x00".into())),
            ("\\000", WordError::Escape("000".into())),
            ("\\777", WordError::Escape("777".into())),
            ("\\ud800", WordError::Escape("ud800".into())),
            ("\\UFFFFFFFF", WordError::Escape("UFFFFFFFF".into())),
            ("\\xff", WordError::Utf8),
        ] {
            assert_eq!(split_commands(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn a_quoted_word_reads_back() {
        for word in [
            "",
            "a",
            "a b",
            ";",
            "a;b",
            "it's",
            "\"",
            "\\",
            "\n\t\r\u{1}\u{7f}",
            "é\u{a0}b",
            "$X",
            "%%",
        ] {
            assert_eq!(words(&quote(word)), [word], "{word:?}");
        }
        assert_eq!(quote("plain"), "plain");
        assert_eq!(quote("two words"), "\"two words\"");
    }

    #[test]
    fn variables_expand_as_in_systemd() {
        let lookup = |name: &str| match name {
            "ONE" => Some("one"),
            "TWO" => Some("two two"),
            "QUOTED" => Some("'a b' c\\ d \"open"),
            "EMPTY" => Some(""),
            _ => None,
        };
        for (argument, expected) in [
            ("plain", vec!["plain"]),
            ("", vec![""]),
            ("$ONE", vec!["one"]),
            ("$TWO", vec!["two", "two"]),
            ("${TWO}", vec!["two two"]),
            ("$QUOTED", vec!["a b", "c d", "open"]),
            ("$EMPTY", vec![]),
            ("$UNSET", vec![]),
            ("${UNSET}", vec![""]),
            ("x${ONE}y${ONE}", vec!["xoneyone"]),
            ("x$ONE", vec!["x$ONE"]),
            ("$$ONE", vec!["$ONE"]),
            ("$$", vec!["$"]),
            ("$", vec!["$"]),
            ("a$$b", vec!["a$b"]),
            ("${ONE", vec!["${ONE"]),
            ("$${ONE}", vec!["${ONE}"]),
        ] {
            assert_eq!(
                expand(&[argument.to_owned()], lookup),
                expected,
                "{argument}"
            );
        }
    }
}
