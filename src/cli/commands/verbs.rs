//! What changes a service's state: `start`, `stop`, `restart`, `reload`, `signal`, `reset`.

use super::{checked_names, names, nothing_runs, rolling};
use crate::cli::args::Given;
use crate::cli::client::{Client, other_answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::logtail::{self, Tail};
use crate::cli::output::{answer, aside, hint_line};
use crate::cli::place::Place;
use crate::cli::render;
use crate::cli::table::{Choice, Count, Group, Row};
use crate::cli::units;
use crate::cli::wait::Waiting;
use crate::engine::{Command, Scope, Wait};
use crate::sys::clock::wall_ms;
use crate::unit::Signal;
use crate::wire::{Final, ResultKind, UnitResult, UnitStatus};

/// A failed unit's last log lines that are shown.
const LOG_LINES: usize = 10;
/// Units that were found and are as they are wanted already, each with a line of its own.
const IDLE_MAX: usize = 20;
/// Requirements behind requirements that are followed to find whose failure it is.
const CHAIN_MAX: usize = 32;

pub(super) const ALL: Choice = Choice::flag("-a", "--all", "every unit instead of names");
pub(super) const NO_WAIT: Choice = Choice::flag(
    "",
    "--no-wait",
    "return as soon as the daemon has taken the request up",
);

pub(super) const FAILED: (Exit, &str) = (
    Exit::Failed,
    "a unit failed; the reason is on standard error",
);
pub(super) const NO_SUCH: (Exit, &str) = (Exit::NoSuchUnit, "no such unit; nothing was done");
pub(super) const NO_DAEMON: (Exit, &str) = (
    Exit::NoDaemon,
    "the daemon did not start, or did not answer",
);
pub(super) const NOT_RUNNING: (Exit, &str) =
    (Exit::NotRunning, "no daemon runs, so no service does");
pub(super) const DETACHED: (Exit, &str) =
    (Exit::Detached, "Ctrl-C while waiting; the work goes on");

pub(in crate::cli) const START: Row = Row {
    name: "start",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL, NO_WAIT],
    summary: "start services, with what they depend on",
    help: &[
        "Starts what the services require and want first, in order, and in parallel where no order is asked for. Returns \
         when each is ready, or when it is known that it will not be: then the reason and the last lines of its log are \
         shown. The daemon starts by itself if none runs.",
        "A service that is up is left alone. The unit file is read again for a service that is down. Ctrl-C ends the \
         waiting, not the start.",
        "Names may be patterns, such as 'worker@*'; quote them for the shell. A template's name, such as worker@, means \
         its instances: as many as Instances= in its file says, or `scale`. A unit whose file is wrong, or whose order goes \
         in a circle, is reported, and the others that a pattern or --all has found start; one that was named itself has \
         the whole request refused.",
    ],
    examples: &[
        (
            "diakonos start web",
            "starts ./services/web.service and what it depends on",
        ),
        (
            "diakonos start 'worker@*' --no-wait",
            "does not wait until they are up",
        ),
    ],
    exits: &[FAILED, NO_SUCH, NO_DAEMON, DETACHED],
    run: |given| {
        let names = names(given)?;
        let wait = wait(given);
        starting(
            given,
            "start",
            Command::Start {
                names,
                found: Vec::new(),
                wait,
            },
        )
    },
};

pub(in crate::cli) const STOP: Row = Row {
    name: "stop",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL, NO_WAIT],
    summary: "stop services, after what requires them",
    help: &[
        "Stops what requires the services first, and names it. A service gets SIGTERM (or its KillSignal=), and SIGKILL \
         when TimeoutStopSec= is over; meanwhile the processes that are still alive are named. It is stopped when no \
         process of it is left, and that is looked at, not assumed.",
        "A service that is stopped by hand stays down: nothing restarts it but `start`, or the next start of the daemon \
         if it is enabled.",
    ],
    examples: &[("diakonos stop web", "stops web, after what requires it")],
    exits: &[FAILED, NO_SUCH, DETACHED],
    run: |given| {
        let names = names(given)?;
        let wait = wait(given);
        if_running(given, "stop", Command::Stop { names, wait }, |what| {
            nothing_runs(what)
        })
    },
};

