//! JSON for `--json`: a small tree of values and its writer. Reading JSON is `wire`'s.

use std::fmt::Write as _;

/// A value to be written. Trees are made by this room's own code and are a few levels deep.
#[derive(Clone, Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(u64),
    /// One that may be below zero.
    Integer(i64),
    /// Tenths, written as a decimal number.
    Tenths(u64),
    Text(String),
    /// Written as JSON already, by whoever knows that it is.
    Written(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Null, Self::Number)
    }

    pub(super) fn texts(texts: &[String]) -> Self {
        Self::List(texts.iter().map(|text| Self::text(text)).collect())
    }

    /// Indented by two spaces, with a line end after it.
    pub(super) fn document(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out.push('\n');
        out
    }

    /// On one line, with a line end after it.
    pub(super) fn line(&self) -> String {
        let mut out = String::new();
        self.write_close(&mut out);
        out.push('\n');
        out
    }

    fn write_close(&self, out: &mut String) {
        match self {
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    item.write_close(out);
                }
                out.push_str(if items.is_empty() { "[]" } else { "]" });
            }
            Self::Object(fields) => {
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    write_text(out, name);
                    out.push(':');
                    value.write_close(out);
                }
                out.push_str(if fields.is_empty() { "{}" } else { "}" });
            }
            other => other.write(out, 0),
        }
    }

    fn write(&self, out: &mut String, depth: usize) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            // Writing to a String cannot fail.
            Self::Number(number) => drop(write!(out, "{number}")),
            Self::Integer(number) => drop(write!(out, "{number}")),
            Self::Tenths(tenths) => drop(write!(out, "{}.{}", tenths / 10, tenths % 10)),
            Self::Text(text) => write_text(out, text),
            Self::Written(json) => out.push_str(json),
            Self::List(items) => block(out, depth, ['[', ']'], items, |out, item| {
                item.write(out, depth + 1);
            }),
            Self::Object(fields) => block(out, depth, ['{', '}'], fields, |out, (name, value)| {
                write_text(out, name);
                out.push_str(": ");
                value.write(out, depth + 1);
            }),
        }
    }
}

fn block<T>(
    out: &mut String,
    depth: usize,
    brackets: [char; 2],
    items: &[T],
    write: impl Fn(&mut String, &T),
) {
    out.push(brackets[0]);
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(depth + 1));
        write(out, item);
    }
    if !items.is_empty() {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
    out.push(brackets[1]);
}

fn write_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_written() {
        let value = Json::Object(vec![
            ("name", Json::text("a\"b\\c\n\u{1}")),
            ("pid", Json::number(None)),
            ("cpu", Json::Tenths(123)),
            ("list", Json::texts(&["x".to_owned(), "y".to_owned()])),
            ("empty", Json::List(Vec::new())),
            ("as it is", Json::Written("[1]".to_owned())),
            ("flag", Json::Bool(true)),
        ]);
        assert_eq!(
            value.document(),
            "{\n  \"name\": \"a\\\"b\\\\c\\n\\u0001\",\n  \"pid\": null,\n  \"cpu\": 12.3,\n  \
             \"list\": [\n    \"x\",\n    \"y\"\n  ],\n  \"empty\": [],\n  \"as it is\": [1],\n  \"flag\": true\n}\n"
        );
        assert_eq!(
            value.line(),
            "{\"name\":\"a\\\"b\\\\c\\n\\u0001\",\"pid\":null,\"cpu\":12.3,\
             \"list\":[\"x\",\"y\"],\"empty\":[],\"as it is\":[1],\"flag\":true}\n"
        );
    }
}
