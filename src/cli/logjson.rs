//! A log's entries as JSON: one object a line.
//!
//! Each has `time` (UTC), `service` and `run`. A line has `stream`, `priority` (syslog(3)'s number) and `message`;
//! where it is no UTF-8, `message` stands for it as well as it can and `bytes` holds it in base64. A line without its
//! end has `unfinished`, a piece of one that is very long `divided`. Anything else has `event`.
//! A line of the daemon's own log has `time`, `priority` and `message`.

use super::json::Json;
use super::missing::loss_text;
use super::sift::usual_level;
use super::text::timestamp;
use crate::log::{Content, Ending, Entry, Level, LineEnd, Loss, Mark};
use crate::unit::Signal;

/// That of a log, or of a run, the beginning is in no file any more.
pub(super) const ROTATED_AWAY: &str = "earlier lines were rotated away";

pub(super) fn object(service: &str, entry: &Entry) -> Json {
    let mut fields = vec![
        ("time", Json::Text(timestamp(entry.time_ms))),
        ("service", Json::text(service)),
        ("run", Json::Number(entry.run)),
    ];
    match &entry.content {
        Content::Line {
            stream,
            bytes,
            part,
            end,
        } => {
            let usual = usual_level(*stream);
            let (level, text) = part.split_level(bytes);
            let level = level.unwrap_or(usual).number();
            fields.push(("stream", Json::text(stream.name())));
            fields.push(("priority", Json::Number(u64::from(level))));
            message(&mut fields, text);
            match end {
                LineEnd::Newline => {}
                LineEnd::Cut => fields.push(("divided", Json::Bool(true))),
                LineEnd::Unfinished => fields.push(("unfinished", Json::Bool(true))),
            }
        }
        Content::Notice { bytes } => {
            fields.push(("event", Json::text("notice")));
            message(&mut fields, bytes);
        }
        Content::Mark(mark) => event(&mut fields, *mark),
    }
    Json::Object(fields)
}

/// A line of the daemon's own log.
pub(super) fn own(time: Option<&str>, level: Level, message: &[u8]) -> Json {
    let mut fields = vec![
        ("time", time.map_or(Json::Null, Json::text)),
        ("priority", Json::Number(u64::from(level.number()))),
    ];
    self::message(&mut fields, message);
    Json::Object(fields)
}

/// That what came before this entry was in a file that is removed.
pub(super) fn rotated_away(service: &str, entry: &Entry) -> Json {
    Json::Object(vec![
        ("time", Json::Text(timestamp(entry.time_ms))),
        ("service", Json::text(service)),
        ("run", Json::Number(entry.run)),
        ("event", Json::text("rotated-away")),
        ("message", Json::text(ROTATED_AWAY)),
    ])
}

fn message(fields: &mut Vec<(&'static str, Json)>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => fields.push(("message", Json::text(text))),
        Err(_) => {
            let text = String::from_utf8_lossy(bytes).into_owned();
            fields.push(("message", Json::Text(text)));
            fields.push(("bytes", Json::Text(base64(bytes))));
        }
    }
}

fn event(fields: &mut Vec<(&'static str, Json)>, mark: Mark) {
    match mark {
        Mark::Begin { pid } => {
            fields.push(("event", Json::text("began")));
            fields.push(("pid", Json::Number(u64::from(pid))));
        }
        Mark::End(Ending::Exited { code }) => {
            fields.push(("event", Json::text("exited")));
            fields.push(("code", Json::Integer(i64::from(code))));
        }
        Mark::End(Ending::Signaled { signal }) => {
            let name = match Signal::from_number(signal) {
                Some(signal) => signal.to_string(),
                None => signal.to_string(),
            };
            fields.push(("event", Json::text("signaled")));
            fields.push(("signal", Json::Text(name)));
        }
        Mark::Cleared => fields.push(("event", Json::text("cleared"))),
        Mark::End(Ending::Unknown) => fields.push(("event", Json::text("ended"))),
        Mark::Lost(loss) => {
            fields.push(("event", Json::text("lost")));
            fields.push(match loss {
                Loss::Unwritten { bytes, .. } => ("lost_bytes", Json::Number(u64::from(bytes))),
                Loss::Dropped { lines } | Loss::Limited { lines } => {
                    ("lost_lines", Json::Number(u64::from(lines)))
                }
            });
            fields.push(("message", Json::Text(loss_text(loss))));
        }
    }
}

/// RFC 4648, with its padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0);
            text.push(match usize::try_from(at) {
                Ok(at) if at <= three.len() => char::from(DIGITS[digit]),
                _ => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Part, Stream};

    fn line(content: Content) -> String {
        let entry = Entry {
            time_ms: 1_795_300_813_007,
            run: 7,
            content,
        };
        object("web", &entry).line()
    }

    #[test]
    fn an_entry_is_an_object() {
        let piece = |stream, bytes: &[u8], part, end| {
            let bytes = bytes.to_vec();
            line(Content::Line {
                stream,
                bytes,
                part,
                end,
            })
        };
        let said = |stream, bytes: &[u8], end| piece(stream, bytes, Part::Head, end);
        let head = "{\"time\":\"2026-11-21T22:40:13.007Z\",\"service\":\"web\",\"run\":7,";
        assert_eq!(
            said(Stream::Out, b"<4>a\tb", LineEnd::Newline),
            format!("{head}\"stream\":\"out\",\"priority\":4,\"message\":\"a\\tb\"}}\n")
        );
        assert_eq!(
            said(Stream::Err, b"a\xff", LineEnd::Unfinished),
            format!(
                "{head}\"stream\":\"err\",\"priority\":3,\"message\":\"a\u{fffd}\",\"bytes\":\"Yf8=\",\
                 \"unfinished\":true}}\n"
            )
        );
        let rest = Part::Rest(Some(Level::Warning));
        assert_eq!(
            piece(Stream::Out, b"<6>a", rest, LineEnd::Cut),
            format!(
                "{head}\"stream\":\"out\",\"priority\":4,\"message\":\"<6>a\",\"divided\":true}}\n"
            )
        );
        let mark = Content::Mark(Mark::End(Ending::Signaled { signal: 9 }));
        assert_eq!(
            line(mark),
            format!("{head}\"event\":\"signaled\",\"signal\":\"SIGKILL\"}}\n")
        );
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
        ] {
            assert_eq!(base64(bytes), text);
        }
    }
}