pub(in crate::cli) const RESTART: Row = Row {
    name: "restart",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[
        ALL,
        NO_WAIT,
        Choice::flag("", "--if-running", "leave those that are down as they are"),
        Choice::flag(
            "",
            "--rolling",
            "one after the other, each ready before the next",
        ),
    ],
    summary: "stop services and start them again",
    help: &[
        "What requires the services is restarted too, and named. The unit files are read again first: one that is wrong \
         is refused, and the service goes on as it was. A service that is down is started.",
        "--rolling goes from unit to unit in the order of their names and numbers, so that the others serve meanwhile. It \
         stops at the first that fails, and says which are new and which it has not come to; Ctrl-C ends it after the one at \
         hand.",
    ],
    examples: &[
        (
            "diakonos restart web",
            "reads web.service again and restarts web",
        ),
        (
            "diakonos restart --if-running 'worker@*'",
            "restarts only the workers that are up",
        ),
        (
            "diakonos restart --rolling 'worker@*'",
            "the workers, one by one",
        ),
    ],
    exits: &[FAILED, NO_SUCH, NO_DAEMON, DETACHED],
    run: |given| {
        let names = names(given)?;
        let wait = wait(given);
        let running = given.flag("--if-running");
        let scope = if running { Scope::Running } else { Scope::All };
        let command = Command::Restart { names, wait, scope };
        if given.flag("--rolling") {
            roll(given, scope)
        } else if running {
            if_running(given, "restart", command, nothing_runs)
        } else {
            starting(given, "restart", command)
        }
    },
};

fn roll(given: &Given, scope: Scope) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let client = match scope {
        Scope::All => Some(place.connect_or_start()?),
        Scope::Running => place.connect_or_succeed()?,
    };
    match client {
        Some(mut client) => rolling::restart(given, &place, &mut client, scope),
        None => nothing_runs("nothing to restart"),
    }
}

pub(in crate::cli) const RELOAD: Row = Row {
    name: "reload",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL],
    summary: "have services read their own configuration again",
    help: &[
        "Runs ExecReload= of each service and waits for its end. It is the service's configuration that is read again, \
         not its unit file: that is read by `restart`.",
    ],
    examples: &[("diakonos reload nginx", "runs nginx's ExecReload=")],
    exits: &[FAILED, NOT_RUNNING, NO_SUCH, DETACHED],
    run: |given| {
        let names = names(given)?;
        let command = Command::Reload {
            names: names.clone(),
        };
        on_running(given, &names, ("reload", command))
    },
};

pub(in crate::cli) const SIGNAL: Row = Row {
    name: "signal",
    alias: None,
    group: Group::Services,
    arguments: "SIGNAL NAME…",
    count: Count::AtLeastOr(2, "--all"),
    options: &[ALL],
    summary: "send a signal to the main process of services",
    help: &[
        "The signal is a name with or without SIG, or a number. What the service makes of it is up to the service: one \
         that ends of it is restarted as its Restart= says.",
        "--all and patterns mean those that run.",
    ],
    examples: &[
        ("diakonos signal HUP nginx", "sends SIGHUP to nginx"),
        (
            "diakonos signal USR1 'worker@*'",
            "sends SIGUSR1 to every worker",
        ),
    ],
    exits: &[
        FAILED,
        (
            Exit::NotRunning,
            "one of the units does not run, or no daemon does",
        ),
        NO_SUCH,
    ],
    run: signal,
};

