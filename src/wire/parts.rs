//! Answers that are longer than a frame: cut into several frames, and put together again.
//!
//! Only the lists of units and of results grow with the number of units. All of their frames but the last say that more
//! follows; a reader sees one reply.

use crate::engine::UNITS_MAX;

use super::codec_reply::{
    More, Piece, decode_piece, encode_plan, encode_reply, encode_results, encode_units,
};
use super::frame::{FrameError, frame};
use super::{DecodeError, Final, Reply};

/// So many units or results go into one frame, or fewer where they are long.
const PART_MAX: usize = 256;
/// So many units or results are put together at most: those that are loaded, and as many that are not.
const WHOLE_MAX: usize = 2 * UNITS_MAX;
/// So many steps: each unit stops, starts, and is spoken of besides.
const STEPS_MAX: usize = 3 * UNITS_MAX;

/// Appends a reply to `out`, in as many frames as it needs.
///
/// # Errors
/// One unit or result, or an answer of another kind, is longer than a frame may be; `out` is as it was.
pub fn frame_reply(reply: &Reply, out: &mut Vec<u8>) -> Result<(), FrameError> {
    match reply {
        Reply::Final(Final::Units(units)) => in_parts(units, encode_units, out),
        Reply::Final(Final::Results(results)) => in_parts(results, encode_results, out),
        Reply::Final(Final::Plan(steps)) => in_parts(steps, encode_plan, out),
        Reply::Final(_) | Reply::Progress(_) => frame(&encode_reply(reply), out),
    }
}

