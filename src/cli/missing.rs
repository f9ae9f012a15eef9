//! What is said of output that is not in a log.

use crate::log::{Loss, Missing};
use crate::sys::process::errno_text;

use super::text::{count, size};

/// One line of it, without a subject, such as `5 lines left out by LogRateLimitBurst`.
pub(super) fn loss_text(loss: Loss) -> String {
    match loss {
        Loss::Unwritten { bytes, errno: 0 } => unwritten(u64::from(bytes)),
        Loss::Unwritten { bytes, errno } => {
            let reason = errno_text(i32::from(errno));
            format!("{}: {reason}", unwritten(u64::from(bytes)))
        }
        Loss::Dropped { lines } => dropped(u64::from(lines)),
        Loss::Limited { lines } => limited(u64::from(lines)),
    }
}

/// The same for all that is missing of a service's output; `trouble`: why its log cannot be written now, or nothing.
pub(super) fn missing_texts(missing: Missing, trouble: &str) -> Vec<String> {
    // The log itself tells which run's they were.
    let some = |number: u64, text: fn(u64) -> String| {
        (number > 0).then(|| text(number) + ", all runs together")
    };
    let all = [
        (!trouble.is_empty()).then(|| format!("it cannot be written now: {trouble}")),
        some(missing.bytes, unwritten),
        some(missing.dropped_lines, dropped),
        some(missing.limited_lines, limited),
    ];
    all.into_iter().flatten().collect()
}

fn unwritten(bytes: u64) -> String {
    format!("{} could not be written", size(bytes))
}

fn dropped(lines: u64) -> String {
    format!("{} left out by LogPolicy=drop", lines_text(lines))
}

fn limited(lines: u64) -> String {
    format!("{} left out by LogRateLimitBurst", lines_text(lines))
}

fn lines_text(lines: u64) -> String {
    count(
        usize::try_from(lines).unwrap_or(usize::MAX),
        "line",
        "lines",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_says_how_much_and_why() {
        let unwritten = Loss::Unwritten {
            bytes: 14,
            errno: 28,
        };
        let expected = "14B could not be written: No space left on device";
        assert_eq!(loss_text(unwritten), expected);
        let one = Loss::Limited { lines: 1 };
        assert_eq!(loss_text(one), "1 line left out by LogRateLimitBurst");
        let missing = Missing {
            bytes: 0,
            dropped_lines: 20,
            limited_lines: 0,
        };
        let told = missing_texts(missing, "Read-only file system");
        let now = "it cannot be written now: Read-only file system";
        let dropped = "20 lines left out by LogPolicy=drop, all runs together";
        assert_eq!(told, [now, dropped]);
    }
}
