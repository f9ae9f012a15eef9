//! `startup` and `unstartup`: the daemon starts with the machine, or no longer does.

use std::path::{Path, PathBuf};

use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{answer, aside, hint_line};
use crate::cli::place::{Place, home_hint};
use crate::cli::startup::{Kind, Made, Outcome, Plan, Subject, run};
use crate::cli::table::{Choice, Count, Group, Row};
use crate::sys::files;
use crate::sys::process::error_text;

const INIT: Choice = Choice::value(
    "",
    "--init",
    "NAME",
    "systemd, systemd-user, openrc, runit or cron, instead of what this machine runs",
);
const ROOT: Choice = Choice::value(
    "",
    "--root",
    "DIR",
    "work on the system that lies in this folder, an image for instance; needs --init, runs no command",
);

pub(in crate::cli) const STARTUP: Row = Row {
    name: "startup",
    alias: None,
    group: Group::Daemon,
    arguments: "",
    count: Count::None,
    options: &[
        INIT,
        Choice::flag("", "--print", "show what would be written, and do nothing"),
        ROOT,
    ],
    summary: "have the daemon start with the machine",
    help: &[
        "The daemon of this user and this home, and with it every unit that is enabled. root's is started by systemd, OpenRC \
         or runit; another user's by the systemd of that user; where there is none of them, by a @reboot line in the \
         crontab.",
        "Says what it wrote and ran. What is already as it should be stays; a file that this command did not make is \
         never overwritten. A daemon that runs goes on as it is.",
    ],
    examples: &[
        ("diakonos startup", "from the next boot on"),
        (
            "diakonos startup --init systemd --print",
            "shows the unit for systemd",
        ),
    ],
    exits: &[
        (
            Exit::Failed,
            "something else is in its place, or it could not be written",
        ),
        (Exit::NotAllowed, "this user may not write there"),
    ],
    run: startup,
};

pub(in crate::cli) const UNSTARTUP: Row = Row {
    name: "unstartup",
    alias: None,
    group: Group::Daemon,
    arguments: "",
    count: Count::None,
    options: &[INIT, ROOT],
    summary: "no longer have the daemon start with the machine",
    help: &[
        "Removes what `diakonos startup` made for this user and this home, whichever init system it was made for, and \
         nothing else. The daemon goes on, but where it runs under runit, which ends what is removed.",
    ],
    examples: &[],
    exits: &[
        (Exit::Done, "it is gone, or there was nothing"),
        (Exit::NotAllowed, "this user may not remove it"),
    ],
    run: unstartup,
};

fn startup(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let subject = Subject::find(&place.home, named_directories(given, &place))?;
    let root = root(given)?;
    let kind = match given.value("--init") {
        Some(name) => Kind::parse(name)?,
        None => Kind::detect(subject.uid())?,
    };
    let plan = subject.plan(kind, root.as_deref());
    if given.flag("--print") {
        return print(&plan);
    }
    if root.is_none() {
        make_home(&place)?;
    }
    for made in &plan.made {
        made.check(&plan)
            .map_err(|failure| not_root(failure, kind, &subject))?;
    }
    let mut changed = false;
    for made in &plan.made {
        let outcome = made.install(&plan);
        let outcome = outcome.map_err(|failure| not_root(failure, kind, &subject))?;
        changed |= outcome == Outcome::Changed;
        answer(format!("{} {}\n", verb(made, outcome), made.what(&plan)))?;
    }
    if changed {
        reload(given, &plan)?;
    }
    answer(format!(
        "the daemon of {} starts with the machine\n",
        subject.home()
    ))?;
    for hint in hints(kind, &subject, &place, root.as_deref()) {
        say(given, &hint);
    }
    Ok(Exit::Done)
}

fn unstartup(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let subject = Subject::find(&place.home, Vec::new())?;
    let root = root(given)?;
    let kinds = match given.value("--init") {
        Some(name) => vec![Kind::parse(name)?],
        None => Kind::removable(root.as_deref()),
    };
    let mut removed = false;
    // What cannot be removed keeps nothing else.
    let mut failed = None;
    for kind in kinds {
        match remove(given, (kind, &subject), root.as_deref()) {
            Ok(outcome) => removed |= outcome == Outcome::Changed,
            Err(failure) => failed = failed.or(Some(not_root(failure, kind, &subject))),
        }
    }
    if let Some(failure) = failed {
        return Err(failure);
    }
    let home = subject.home();
    answer(if removed {
        format!("the daemon of {home} no longer starts with the machine\n")
    } else {
        format!("nothing to remove: nothing starts the daemon of {home} with the machine\n")
    })?;
    Ok(Exit::Done)
}

/// Takes away what was made last first, so that nothing leads to what is gone.
fn remove(
    given: &Given,
    (kind, subject): (Kind, &Subject),
    root: Option<&Path>,
) -> Result<Outcome, Failure> {
    let plan = subject.plan(kind, root);
    let mut all = Outcome::Same;
    for made in plan.made.iter().rev() {
        if made.remove(&plan)? == Outcome::Changed {
            all = Outcome::Changed;
            answer(format!("removed {}\n", made.what(&plan)))?;
        }
    }
    if all == Outcome::Same {
        return Ok(all);
    }
    let name = subject.name(kind);
    match kind {
        // Told now, systemd would forget how this unit is to be treated, and end the services with their daemon.
        Kind::Systemd | Kind::SystemdUser if root.is_none() && kind.is_active(&name) => {
            let manager = kind.manager();
            say(
                given,
                &format!(
                    "the daemon still runs under systemd: `{manager} stop {name}` ends it and its services; without \
                     that, they do not outlive its crash once systemd has reread its units"
                ),
            );
        }
        Kind::Runit if root.is_none() => {
            say(
                given,
                "runit ends the daemon, if it runs under it, in a few seconds",
            );
        }
        _ => reload(given, &plan)?,
    }
    Ok(all)
}

