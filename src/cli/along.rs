//! Units that a wish takes along: of thousands some are named, and the others counted.
//!
//! Owns how many are named, and the words for the rest.

use super::text::count;
use crate::wire::ProgressKind;

/// Lines of one kind that are shown of one wish.
const SHOWN_MAX: usize = 20;

/// What was told of one wish so far: how many start, stop and restart along with it.
#[derive(Debug, Default)]
pub(super) struct Along {
    starts: usize,
    stops: usize,
    restarts: usize,
}

impl Along {
    /// Whether a line of this kind is to be shown; if not, it is counted.
    pub(super) fn shows(&mut self, kind: ProgressKind) -> bool {
        let so_far = match kind {
            ProgressKind::AlsoStarts => &mut self.starts,
            ProgressKind::AlsoStops => &mut self.stops,
            ProgressKind::AlsoRestarts => &mut self.restarts,
            _ => return true,
        };
        *so_far = so_far.saturating_add(1);
        *so_far <= SHOWN_MAX
    }

    /// A line for those that were not shown, once.
    pub(super) fn take_rest(&mut self) -> Option<String> {
        let Self {
            starts,
            stops,
            restarts,
        } = std::mem::take(self);
        let all = [(starts, "start"), (stops, "stop"), (restarts, "restart")];
        let rest = all.into_iter().filter_map(|(so_far, verb)| {
            let more = so_far.checked_sub(SHOWN_MAX).filter(|more| *more > 0)?;
            let units = count(more, "unit more", "units more");
            Some(match more {
                1 => format!("{units} also {verb}s"),
                _ => format!("{units} also {verb}"),
            })
        });
        let rest: Vec<String> = rest.collect();
        (!rest.is_empty()).then(|| format!("… {}: `diakonos plan` names all", rest.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_go_along_some_are_shown_and_the_others_counted() {
        let mut along = Along::default();
        assert!(along.shows(ProgressKind::Warning));
        let shown = (0..2_000).filter(|_| along.shows(ProgressKind::AlsoStops));
        assert_eq!(shown.count(), SHOWN_MAX);
        for _ in 0..=SHOWN_MAX {
            along.shows(ProgressKind::AlsoStarts);
        }
        let rest =
            "… 1 unit more also starts, 1980 units more also stop: `diakonos plan` names all";
        assert_eq!(along.take_rest().as_deref(), Some(rest));
        assert_eq!(along.take_rest(), None);
        assert!(along.shows(ProgressKind::AlsoStops));
        assert_eq!(along.take_rest(), None);
    }
}
