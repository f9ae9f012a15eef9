//! Environment files: what `EnvironmentFile=` names, systemd.exec(5).
//!
//! Owns their text form and what a variable may be called; which files are read, and when, is the shell's.

use std::fmt;

/// Why a text is no environment file, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentError {
    /// From 1.
    pub line: u32,
    pub fault: EnvironmentFault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentFault {
    /// What stands before `=` cannot name a variable.
    Name(String),
    /// A quote without its partner.
    Quote(char),
    /// A NUL byte.
    Nul,
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.fault {
            EnvironmentFault::Name(name) => {
                write!(f, "`{}` is not a variable's name", name.escape_debug())
            }
            EnvironmentFault::Quote(quote) => write!(f, "a {quote} is opened and never closed"),
            EnvironmentFault::Nul => f.write_str("a NUL byte"),
        }
    }
}

impl std::error::Error for EnvironmentError {}

/// Whether a variable may be called so: letters, digits and `_`, no digit in front.
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads `KEY=value` lines as systemd does: lines without `=` and those that begin with `#` or `;` are left out;
/// quotes may span lines; outside quotes a backslash takes the next character as it is, before a line's end it
/// joins the lines.
///
/// # Errors
/// The first line with a name that is none, an open quote, or a NUL byte.
pub fn parse_environment_file(text: &str) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut variables = vec![];
    let mut scanner = Scanner {
        rest: text,
        line: 1,
    };
    while !scanner.rest.is_empty() {
        scanner.skip(|c| c.is_ascii_whitespace());
        let line = scanner.line;
        let fail = |fault| Err(EnvironmentError { line, fault });
        if scanner.rest.starts_with(['#', ';']) {
            scanner.comment();
            continue;
        }
        let end = scanner.rest.find(['=', '\n']).unwrap_or(scanner.rest.len());
        let key = scanner.rest[..end].trim_end();
        if !scanner.rest[end..].starts_with('=') {
            scanner.advance(end);
            continue;
        }
        scanner.advance(end + 1);
        if !is_variable_name(key) {
            return fail(EnvironmentFault::Name(key.chars().take(80).collect()));
        }
        match scanner.value() {
            Ok(value) if value.contains('\0') => return fail(EnvironmentFault::Nul),
            Ok(value) => variables.push((key.to_owned(), value)),
            Err(quote) => return fail(EnvironmentFault::Quote(quote)),
        }
    }
    Ok(variables)
}

struct Scanner<'t> {
    rest: &'t str,
    line: u32,
}

impl<'t> Scanner<'t> {
    fn advance(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        let lines = taken.bytes().filter(|b| *b == b'\n').count();
        self.line = self
            .line
            .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.rest = rest;
        taken
    }

    fn skip(&mut self, belongs: impl Fn(char) -> bool) {
        let end = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        self.advance(end);
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.advance(c.len_utf8());
        Some(c)
    }

    /// Passes a comment; a backslash at its line's end goes on with it.
    fn comment(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '\n' => return,
                '\\' => {
                    self.next();
                }
                _ => {}
            }
        }
    }

    /// Reads a value and the end of its line. An open quote is the error.
    fn value(&mut self) -> Result<String, char> {
        let mut value = String::new();
        // How much of the value is sure: bare whitespace behind it counts only if something follows.
        let mut kept = 0;
        self.skip(|c| matches!(c, ' ' | '\t'));
        while let Some(c) = self.next() {
            match c {
                '\n' => break,
                '\\' => {
                    value.extend(self.next().filter(|c| *c != '\n'));
                    kept = value.len();
                }
                '\'' | '"' => {
                    self.quoted(c, &mut value)?;
                    kept = value.len();
                }
                _ => {
                    value.push(c);
                    if !c.is_ascii_whitespace() {
                        kept = value.len();
                    }
                }
            }
        }
        value.truncate(kept);
        Ok(value)
    }

    /// Reads to the closing quote. In double quotes a backslash escapes `"`, `\`, `$`, a backtick and a line's end.
    fn quoted(&mut self, quote: char, value: &mut String) -> Result<(), char> {
        loop {
            let c = self.next().ok_or(quote)?;
            match c {
                _ if c == quote => return Ok(()),
                '\\' if quote == '"' => match self.next().ok_or(quote)? {
                    '\n' => {}
                    escaped @ ('"' | '\\' | '$' | '`') => value.push(escaped),
                    other => {
                        value.push('\\');
                        value.push(other);
                    }
                },
                _ => value.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_reads_as_in_systemd() {
        let text = r#"
# a comment = no variable
; another \
  goes on = here
PLAIN=value
  SPACED =  two words   
EMPTY=
no equals sign
SINGLE='a "b" \n $c'
DOUBLE="a \"b\" \\ \$c \n"
LINES="one
two"
JOINED=one\
two
MIXED=a"b c"'d'
HASH=a#b ; c
CRLF=x
LAST=end"#
            .replace("CRLF=x", "CRLF=x\r");
        let read = parse_environment_file(&text).unwrap();
        let expected = [
            ("PLAIN", "value"),
            ("SPACED", "two words"),
            ("EMPTY", ""),
            ("SINGLE", "a \"b\" \\n $c"),
            ("DOUBLE", "a \"b\" \\ $c \\n"),
            ("LINES", "one\ntwo"),
            ("JOINED", "onetwo"),
            ("MIXED", "ab cd"),
            ("HASH", "a#b ; c"),
            ("CRLF", "x"),
            ("LAST", "end"),
        ];
        let expected: Vec<_> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        assert_eq!(read, expected);
    }

    #[test]
    fn faults_name_their_line() {
        for (text, error) in [
            (
                "A=1\nexport B=2",
                "line 2: `export B` is not a variable's name",
            ),
            ("=x", "line 1: `` is not a variable's name"),
            ("1A=x", "line 1: `1A` is not a variable's name"),
            ("\n\nA='x\n", "line 3: a ' is opened and never closed"),
            ("A=\"x\\", "line 1: a \" is opened and never closed"),
            ("A=\0", "line 1: a NUL byte"),
        ] {
            assert_eq!(parse_environment_file(text).unwrap_err().to_string(), error);
        }
        assert_eq!(parse_environment_file(""), Ok(vec![]));
        assert_eq!(
            parse_environment_file("A=x\\"),
            Ok(vec![("A".into(), "x".into())])
        );
    }
}
