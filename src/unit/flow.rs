//! How much of a service's output its log takes: `LogPolicy=` and `LogRateLimit*=`.
//!
//! Owns these keys' reading and printing; what they do is the log's.

use super::parse::Reader;
use super::print::{Page, word};
use super::{LogLimits, Span, value};

const SERVICE: &str = "service";
const POLICIES: [(&str, LogPolicy); 2] = [("block", LogPolicy::Block), ("drop", LogPolicy::Drop)];
/// Where only one of the two keys is given, the other is as journald.conf(5) has it.
const INTERVAL_MS: u32 = 30_000;
const BURST: u32 = 10_000;

/// `LogPolicy=`: what happens when a service writes faster than its log takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogPolicy {
    /// The service waits.
    Block,
    /// Whole lines are left out, and counted.
    Drop,
}

/// `LogRateLimitIntervalSec=` and `LogRateLimitBurst=`: so many lines in so much time, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogRate {
    /// At least 1.
    pub interval_ms: u32,
    /// Lines, at least 1.
    pub burst: u32,
}

pub(super) fn policy(reader: &mut Reader) -> LogPolicy {
    let read = |v: &value::Value, _: &super::specifier::Scope| value::choice(v, &POLICIES);
    let policy = reader.one(SERVICE, "LogPolicy", read);
    policy.unwrap_or(LogPolicy::Block)
}

/// Nothing where neither key is given, or one of them is 0.
pub(super) fn rate(reader: &mut Reader) -> Option<LogRate> {
    let interval = reader.one(SERVICE, "LogRateLimitIntervalSec", |v, _| {
        let span_ms = value::span(v)?.as_millis();
        let span_ms = span_ms.and_then(|span_ms| u32::try_from(span_ms).ok());
        span_ms.ok_or_else(|| value::fault(v, "the lines of 49 days can be counted at most"))
    });
    let most = i64::from(i32::MAX);
    let burst = reader.one(SERVICE, "LogRateLimitBurst", |v, _| {
        value::number(v, 0, most)
    });
    if (interval, burst) == (None, None) {
        return None;
    }
    let rate = LogRate {
        interval_ms: interval.unwrap_or(INTERVAL_MS),
        burst: burst.unwrap_or(BURST),
    };
    (rate.interval_ms > 0 && rate.burst > 0).then_some(rate)
}

impl Page {
    pub(super) fn log_flow(&mut self, log: &LogLimits) {
        if log.policy != LogPolicy::Block {
            self.text("LogPolicy", word(&POLICIES, &log.policy));
        }
        if let Some(LogRate { interval_ms, burst }) = log.rate {
            let interval = Span::from_millis(u64::from(interval_ms));
            self.span("LogRateLimitIntervalSec", Some(interval));
            self.bare("LogRateLimitBurst", &burst.to_string());
        }
    }
}