/// The folders that were named; the usual ones need no mention.
fn named_directories(given: &Given, place: &Place) -> Vec<String> {
    let variable = std::env::var_os("DIAKONOS_SERVICE_DIR");
    let is_named = !given.service_dirs.is_empty() || variable.is_some_and(|it| !it.is_empty());
    if !is_named {
        return Vec::new();
    }
    let own = place.home.services().display().to_string();
    let named = place.directories.iter().filter(|folder| **folder != own);
    named.cloned().collect()
}

/// The folder that stands for `/`, if one is given.
fn root(given: &Given) -> Result<Option<PathBuf>, Failure> {
    let Some(text) = given.value("--root") else {
        return Ok(None);
    };
    if given.value("--init").is_none() && given.row.name == STARTUP.name {
        return Err(Failure::usage(
            "--root needs --init: nobody can know what will run there",
        ));
    }
    match std::fs::canonicalize(text) {
        Ok(path) if path.is_dir() => Ok(Some(path)),
        Ok(path) => Err(Failure::usage(format!("{} is no folder", path.display()))),
        Err(error) => {
            let reason = error_text(&error);
            Err(Failure::usage(format!(
                "cannot use --root {text}: {reason}"
            )))
        }
    }
}

fn print(plan: &Plan) -> Result<Exit, Failure> {
    let mut text = String::new();
    for made in &plan.made {
        text.push_str(&made.shown());
    }
    if !plan.reload.is_empty() {
        text.push_str(&format!("# run {}\n", plan.reload.join(" ")));
    }
    answer(text)?;
    Ok(Exit::Done)
}

/// The daemon's folder: its log is written there before the daemon itself could make it.
fn make_home(place: &Place) -> Result<(), Failure> {
    let root = place.home.root();
    files::private_directory(root).map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NotAllowed,
            _ => Exit::Failed,
        };
        let (path, reason) = (root.display(), error_text(&error));
        Failure::new(
            exit,
            format!("cannot use the daemon's folder {path}: {reason}"),
        )
        .hint(home_hint(root))
    })
}

fn verb(made: &Made, outcome: Outcome) -> &'static str {
    match (outcome, made) {
        (Outcome::Same, _) => "unchanged",
        (Outcome::Changed, Made::Link { .. }) => "linked",
        (Outcome::Changed, _) => "wrote",
    }
}

/// Tells the init system, if it runs here.
fn reload(given: &Given, plan: &Plan) -> Result<(), Failure> {
    if plan.reload.is_empty() || !Kind::systemd_runs() {
        return Ok(());
    }
    let command = plan.reload.join(" ");
    match run(plan.reload) {
        Ok(()) => answer(format!("ran {command}\n")),
        Err(reason) => {
            say(
                given,
                &format!(
                    "`{command}` failed ({reason}): run it yourself, or systemd knows of it after a reboot"
                ),
            );
            Ok(())
        }
    }
}

/// Where only root may write, the failure says what else there is.
fn not_root(failure: Failure, kind: Kind, subject: &Subject) -> Failure {
    if failure.exit != Exit::NotAllowed || subject.uid() == 0 {
        return failure;
    }
    match kind {
        Kind::Systemd => failure.hint(
            "`--init systemd-user` needs no root; or let root save what `--init systemd --print` shows",
        ),
        Kind::OpenRc | Kind::Runit => {
            failure.hint("this needs root, and would be root's daemon; `--init cron` needs no root")
        }
        Kind::SystemdUser | Kind::Cron => failure,
    }
}

/// What else there is to do or to know.
fn hints(kind: Kind, subject: &Subject, place: &Place, root: Option<&Path>) -> Vec<String> {
    let mut hints = Vec::new();
    let user = subject.user();
    if kind == Kind::SystemdUser && !subject.lingers() {
        hints.push(format!(
            "systemd starts {user}'s units when {user} logs in, and ends them after the last logout: \
             `loginctl enable-linger {user}` makes them start with the machine and stay"
        ));
    }
    let sudo = std::env::var("SUDO_USER").ok().filter(|name| name != user);
    if let (Some(name), 0) = (sudo, subject.uid()) {
        hints.push(format!(
            "this is root's daemon; for {name}'s own, run `diakonos startup` without sudo"
        ));
    }
    if matches!(kind, Kind::OpenRc | Kind::Cron) && subject.has_service_directories() {
        hints.push(format!(
            "enabled units find what they require in their own folders and in {}, not in folders named now",
            place.home.services().display()
        ));
    }
    if root.is_some() {
        return hints;
    }
    let name = subject.name(kind);
    let start = match kind {
        Kind::Systemd | Kind::SystemdUser => format!("`{} start {name}`", kind.manager()),
        Kind::OpenRc => format!("`rc-service {name} start`"),
        Kind::Runit => "runit, in a few seconds,".to_owned(),
        Kind::Cron => "`diakonos daemon --background`".to_owned(),
    };
    let runs = matches!(place.connect(), Ok(Some(_)));
    match kind {
        Kind::Systemd | Kind::SystemdUser if kind.is_active(&name) => {}
        _ if runs => hints.push(
            "the daemon that runs now goes on as it is; this takes effect with the next boot"
                .to_owned(),
        ),
        _ => hints.push(format!("{start} starts it now")),
    }
    hints
}

fn say(given: &Given, hint: &str) {
    aside(&hint_line(hint, given.error_palette()));
}
