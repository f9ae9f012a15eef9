//! Lines of services as they are shown: whatever they hold, it commands no terminal.
//!
//! Control characters and bytes that are no UTF-8 are written as `\x1b`, and so are characters that turn the direction
//! of writing. Colours are what users like to see, so those sequences alone are let through, where there are colours
//! at all, and end with their line. Of a link its text is left. A carriage return before the line's end is left out.

use std::io::Write as _;

/// What becomes of the sequences that give text its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colors {
    Kept,
    Removed,
}

/// Appends a line, or a piece of one.
pub(super) fn line(bytes: &[u8], colors: Colors, out: &mut Vec<u8>) {
    if bytes.iter().all(|byte| is_plain(*byte)) {
        out.extend_from_slice(bytes);
        return;
    }
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let mut is_colored = false;
    let mut rest = bytes;
    while !rest.is_empty() {
        let plain = rest.iter().take_while(|byte| is_plain(**byte)).count();
        let (text, after) = rest.split_at(plain);
        out.extend_from_slice(text);
        rest = after;
        if let Some(length) = sequence_length(rest) {
            let (style, after) = rest.split_at(length);
            if colors == Colors::Kept && style.ends_with(b"m") {
                out.extend_from_slice(style);
                is_colored = true;
            }
            rest = after;
        } else if !rest.is_empty() {
            rest = &rest[character(rest, out)..];
        }
    }
    if is_colored {
        out.extend_from_slice(b"\x1b[0m");
    }
}

/// Appends the bytes without the sequences that give text its colour and make it a link.
pub(super) fn without_colors(bytes: &[u8], out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        rest = match sequence_length(rest) {
            Some(length) => &rest[length..],
            None => {
                out.push(*first);
                after
            }
        };
    }
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

/// The length of a sequence at the beginning that is no text of the service.
fn sequence_length(bytes: &[u8]) -> Option<usize> {
    style_length(bytes).or_else(|| link_length(bytes))
}

/// The length of `ESC ] 8 ; … BEL` at the beginning, a link's begin or end. It may end with `ESC \` too.
fn link_length(bytes: &[u8]) -> Option<usize> {
    const HEAD: &[u8] = b"\x1b]8;";
    let rest = bytes.strip_prefix(HEAD)?;
    let count = rest.iter().take_while(|byte| **byte >= b' ').count();
    let end = match rest.get(count..)? {
        [b'\x07', ..] => 1,
        [b'\x1b', b'\\', ..] => 2,
        _ => return None,
    };
    Some(HEAD.len() + count + end)
}

/// The length of `ESC [ … m` at the beginning, or of `ESC [ K`, which grep(1) adds to its colours.
fn style_length(bytes: &[u8]) -> Option<usize> {
    let parameters = bytes.strip_prefix(b"\x1b[")?;
    let is_parameter = |byte: &&u8| matches!(**byte, b'0'..=b'9' | b';' | b':');
    let count = parameters.iter().take_while(is_parameter).count();
    let is_style = matches!(parameters.get(count), Some(b'm' | b'K'));
    is_style.then_some(count + 3)
}

/// Appends the first character, or what stands for it; its length in `bytes`.
fn character(bytes: &[u8], out: &mut Vec<u8>) -> usize {
    let head = &bytes[..bytes.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default(),
    };
    let Some(c) = valid.chars().next() else {
        return escape(out, u32::from(bytes[0]), 1);
    };
    match c {
        '\r' => {
            out.extend_from_slice(b"\\r");
            1
        }
        c if c.is_control() && c.is_ascii() => escape(out, u32::from(c), 1),
        c if c.is_control() || commands(c) => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            c.len_utf8()
        }
        c => {
            out.extend_from_slice(&bytes[..c.len_utf8()]);
            c.len_utf8()
        }
    }
}

/// Ends a line, or turns the direction of what follows.
fn commands(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(out: &mut Vec<u8>, number: u32, length: usize) -> usize {
    // Writing to a Vec cannot fail.
    let _ = write!(out, "\\x{number:02x}");
    length
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8], colors: Colors) -> String {
        let mut out = Vec::new();
        line(bytes, colors, &mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    #[test]
    fn nothing_commands_a_terminal() {
        for (bytes, text) in [
            (&b"plain\ttext"[..], "plain\ttext"),
            (b"windows\r", "windows"),
            (b"10%\r20%", "10%\\r20%"),
            (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
            (b"a\xff\xc3", "a\\xff\\xc3"),
            ("grün 日本".as_bytes(), "grün 日本"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            (b"\x7f\0", "\\x7f\\x00"),
            (b"\x1b", "\\x1b"),
            (b"\x1b[1;3", "\\x1b[1;3"),
            (b"\x1b[31mred\x1b[m\x1b[K", "red"),
            (b"a\x1b]8;;file:///m\x07b\x1b]8;;\x07c", "abc"),
            (b"\x1b]8;id=1;http://m\x1b\\b\x1b]8;;\x1b\\", "b"),
            (b"\x1b]8;;x\x1b[m", "\\x1b]8;;x"),
        ] {
            assert_eq!(shown(bytes, Colors::Removed), text);
        }
    }

    #[test]
    fn colours_end_with_their_line() {
        let red = shown(b"\x1b[1;31mred\x1b[2K!", Colors::Kept);
        assert_eq!(red, "\x1b[1;31mred!\x1b[0m");
    }

    #[test]
    fn any_bytes_come_out_as_text() {
        for first in 0..=255 {
            for second in 0..=255 {
                let mut out = Vec::new();
                line(&[first, second, b'x'], Colors::Removed, &mut out);
                let text = String::from_utf8(out).unwrap_or_default();
                let is_fit = |c: char| c == '\t' || !c.is_control();
                assert!(!text.is_empty() && text.chars().all(is_fit), "{text:?}");
            }
        }
    }
}
