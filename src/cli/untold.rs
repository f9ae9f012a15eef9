//! What `logs` says of output that could not be written, as long as no log tells of it: the daemon knows.
//!
//! Owns which of it belongs to what was asked for, and the words. Where no daemon answers at once there is nothing.

use std::io::Write;

use super::client::Client;
use super::logfailure::LogsError;
use super::logjson;
use super::logs::{Extras, Form, Options, RunWish};
use super::logtail::loss;
use super::missing::loss_text;
use super::output::aside;
use super::place::Place;
use super::text::{clean, local_time};
use crate::log::{Content, Entry, Level, Mark};
use crate::sys::clock::wall_ms;
use crate::wire::{LogUntold, UnitStatus};

/// Characters of a local time up to its day, and up to its minute.
const DAY: usize = 10;
const MINUTE: usize = 16;

/// What tells a loss that lasts from the next one: of which service it is, the run and the time at which it began.
type Loss = (String, u64, Option<u64>);

/// Looks for what is missing in logs and stands in none of them.
#[derive(Debug)]
pub(super) struct Untold<'a> {
    place: &'a Place,
    options: &'a Options,
    /// What was missing at the last look: as long as that lasts it is told once.
    missing: Vec<Loss>,
}

impl<'a> Untold<'a> {
    pub(super) fn of(place: &'a Place, options: &'a Options) -> Self {
        let missing = Vec::new();
        Self {
            place,
            options,
            missing,
        }
    }

    /// Whether there is anybody who wants to know.
    pub(super) fn is_wanted(&self) -> bool {
        self.options.look.extras != Extras::Nothing
    }

    /// Puts down what is missing in the logs of `names` since the last look: on standard error, and where objects are
    /// wanted among those. Whether there was any.
    ///
    /// # Errors
    /// `output` takes no more.
    pub(super) fn tell(
        &mut self,
        names: &[String],
        output: &mut dyn Write,
    ) -> Result<bool, LogsError> {
        if names.is_empty() || !self.is_wanted() {
            return Ok(false);
        }
        // Nobody may answer for a while: then it lasts, as far as is known.
        let Some(units) = Client::glance(self.place, names) else {
            return Ok(false);
        };
        let earlier = std::mem::take(&mut self.missing);
        let mut has_told = false;
        for name in names {
            let unit = units.iter().find(|unit| unit.name == *name);
            let untold = unit.map(|unit| wanted(self.place, unit, self.options));
            let untold = untold.unwrap_or_default();
            let losses = untold.iter();
            let losses = losses.map(|one| (name.clone(), one.run, one.since_ms));
            let losses: Vec<Loss> = losses.collect();
            // Each run that comes meanwhile has its part of it.
            let has_lasted = losses.iter().any(|loss| earlier.contains(loss));
            self.missing.extend(losses);
            if !has_lasted {
                has_told |= tell(name, &untold, self.options, output)?;
            }
        }
        output.flush().map_err(LogsError::Write)?;
        Ok(has_told)
    }
}

/// Puts down what is missing of one service. Whether it is of those lines that are asked for.
fn tell(
    name: &str,
    untold: &[LogUntold],
    options: &Options,
    output: &mut dyn Write,
) -> Result<bool, LogsError> {
    let Some(all) = together(untold) else {
        return Ok(false);
    };
    let text = text(name, all, wall_ms());
    let sift = options.sift.as_ref();
    if sift.is_some_and(|sift| !sift.wants(Level::Warning, text.as_bytes())) {
        return Ok(false);
    }
    if options.look.form != Form::Json {
        aside(&format!("{text}\n"));
        return Ok(true);
    }
    for one in untold {
        let entry = Entry {
            time_ms: one.since_ms.unwrap_or_else(wall_ms),
            run: one.run,
            content: Content::Mark(Mark::Lost(loss(*one))),
        };
        let object = logjson::object(name, &entry).line();
        let written = output.write_all(object.as_bytes());
        written.map_err(LogsError::Write)?;
    }
    Ok(true)
}

/// What of it is of the run and the time that were asked for.
fn wanted(place: &Place, unit: &UnitStatus, options: &Options) -> Vec<LogUntold> {
    let find = |wish: RunWish| wish.find(&place.home.logs(), &unit.name).ok().flatten();
    let run = options.run.map(|wish| match wish {
        // Its log may know nothing of it yet.
        RunWish::Number(run) => Some(run),
        RunWish::Back(_) => find(wish),
    });
    let is_wanted = |one: &&LogUntold| {
        let until_ms = options.filter.until_ms.unwrap_or(u64::MAX);
        run.is_none_or(|run| run == Some(one.run)) && one.since_ms.unwrap_or(0) <= until_ms
    };
    unit.log_untold.iter().filter(is_wanted).copied().collect()
}

/// All as one: since the first, for the last reason.
fn together(untold: &[LogUntold]) -> Option<LogUntold> {
    let (first, last) = (untold.first()?, untold.last()?);
    Some(LogUntold {
        bytes: untold.iter().map(|one| one.bytes).sum(),
        since_ms: first.since_ms,
        ..*last
    })
}

/// `web: 15B since 14:03 could not be written: No space left on device`.
fn text(name: &str, untold: LogUntold, now_ms: u64) -> String {
    let since = untold.since_ms.map(|since_ms| {
        let (time, now) = (local_time(since_ms), local_time(now_ms));
        let is_today = time.get(..DAY) == now.get(..DAY);
        let from = if is_today { DAY + 1 } else { 0 };
        format!(" since {} ", time.get(from..MINUTE).unwrap_or(&time))
    });
    let lost = loss_text(loss(untold));
    let lost = lost.replacen(' ', since.as_deref().unwrap_or(" "), 1);
    format!("{}: {lost}", clean(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_names_its_beginning_and_the_last_reason() {
        let now_ms = 1_795_300_813_007;
        let one = |since_ms, bytes, errno| LogUntold {
            run: 7,
            bytes,
            errno,
            since_ms,
        };
        let told = |untold: &[LogUntold]| together(untold).map(|all| text("web", all, now_ms));
        assert_eq!(told(&[]), None);
        let time = local_time(now_ms);
        let both = [one(Some(now_ms), 10, 30), one(Some(now_ms + 1), 5, 28)];
        let expected = format!(
            "web: 15B since {} could not be written: No space left on device",
            &time[11..16]
        );
        assert_eq!(told(&both), Some(expected));
        let long_ago = told(&[one(Some(0), 1, 0)]).unwrap_or_default();
        assert!(long_ago.starts_with("web: 1B since 19"), "{long_ago}");
        let unknown = told(&[one(None, 1, 28)]);
        let expected = "web: 1B could not be written: No space left on device";
        assert_eq!(unknown.as_deref(), Some(expected));
    }
}
