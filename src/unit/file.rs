//! The TOML text of one unit file as a loosely typed mirror in which every value knows its place.
//!
//! Owns syntax and the limits on what is read. It knows no key: which there are is `keys.rs`, what they mean is
//! `parse.rs`. The toml package recovers from syntax errors, so that all of a file are found; serde turns each
//! value into a [`Node`].

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::Visitor;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::sorted;

use super::report::{Fault, Source};

/// The longest unit file, in bytes.
pub(super) const MAX_FILE: usize = 1 << 20;
/// The longest text of one value, in bytes.
pub(super) const MAX_VALUE: usize = 64 << 10;
/// The longest list.
pub(super) const MAX_ITEMS: usize = 4_096;

/// A value, whatever key it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Date,
    List(Vec<Spanned<Node>>),
    /// In the order written.
    Table(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl Node {
    /// What it is, with its article, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number with a fraction",
            Self::Flag(_) => "a boolean",
            Self::Date => "a date",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
        }
    }
}

/// A `KEY = value` of a section.
pub(super) struct Pair {
    pub(super) key: Spanned<String>,
    pub(super) node: Spanned<Node>,
}

/// A `[section]`.
pub(super) struct Section {
    pub(super) name: Spanned<String>,
    pub(super) pairs: Vec<Pair>,
}

/// What one file says.
#[derive(Default)]
pub(super) struct Mirror {
    pub(super) sections: Vec<Section>,
    /// What is no TOML. What could be saved around it is in `sections`.
    pub(super) syntax: Vec<Fault>,
    /// Values past a limit, keys outside a section.
    pub(super) faults: Vec<Fault>,
}

/// Reads a text. Never fails: what is wrong is part of the result.
pub(super) fn read(source: &Source) -> Mirror {
    let mut mirror = Mirror::default();
    if source.text.len() > MAX_FILE {
        let message = format!("the file is longer than {MAX_FILE} bytes");
        mirror.syntax.push(Fault::new(0..0, message));
        return mirror;
    }
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    let faults = errors.iter();
    mirror
        .syntax
        .extend(faults.map(|error| syntax_fault(error, &source.text)));
    for (name, value) in document.into_inner() {
        let span = name.span();
        let name = name.into_inner().into_owned();
        match value.into_inner() {
            DeValue::Table(table) => {
                let pairs = read_section(table, &mut mirror.faults);
                let name = Spanned::new(span, name);
                mirror.sections.push(Section { name, pairs });
            }
            _ => mirror.faults.push(outside(&name, span)),
        }
    }
    sorted::sort_by_key(&mut mirror.sections, |section| section.name.span().start);
    mirror
}

fn syntax_fault(error: &toml::de::Error, text: &str) -> Fault {
    let span = error.span().unwrap_or(0..0);
    let fault = |message: String| Fault::new(span.clone(), message);
    if error.message() == "duplicate key"
        && let Some((key, line)) = first_of(text, &span)
    {
        return fault(format!("`{key}` stands in line {line} already"))
            .hint("a key is written once; several values make a list: [\"a\", \"b\"]");
    }
    match bare_text(text, span.start) {
        Some(key) => fault(error.message().to_owned()).hint(format!(
            "this is TOML: a text stands in quotes, {key} = \"…\""
        )),
        None => fault(error.message().to_owned()),
    }
}

/// Which key stands here a second time, and the line, from 1, of the first in its section.
fn first_of<'t>(text: &'t str, span: &Range<usize>) -> Option<(&'t str, usize)> {
    let key = text.get(span.clone())?.trim();
    let before: Vec<&str> = text.get(..span.start)?.lines().collect();
    let is_header = |line: &&str| line.trim_start().starts_with('[');
    let begin = before.iter().rposition(is_header).unwrap_or(0);
    let of_key = |line: &&str| {
        line.split_once('=')
            .is_some_and(|(left, _)| left.trim() == key)
    };
    let place = before.iter().skip(begin).position(of_key)?;
    Some((key, begin + place + 1))
}

/// The key of the line that holds this place, where its value is a word as other unit files have it.
fn bare_text(text: &str, at: usize) -> Option<&str> {
    let begin = text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(begin..)?.lines().next()?;
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let is_name = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric());
    let is_word = value.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '~' | '%'));
    (is_name && is_word && !["true", "false"].contains(&value)).then_some(key)
}

fn outside(name: &str, span: Range<usize>) -> Fault {
    let message = format!("`{}` stands in no section", name.escape_debug());
    Fault::new(span, message).hint("begin the section above it, such as [unit] or [service]")
}

fn read_section(table: DeTable, faults: &mut Vec<Fault>) -> Vec<Pair> {
    let mut pairs = vec![];
    for (key, value) in table {
        pairs.extend(read_value(value, faults).map(|node| Pair {
            key: owned(key),
            node,
        }));
    }
    sorted::sort_by_key(&mut pairs, |pair| pair.key.span().start);
    pairs
}