fn in_parts<T>(
    all: &[T],
    encode: fn(&[T], More) -> Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<(), FrameError> {
    let begin = out.len();
    let (mut rest, mut most) = (all, PART_MAX);
    loop {
        let (part, after) = rest.split_at(rest.len().min(most));
        let more = match after {
            [] => More::Nothing,
            [_, ..] => More::Follows,
        };
        match frame(&encode(part, more), out) {
            Ok(()) if after.is_empty() => return Ok(()),
            Ok(()) => rest = after,
            Err(_) if part.len() > 1 => most = part.len() / 2,
            Err(error) => {
                out.truncate(begin);
                return Err(error);
            }
        }
    }
}

/// Makes replies of payloads, of one connection and in their order.
#[derive(Debug, Default)]
pub struct Assembler {
    /// What has come of an answer that more follows of.
    begun: Option<Final>,
}

impl Assembler {
    /// Takes the next payload; nothing while more of the same answer is to come.
    ///
    /// # Errors
    /// The payload is no reply, or no part of the answer that was begun, or the answer grows too long.
    pub fn take(&mut self, payload: &[u8]) -> Result<Option<Reply>, DecodeError> {
        let (last, more) = match decode_piece(payload)? {
            Piece::Whole(reply @ Reply::Progress(_)) => return Ok(Some(reply)),
            Piece::Whole(Reply::Final(last)) => (last, More::Nothing),
            Piece::Part(part) => (part, More::Follows),
        };
        let whole = match (self.begun.take(), last) {
            // Whatever was begun, this is the answer.
            (None, last) | (Some(_), last @ Final::Error(_)) => last,
            (Some(begun), last) => join(begun, last)?,
        };
        match more {
            More::Nothing => Ok(Some(Reply::Final(whole))),
            More::Follows => {
                self.begun = Some(whole);
                Ok(None)
            }
        }
    }
}

fn join(begun: Final, next: Final) -> Result<Final, DecodeError> {
    match (begun, next) {
        (Final::Units(mut units), Final::Units(next)) => {
            units.extend(next);
            bounded(units.len(), WHOLE_MAX).map(|()| Final::Units(units))
        }
        (Final::Results(mut results), Final::Results(next)) => {
            results.extend(next);
            bounded(results.len(), WHOLE_MAX).map(|()| Final::Results(results))
        }
        (Final::Plan(mut steps), Final::Plan(next)) => {
            steps.extend(next);
            bounded(steps.len(), STEPS_MAX).map(|()| Final::Plan(steps))
        }
        _ => Err(DecodeError::Mixed),
    }
}

fn bounded(length: usize, limit: usize) -> Result<(), DecodeError> {
    let field = "answer";
    if length > limit {
        return Err(DecodeError::Long { field, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{
        CHUNK_MAX, Decoder, ErrorKind, ResultKind, UnitResult, UnitStatus, WireError,
    };
    use super::*;

    fn units(count: usize, text: &str) -> Reply {
        let unit = |number: usize| UnitStatus {
            name: format!("unit-{number}"),
            description: text.to_owned(),
            ..UnitStatus::default()
        };
        Reply::Final(Final::Units((0..count).map(unit).collect()))
    }

    /// Through frames and back, and how many frames that took.
    fn journey(reply: &Reply) -> (Vec<Reply>, usize) {
        let mut out = Vec::new();
        frame_reply(reply, &mut out).unwrap();
        let (mut decoder, mut assembler) = (Decoder::new(), Assembler::default());
        let (mut replies, mut frames) = (Vec::new(), 0);
        for chunk in out.chunks(CHUNK_MAX) {
            decoder.push(chunk);
            while let Some(payload) = decoder.next().unwrap() {
                frames += 1;
                replies.extend(assembler.take(&payload).unwrap());
            }
        }
        (replies, frames)
    }

    #[test]
    fn an_answer_of_any_length_comes_back_as_it_was() {
        for (count, text, most) in [
            (0, "", 1),
            (1, "", 1),
            (PART_MAX, "", 1),
            (PART_MAX + 1, "", 2),
            (UNITS_MAX, "a unit of many", 40),
            (300, &*"long ".repeat(10_000), 40),
        ] {
            let reply = units(count, text);
            let (replies, frames) = journey(&reply);
            assert!(replies == [reply], "{count} units");
            assert!(frames <= most, "{count} units: {frames} frames");
        }
        let result = UnitResult {
            unit: "web".to_owned(),
            kind: ResultKind::Started,
            text: "started".to_owned(),
            retry_ms: None,
            hint: None,
            left: Vec::new(),
        };
        let reply = Reply::Final(Final::Results(vec![result; UNITS_MAX]));
        assert!(journey(&reply).0 == [reply]);
    }

    #[test]
    fn one_unit_that_is_too_long_is_refused_and_leaves_nothing_behind() {
        let mut out = vec![7];
        let long = "x".repeat(2 << 20);
        let Reply::Final(Final::Units(mut list)) = units(600, "") else {
            return;
        };
        list[500].description = long;
        assert!(frame_reply(&Reply::Final(Final::Units(list)), &mut out).is_err());
        assert_eq!(out, [7]);
    }

    #[test]
    fn parts_that_do_not_fit_together_are_refused_and_an_error_ends_what_was_begun() {
        let Reply::Final(Final::Units(some)) = units(3, "") else {
            return;
        };
        let part = encode_units(&some, More::Follows);
        let mut assembler = Assembler::default();
        assert_eq!(assembler.take(&part), Ok(None));
        assert!(assembler.take(&encode_results(&[], More::Nothing)).is_err());
        assert_eq!(assembler.take(&part), Ok(None));
        let error = Reply::Final(Final::Error(WireError {
            kind: ErrorKind::Failed,
            message: "no".to_owned(),
            hint: None,
        }));
        assert_eq!(assembler.take(&encode_reply(&error)), Ok(Some(error)));
        let Reply::Final(Final::Units(many)) = units(UNITS_MAX, "") else {
            return;
        };
        let part = encode_units(&many, More::Follows);
        assert_eq!(assembler.take(&part), Ok(None));
        assert_eq!(assembler.take(&part), Ok(None));
        assert!(assembler.take(&part).is_err(), "more than there can be");
    }
}
