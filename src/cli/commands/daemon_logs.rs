//! `logs --daemon`.

use std::io::{self, BufWriter, Write};

use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::logs::{Form, Options};
use crate::cli::output::aside;
use crate::cli::own_log::{self, Wanted};
use crate::cli::place::Place;
use crate::log::{Level, Mode, Start};
use crate::sys::process::error_text;

/// Options that say something of a service's log only.
const OF_SERVICES: [&str; 6] = [
    "--err",
    "--run",
    "--timestamps",
    "--raw",
    "--rotate",
    "--flush",
];

/// What the daemon says itself. Its lines begin with their times and are never shown as they are.
pub(super) fn show(given: &Given, place: &Place, options: &Options) -> Result<Exit, Failure> {
    let is_given = |option: &&str| given.flag(option) || given.value(option).is_some();
    if let Some(option) = OF_SERVICES.into_iter().find(is_given) {
        let message = format!("{option} is about a service's log, --daemon about the daemon's");
        return Err(Failure::usage(message));
    }
    if !given.arguments.is_empty() {
        return Err(Failure::usage("`diakonos logs --daemon` takes no NAME")
            .hint("`diakonos logs --daemon --grep NAME` shows what it says of one"));
    }
    let lines = match options.start {
        Start::Last(lines) => Some(lines),
        Start::Oldest | Start::Near { .. } => None,
    };
    let text = |level: Level, line: &[u8]| {
        let sift = options.sift.as_ref();
        sift.is_none_or(|sift| sift.wants(level, line))
    };
    let wanted = Wanted {
        last: lines,
        since_ms: options.filter.since_ms,
        until_ms: options.filter.until_ms,
        text: Some(&text),
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let follows = options.mode == Mode::Follow;
    let mut shown = 0;
    let told = own_log::show(&place.home, &wanted, follows, &mut |line| {
        shown += 1;
        match options.look.form {
            Form::Json => output.write_all(line.object().line().as_bytes())?,
            Form::Raw | Form::Text(_) => writeln!(output, "{}", line.text())?,
        }
        match follows {
            true => output.flush(),
            false => Ok(()),
        }
    });
    let told = told.and_then(|()| output.flush());
    told.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::silent(Exit::Done),
        _ => {
            let (path, reason) = (place.home.own_log(), error_text(&error));
            Failure::new(Exit::Failed, format!("{}: {reason}", path.display()))
        }
    })?;
    if shown == 0 && lines != Some(0) {
        aside("the daemon has said nothing of that kind yet\n");
    }
    Ok(Exit::Done)
}
