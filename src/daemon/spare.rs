//! Progress that a client can do without: what becomes of it when much comes at once, or the client reads slowly.
//!
//! Owns what is counted instead of being sent, and which of many counts is. Sending is `session.rs`'s.

use crate::wire::{Final, Progress, ProgressKind, Reply};

use super::session::OUTPUT_MAX;

/// Bytes that may wait before progress is left out: thousands of units may tell of theirs before a client can read.
const PROGRESS_MAX: usize = OUTPUT_MAX / 2;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Spare {
    /// Lines that were not sent.
    left_out: u32,
    /// How far the request has come: only the last of a turn is worth a line.
    reached: Option<Progress>,
}

impl Spare {
    /// Whether this reply is not to be sent while so many bytes wait, but is counted here, or waits for its like.
    pub(super) fn takes(&mut self, reply: &Reply, waiting: usize) -> bool {
        match reply {
            Reply::Progress(progress) if progress.kind == ProgressKind::Reached => {
                self.reached = Some(progress.clone());
                true
            }
            Reply::Progress(progress) if progress.kind.is_spare() && waiting > PROGRESS_MAX => {
                self.left_out = self.left_out.saturating_add(1);
                true
            }
            Reply::Progress(_) | Reply::Final(_) => false,
        }
    }

    /// What is to be said at the end of a turn.
    pub(super) fn at_turn(&mut self, waiting: usize) -> Option<Reply> {
        let has_room = waiting <= PROGRESS_MAX;
        let reached = has_room.then(|| self.reached.take()).flatten();
        reached.map(Reply::Progress)
    }

    /// What is to be said in front of this reply: once, and only at the end is it known how much was left out.
    pub(super) fn before(&mut self, reply: &Reply) -> Option<Reply> {
        let Reply::Final(last) = reply else {
            return None;
        };
        let Self { left_out, .. } = std::mem::take(self);
        (left_out > 0 && !matches!(last, Final::Error(_))).then(|| {
            Reply::Progress(Progress {
                kind: ProgressKind::Warning,
                unit: String::new(),
                text: format!("{left_out} lines on the way were left out: too many at once"),
                in_ms: None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(kind: ProgressKind, text: &str) -> Reply {
        Reply::Progress(Progress {
            kind,
            unit: String::new(),
            text: text.to_owned(),
            in_ms: None,
        })
    }

    #[test]
    fn what_is_left_out_is_said_once_and_of_many_counts_the_last() {
        let mut spare = Spare::default();
        let also = progress(ProgressKind::AlsoStarts, "also starts: web requires it");
        let retried = progress(ProgressKind::Warning, "of weight");
        assert!(!spare.takes(&also, PROGRESS_MAX));
        for _ in 0..5 {
            assert!(spare.takes(&also, PROGRESS_MAX + 1));
            assert!(!spare.takes(&retried, PROGRESS_MAX + 1));
            assert_eq!(spare.before(&retried), None);
        }
        for count in ["1 of 9 up", "2 of 9 up", "3 of 9 up"] {
            assert!(spare.takes(&progress(ProgressKind::Reached, count), 0));
        }
        assert_eq!(spare.at_turn(PROGRESS_MAX + 1), None);
        let last = progress(ProgressKind::Reached, "3 of 9 up");
        assert_eq!(spare.at_turn(0), Some(last));
        assert_eq!(spare.at_turn(0), None);
        let end = Reply::Final(Final::Results(Vec::new()));
        let text = "5 lines on the way were left out: too many at once";
        assert_eq!(
            spare.before(&end),
            Some(progress(ProgressKind::Warning, text))
        );
        assert_eq!(spare.before(&end), None);
    }
}