pub(in crate::cli) const RESET: Row = Row {
    name: "reset",
    alias: None,
    group: Group::Services,
    arguments: "NAME…",
    count: Count::AtLeastOr(1, "--all"),
    options: &[ALL],
    summary: "forget failures, restart counters and start limits",
    help: &["A failed unit becomes a stopped one. Nothing is started or stopped."],
    examples: &[("diakonos reset web", "web is no longer `failed`")],
    exits: &[NO_SUCH],
    run: |given| {
        let names = names(given)?;
        if_running(given, "reset", Command::Reset { names }, |what| {
            nothing_runs(what)
        })
    },
};

fn wait(given: &Given) -> Wait {
    if given.flag("--no-wait") {
        Wait::Accepted
    } else {
        Wait::Finished
    }
}

fn signal(given: &Given) -> Result<Exit, Failure> {
    let (signal, names) = match given.arguments.split_first() {
        Some((signal, _)) if given.flag("--all") => (parse_signal(signal)?, names(given)?),
        Some((signal, names)) => (parse_signal(signal)?, checked_names(names)?),
        None => return Err(Failure::usage("`diakonos signal` needs SIGNAL NAME…")),
    };
    let command = Command::Signal {
        names: names.clone(),
        signal,
    };
    on_running(given, &names, ("signal", command))
}

/// For what is done to processes: units that have none are told of only where they were named themselves.
pub(super) fn on_running(
    given: &Given,
    names: &[String],
    wish: (&str, Command),
) -> Result<Exit, Failure> {
    let begun_ms = wall_ms();
    let place = Place::find(given)?;
    let mut client = place.connect_or_succeed()?.ok_or_else(no_daemon)?;
    let mut results = ask(given, &place, &mut client, wish)?;
    let is_down = |result: &UnitResult| result.kind == ResultKind::NotRunning;
    results.retain(|result| !is_down(result) || names.contains(&result.unit));
    if results.is_empty() {
        return Err(Failure::new(
            Exit::NotRunning,
            "none of these units runs; nothing was done",
        ));
    }
    let exit = report(given, &place, &results, begun_ms)?;
    let mut failures = results.iter().filter(|result| !render::is_success(result));
    Ok(match exit {
        Exit::Failed if failures.all(is_down) => Exit::NotRunning,
        exit => exit,
    })
}

fn parse_signal(text: &str) -> Result<Signal, Failure> {
    Signal::parse(text).ok_or_else(|| {
        let shown = crate::cli::text::clean(text);
        Failure::usage(format!("`{shown}` is no signal")).hint(
            "a name such as TERM or SIGHUP, or a number from 1 to 64, stands before the units",
        )
    })
}

fn no_daemon() -> Failure {
    Failure::new(Exit::NotRunning, "no daemon runs, so no service does")
        .hint("`diakonos start NAME` starts both")
}

/// For what makes sense without a daemon: it is started.
fn starting(given: &Given, verb: &str, command: Command) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let mut client = place.connect_or_start()?;
    carry_out(given, &place, &mut client, (verb, command))
}

/// For what makes sense only while a daemon runs; otherwise `without` says what is so.
pub(super) fn if_running(
    given: &Given,
    verb: &str,
    command: Command,
    without: fn(&str) -> Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    match place.connect_or_succeed()? {
        Some(mut client) => carry_out(given, &place, &mut client, (verb, command)),
        None => without(&format!("nothing to {verb}")),
    }
}

fn carry_out(
    given: &Given,
    place: &Place,
    client: &mut Client,
    (verb, command): (&str, Command),
) -> Result<Exit, Failure> {
    let begun_ms = wall_ms();
    let mut results = ask(given, place, client, (verb, command))?;
    let idle = without_idle(given, &mut results);
    let exit = report(given, place, &results, begun_ms)?;
    if let Some(idle) = idle {
        answer(idle)?;
    }
    Ok(exit)
}

