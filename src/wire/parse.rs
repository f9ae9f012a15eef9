//! From bytes to a flat struct, with the limits that miniserde does not have.
//!
//! miniserde does not recurse, but it keeps a stack entry for each open bracket and a slot for each element: a payload
//! of a mebibyte of `[` or `,` would cost the daemon forty times that. So brackets and commas are counted first.

use miniserde::{Deserialize, json};

use super::DecodeError;

/// Arrays and objects within each other, at most: a saved state has three.
const DEPTH_MAX: usize = 8;

/// How much a payload may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// What the payload is, for messages.
    pub what: &'static str,
    /// Commas outside strings, at most.
    pub values: usize,
}

/// Reads one JSON object.
pub(super) fn parse<T: Deserialize>(payload: &[u8], bounds: Bounds) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(payload).map_err(|_| DecodeError::NotText)?;
    measure(payload, bounds.values)?;
    json::from_str(text).map_err(|_| DecodeError::Malformed { what: bounds.what })
}

/// Counts what stands outside strings. Whether it is JSON at all is the parser's to say.
fn measure(payload: &[u8], values_max: usize) -> Result<(), DecodeError> {
    let mut place = Place::Outside;
    let mut depth = 0_usize;
    let mut values = 0_usize;
    for &byte in payload {
        place = match (place, byte) {
            (Place::Outside, b'"') => Place::String,
            (Place::Outside, _) => {
                match byte {
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' => depth = depth.saturating_sub(1),
                    b',' => values += 1,
                    _ => {}
                }
                Place::Outside
            }
            (Place::String, b'"') => Place::Outside,
            (Place::String, b'\\') => Place::Escaped,
            (Place::String | Place::Escaped, _) => Place::String,
        };
        if depth > DEPTH_MAX {
            return Err(DecodeError::Deep);
        }
        if values > values_max {
            return Err(DecodeError::Many);
        }
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    String,
    /// Behind a backslash in a string.
    Escaped,
}

/// A list as it is, if it is not too long.
pub(super) fn at_most<T>(
    field: &'static str,
    limit: usize,
    list: Vec<T>,
) -> Result<Vec<T>, DecodeError> {
    if list.len() > limit {
        return Err(DecodeError::Long { field, limit });
    }
    Ok(list)
}

/// A required field's value.
pub(super) fn required<T>(field: &'static str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or(DecodeError::Missing { field })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        what: "test",
        values: 10,
    };

    #[derive(Deserialize, Debug, PartialEq)]
    struct Small {
        number: Option<u64>,
    }

    fn read(text: &[u8]) -> Result<Small, DecodeError> {
        parse(text, BOUNDS)
    }

    #[test]
    fn unknown_fields_are_ignored_whatever_they_hold() {
        let text = br#"{"new":{"a":[1,"]]]]]]]]],,,,,,,,,,,,\"[[[[[[[[["]},"number":3}"#;
        assert_eq!(read(text), Ok(Small { number: Some(3) }));
    }

    #[test]
    fn hostile_depth_and_length_are_refused_before_parsing() {
        for open in [&b"["[..], b"{\"a\":", b"[{\"number\":"] {
            let mut text = b"{\"new\":".to_vec();
            while text.len() < super::super::FRAME_MAX - 16 {
                text.extend_from_slice(open);
            }
            assert_eq!(read(&text), Err(DecodeError::Deep));
        }
        let commas = [&b"{\"new\":["[..], &[b','; 100]].concat();
        assert_eq!(read(&commas), Err(DecodeError::Many));
    }

    #[test]
    fn what_is_not_our_json_is_an_error() {
        let malformed = Err(DecodeError::Malformed { what: "test" });
        let texts: [&[u8]; 9] = [
            b"",
            b"{",
            b"]",
            b"null",
            b"{\"number\":-1}",
            b"{\"number\":1}x",
            b"{\"number\":\"\\ud800\"}",
            b"{\"number\":99999999999999999999999}",
            b"\"\\",
        ];
        for text in texts {
            assert_eq!(read(text), malformed, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(read(b"{\"\xff\":1}"), Err(DecodeError::NotText));
    }
}