/// Takes a value over with its place. The toml package bounds how deep values lie in each other.
fn read_value(value: Spanned<DeValue>, faults: &mut Vec<Fault>) -> Option<Spanned<Node>> {
    let span = value.span();
    let node = match value.into_inner() {
        DeValue::Datetime(_) => Node::Date,
        DeValue::Array(items) if items.len() > MAX_ITEMS => {
            faults.push(too_many(span, items.len()));
            return None;
        }
        DeValue::Array(items) => {
            let items = items.into_iter();
            Node::List(items.filter_map(|item| read_value(item, faults)).collect())
        }
        DeValue::Table(table) if table.len() > MAX_ITEMS => {
            faults.push(too_many(span, table.len()));
            return None;
        }
        DeValue::Table(table) => {
            let entries = read_section(table, faults).into_iter();
            Node::Table(entries.map(|pair| (pair.key, pair.node)).collect())
        }
        leaf => {
            let leaf = Spanned::new(span.clone(), leaf);
            match Node::deserialize(ValueDeserializer::from(leaf)) {
                Ok(node) => node,
                Err(error) => {
                    faults.push(Fault::new(error.span().unwrap_or(span), error.message()));
                    return None;
                }
            }
        }
    };
    Some(Spanned::new(span, node))
}

fn too_many(span: Range<usize>, count: usize) -> Fault {
    let message = format!("a list has at most {MAX_ITEMS} items, this one has {count}");
    Fault::new(span, message)
}

fn owned(key: Spanned<Cow<str>>) -> Spanned<String> {
    Spanned::new(key.span(), key.into_inner().into_owned())
}

/// Only values that hold no others come here.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Float(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        if value.len() > MAX_VALUE {
            let length = value.len();
            return Err(E::custom(format_args!(
                "a value has at most {MAX_VALUE} bytes, this one has {length}"
            )));
        }
        if value.contains('\0') {
            return Err(E::custom("a value cannot hold a NUL byte"));
        }
        Ok(Node::Text(value.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(text: &str) -> (Source, Mirror) {
        let source = Source {
            path: "/u/a.service".into(),
            text: text.into(),
        };
        let mirror = read(&source);
        (source, mirror)
    }

    fn messages(faults: &[Fault]) -> Vec<&str> {
        faults.iter().map(|fault| &*fault.message).collect()
    }

    #[test]
    fn values_keep_their_order_and_place() {
        let text =
            "[b]\nz = 1\na = [true, 'x']\n[a]\nt = { z = 1.5, a = 1979-05-27 }\n[b.sub]\nk = 1\n";
        let (source, mirror) = mirror(text);
        assert_eq!(
            (messages(&mirror.syntax), messages(&mirror.faults)),
            (vec![], vec![])
        );
        let names: Vec<_> = mirror
            .sections
            .iter()
            .map(|s| s.name.get_ref().as_str())
            .collect();
        assert_eq!(names, ["b", "a"]);
        let keys: Vec<_> = mirror.sections[0]
            .pairs
            .iter()
            .map(|p| p.key.get_ref().as_str())
            .collect();
        assert_eq!(keys, ["z", "a", "sub"]);
        let pair = &mirror.sections[0].pairs[1];
        assert_eq!(&source.text[pair.key.span()], "a");
        assert_eq!(&source.text[pair.node.span()], "[true, 'x']");
        let Node::List(items) = pair.node.get_ref() else {
            panic!("not a list");
        };
        assert_eq!(&source.text[items[1].span()], "'x'");
        let Node::Table(entries) = mirror.sections[1].pairs[0].node.get_ref() else {
            panic!("not a table");
        };
        assert_eq!(entries[0].0.get_ref(), "z");
        assert_eq!(entries[1].1.get_ref(), &Node::Date);
    }

    #[test]
    fn all_syntax_errors_are_found() {
        let (_, mirror) =
            mirror("[unit\na = 1\n[service]\nb = oops\nc = 'x'\nc = 'y'\nd = \"open\n");
        assert_eq!(mirror.syntax.len(), 4, "{:?}", messages(&mirror.syntax));
    }

    #[test]
    fn limits_are_held() {
        let long = "x".repeat(MAX_VALUE + 1);
        let many = "1,".repeat(MAX_ITEMS + 1);
        let text = format!(
            "k = 1\n[a]\nlong = '{long}'\nmany = [{many}]\nbig = 99999999999999999999\n\
             nul = \"\\u0000\"\nok = 1\n"
        );
        let (_, result) = mirror(&text);
        assert_eq!(result.sections[0].pairs.len(), 1);
        let found = messages(&result.faults).join("\n");
        for message in [
            "stands in no section",
            "at most 65536 bytes",
            "at most 4096 items",
            "NUL byte",
        ] {
            assert!(found.contains(message), "{found}");
        }
        assert_eq!(result.faults.len(), 5, "{found}");
        let (_, result) = mirror(&"#".repeat(MAX_FILE + 1));
        assert!(messages(&result.syntax)[0].contains("longer than"));
    }

    #[test]
    fn rubbish_is_survived() {
        for text in [
            "\u{feff}[a]\nk = 1",
            "[[[[[",
            "a.b.c.d = {",
            "\0\u{1}",
            "[]\n= =",
            "'''",
            "k = [[[[[[[",
        ] {
            mirror(text);
        }
        mirror(&"[".repeat(10_000));
        mirror(&format!("k = {}", "[".repeat(10_000)));
    }
}