/// Takes those out that nobody has named and that were so already, if they are many; in their place a line.
fn without_idle(given: &Given, results: &mut Vec<UnitResult>) -> Option<String> {
    let named = &given.arguments;
    let is_idle = |kind: ResultKind, result: &UnitResult| {
        result.kind == kind && !named.contains(&result.unit)
    };
    let kinds = [
        (ResultKind::AlreadyDown, "are already down"),
        (ResultKind::AlreadyUp, "are already up"),
    ];
    let mut lines = String::new();
    for (kind, how) in kinds {
        let count = results.iter().filter(|one| is_idle(kind, one)).count();
        if count > IDLE_MAX {
            results.retain(|one| !is_idle(kind, one));
            lines.push_str(&format!("{count} units {how}\n"));
        }
    }
    (!lines.is_empty()).then_some(lines)
}

/// Has it done, and waits for what became of each unit.
fn ask(
    given: &Given,
    place: &Place,
    client: &mut Client,
    (verb, command): (&str, Command),
) -> Result<Vec<UnitResult>, Failure> {
    let mut waiting = Waiting::new(given, place, format!("{verb} {}", subject(given)));
    let last = waiting
        .carry_out(client, command)
        .map_err(|failure| units::with_nearest(failure, place, &given.arguments))?;
    match last {
        Final::Results(results) => Ok(results),
        _ => Err(other_answer()),
    }
}

/// What a command is about, for the line that says what is waited for.
pub(super) fn subject(given: &Given) -> String {
    match given.arguments.as_slice() {
        [] => "all units".to_owned(),
        names => names.join(", "),
    }
}

/// Shows what became of each unit; the exit code follows from it.
pub(in crate::cli) fn report(
    given: &Given,
    place: &Place,
    results: &[UnitResult],
    begun_ms: u64,
) -> Result<Exit, Failure> {
    let answered = answer(render::successes(results, given.palette()));
    let palette = given.error_palette();
    let mut exit = Exit::Done;
    for result in results.iter().filter(|result| !render::is_success(result)) {
        exit = Exit::Failed;
        let (culprit, log) = last_words(place, result, begun_ms);
        aside(&render::failures(result, (&culprit, &log), palette));
        let hint = match &result.hint {
            Some(hint) => hint.clone(),
            None if !log.lines.is_empty() && culprit == result.unit => {
                format!("`diakonos logs {culprit}` shows what it said")
            }
            None => format!("`diakonos why {culprit}` says more"),
        };
        aside(&hint_line(&hint, palette));
    }
    // That nobody reads of the successes does not make one of a failure.
    if exit == Exit::Done {
        answered?;
    }
    Ok(exit)
}

/// What a failed unit has printed in the life that has ended, if that began at this moment or later; if nothing, then
/// what the failed unit at the end of the chain of requirements has.
fn last_words(place: &Place, result: &UnitResult, begun_ms: u64) -> (String, Tail) {
    let nothing = || (result.unit.clone(), Tail::default());
    let Ok(Some(mut client)) = place.connect() else {
        return nothing();
    };
    let mut ask = |names: Vec<String>| {
        let units = client.units(Command::Status { names }, &[]);
        units.unwrap_or_default()
    };
    let Some(status) = ask(vec![result.unit.clone()]).pop() else {
        return nothing();
    };
    let said = |status: &UnitStatus| {
        let most = (LOG_LINES, begun_ms);
        logtail::last_words(&place.home, status, most, &result.text)
    };
    let own = said(&status);
    let other = match own.lines.is_empty() {
        true => culprit(status, &mut ask),
        false => None,
    };
    match other {
        Some(other) => (other.name.clone(), said(&other)),
        None => (result.unit.clone(), own),
    }
}

/// The unit whose own failure it is; nothing if it is this one's.
fn culprit(
    mut at: UnitStatus,
    ask: &mut dyn FnMut(Vec<String>) -> Vec<UnitStatus>,
) -> Option<UnitStatus> {
    let name = at.name.clone();
    for _ in 0..CHAIN_MAX {
        // No names would mean every unit.
        if at.requires.is_empty() {
            break;
        }
        let mut required = ask(at.requires.clone()).into_iter();
        match required.find(|status| status.state == "failed") {
            Some(next) => at = next,
            None => break,
        }
    }
    (at.name != name).then_some(at)
}
