//! Several services: order, requirements, what is taken along.

use diakonos::wire::{ErrorKind, ProgressKind, ResultKind};

use crate::harness::Bench;

#[test]
fn services_start_in_order_and_stop_in_reverse() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    bench.sleeper("database", "");
    bench.sleeper("cache", "Requires = [\"database\"]\nAfter = [\"database\"]");
    bench.sleeper("web", "Requires = [\"cache\"]\nAfter = [\"cache\"]");

    let done = bench.start("web");
    done.is(ResultKind::Started);
    let mut along: Vec<&str> = done
        .progress
        .iter()
        .filter(|step| step.kind == ProgressKind::AlsoStarts)
        .map(|step| step.unit.as_str())
        .collect();
    along.sort_unstable();
    assert_eq!(along, ["cache", "database"]);
    assert_eq!(ear.take(3), ["up database", "up cache", "up web"]);

    let done = bench.stop("database");
    let mut stopped: Vec<&str> = done
        .results()
        .iter()
        .map(|result| result.unit.as_str())
        .collect();
    stopped.sort_unstable();
    assert_eq!(stopped, ["cache", "database", "web"]);
    assert_eq!(ear.take(3), ["down web", "down cache", "down database"]);
}

#[test]
fn a_long_chain_is_started_as_one() {
    const LENGTH: usize = 200;
    let bench = Bench::new();
    let _daemon = bench.daemon();
    let mut ear = bench.ear();
    for link in 0..LENGTH {
        let before = link.checked_sub(1).map(|before| format!("link{before}"));
        let unit = before.map_or(String::new(), |name| {
            format!("Requires = [\"{name}\"]\nAfter = [\"{name}\"]")
        });
        let rest = "Type = \"oneshot\"\nRemainAfterExit = true";
        bench.service(
            &format!("link{link}"),
            &unit,
            &format!("echo {link} > $EAR"),
            rest,
        );
    }
    bench
        .start(&format!("link{}", LENGTH - 1))
        .is(ResultKind::Started);
    let numbers: Vec<String> = (0..LENGTH).map(|link| link.to_string()).collect();
    assert_eq!(ear.take(LENGTH), numbers);
}

#[test]
fn a_requirement_that_fails_is_the_cause() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.file("database", "[service]\nExecStart = \"/nope/database\"\n");
    bench.sleeper("web", "Requires = [\"database\"]\nAfter = [\"database\"]");
    let done = bench.start("web");
    let text = &done.is(ResultKind::Failed).result().text;
    assert!(
        text.contains("database") && text.contains("No such file"),
        "{text}"
    );
}

#[test]
fn graphs_that_cannot_be_are_refused() {
    let bench = Bench::new();
    let _daemon = bench.daemon();
    bench.sleeper("a", "Requires = [\"b\"]\nAfter = [\"b\"]");
    bench.sleeper("b", "Requires = [\"a\"]\nAfter = [\"a\"]");
    let done = bench.start("a");
    let error = done.error();
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(error.message.contains("cycle"), "{error:?}");

    bench.sleeper("lonely", "Requires = [\"nobody\"]");
    let done = bench.start("lonely");
    assert!(
        done.error().message.contains("nobody"),
        "{:?}",
        done.error()
    );

    // A wish is not a need.
    bench.sleeper("content", "Wants = [\"nobody\"]");
    let done = bench.start("content");
    done.is(ResultKind::Started);
    let warned = done
        .progress
        .iter()
        .any(|step| step.kind == ProgressKind::Warning);
    assert!(warned, "{:?}", done.progress);
    bench.stop("content").is(ResultKind::Stopped);
}
