//! `upgrade`.

use crate::cli::args::Given;
use crate::cli::client::{Tolerance, other_answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{answer, aside, hint_line};
use crate::cli::place::Place;
use crate::cli::table::{Count, Group, Row};
use crate::cli::text::clean;
use crate::cli::wait::Waiting;
use crate::engine::Command;
use crate::wire::Final;

pub(in crate::cli) const ROW: Row = Row {
    name: "upgrade",
    alias: None,
    group: Group::Daemon,
    arguments: "",
    count: Count::None,
    options: &[],
    summary: "replace the running daemon by the program that is installed now",
    help: &[
        "The daemon becomes the program that lies where its own lay when it was started: same PID, same services with the \
         same PIDs, no log line lost, and commands that wait for an answer get it. It does so even if that program is the \
         same.",
        "The new program is first asked whether it can read the state of the old one. If it cannot, or if anything else \
         fails, the old one goes on as if nothing had been, and says why.",
    ],
    examples: &[(
        "install new-diakonos /usr/bin/diakonos && diakonos upgrade",
        "a new version; `install` puts it beside the old one first",
    )],
    exits: &[
        (
            Exit::Failed,
            "the daemon goes on as it was; the reason is on standard error",
        ),
        (Exit::NoDaemon, "no daemon runs, or it did not answer"),
    ],
    run,
};

fn run(given: &Given) -> Result<Exit, Failure> {
    let place = Place::find(given)?;
    let Some(mut client) = place.connect_to(Tolerance::Any)? else {
        let home = place.home.root().display();
        return Err(
            Failure::new(Exit::NoDaemon, format!("no daemon runs for {home}"))
                .hint("the first command that needs one starts the program that is installed now"),
        );
    };
    let mut waiting = Waiting::new(given, &place, "upgrade the daemon".to_owned());
    let Final::Said(text) = waiting.carry_out(&mut client, Command::Upgrade)? else {
        return Err(other_answer());
    };
    answer(format!("{}\n", clean(&text)))?;
    // The program that was asked may lie elsewhere than the one that the daemon is made of.
    if let Ok(Some(client)) = place.connect_to(Tolerance::Any)
        && let Some(version) = client.other_version()
    {
        let ours = env!("CARGO_PKG_VERSION");
        let hint =
            format!("this program is version {ours}, and the daemon {version} from another file");
        aside(&hint_line(&hint, given.error_palette()));
    }
    Ok(Exit::Done)
}
