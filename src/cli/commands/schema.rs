//! `schema`: what editors have to know of unit files.

use crate::cli::args::Given;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::answer;
use crate::cli::schema;
use crate::cli::table::{Count, Group, Row};

pub(in crate::cli) const ROW: Row = Row {
    name: "schema",
    alias: None,
    group: Group::Files,
    arguments: "",
    count: Count::None,
    options: &[],
    summary: "print the JSON Schema of unit files, for editors",
    help: &[
        "An editor that knows TOML and JSON Schema (draft 7) completes keys with it, explains them and marks mistakes: \
         write it to a file and name that in the unit file's first line. It is made from the table that the parser \
         reads, and says less than `check`, which also knows what keys demand of each other.",
    ],
    examples: &[
        ("diakonos schema > services/unit.schema.json", "once"),
        (
            "#:schema ./unit.schema.json",
            "first line of a unit file, for taplo and Even Better TOML",
        ),
    ],
    exits: &[],
    run,
};

fn run(_: &Given) -> Result<Exit, Failure> {
    answer(schema::schema().document())?;
    Ok(Exit::Done)
}
