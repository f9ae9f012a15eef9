//! `check` and `tree` as their users see them: files in folders, a daemon or none, and one that is killed.

use std::fs;

use diakonos::sys::process::PidFd;

use crate::harness::{Bench, start};

fn text(output: &std::process::Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn check_shows_the_place_of_what_only_the_graph_knows() {
    let bench = Bench::new();
    bench.file(
        "a",
        "[unit]\nAfter = [\"b\"]\nRequires = [\"nix\", \"b\"]\n",
    );
    bench.file("b", "[unit]\n");
    let drop_in = bench.units().join("b.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    fs::write(
        drop_in.join("order.toml"),
        "[unit]\n\nAfter = [\n  \"a\",\n]\n",
    )
    .unwrap();

    let checked = bench.run(&["check"]);
    assert_eq!(checked.status.code(), Some(1));
    let page = text(&checked);
    for expected in [
        "a.service:3:13: Requires = nix: there is no such unit\n      Requires = [\"nix\", \"b\"]\n",
        "the order goes in a circle: a after b after a\n",
        "a.service:2\n",
        "b.service.d/order.toml:4\n",
        "2 unit files: 2 errors, 0 warnings\n",
    ] {
        assert!(page.contains(expected), "{expected}\n{page}");
    }
    let folder = bench.units().display().to_string();
    let json = text(&bench.run(&["check", "--json", &folder]));
    for expected in [
        "\"severity\": \"error\"",
        "\"line\": 3",
        "\"column\": 13",
        "\"key\": \"After\"",
        "\"errors\": 2",
    ] {
        assert!(json.contains(expected), "{expected}\n{json}");
    }
    // It asks no daemon, and starts none.
    assert!(!bench.home().join("control.sock").exists());

    fs::remove_file(drop_in.join("order.toml")).unwrap();
    bench.file("a", "[unit]\nAfter = [\"b\"]\nRequires = [\"b\"]\n");
    let checked = bench.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
    assert!(text(&checked).contains("only a start by hand starts a:"));
}

#[test]
fn a_tree_shows_states_with_and_without_a_daemon() {
    let bench = Bench::new();
    bench.sleeper("database", "Wants = [\"nix\"]");
    bench.sleeper("web", "Requires = [\"database\"]\nAfter = [\"database\"]");
    bench.sleeper("api", "BindsTo = [\"database\"]\nWants = [\"web\"]");
    let page = text(&bench.run(&["tree"]));
    assert_eq!(
        page,
        "api             stopped\n\
         ├─ web          stopped  Wants\n\
         │  └─ database  stopped  Requires\n\
         │     └─ nix    missing  Wants\n\
         └─ database ↑   stopped  BindsTo\n\n\
         ↑ its branches stand above\n"
    );
    let mut daemon = bench.daemon();
    bench.client().ask(start("web"));
    let squeezed = |page: String| page.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = squeezed(text(&bench.run(&["tree", "web"])));
    let expected = "web running └─ database running Requires └─ nix missing Wants";
    assert_eq!(shown, expected);

    // What its successor says is no different.
    PidFd::open(daemon.pid()).unwrap().signal(9).unwrap();
    daemon.log.until("ready, PID");
    assert_eq!(squeezed(text(&bench.run(&["tree", "web"]))), expected);
    let up = squeezed(text(&bench.run(&["tree", "-r", "database"])));
    assert_eq!(
        up,
        "database running ├─ api stopped BindsTo └─ web running Requires └─ api ↑ stopped Wants \
         ↑ its branches stand above"
    );
    let json = text(&bench.run(&["tree", "--json", "web"]));
    assert!(json.contains("\"parent\": \"database\""), "{json}");

    // What runs is shown as it was started, whatever has become of its file.
    bench.sleeper("web", "Wants = [\"other\"]");
    assert_eq!(squeezed(text(&bench.run(&["tree", "web"]))), expected);
    fs::remove_file(bench.units().join("web.service")).unwrap();
    assert_eq!(squeezed(text(&bench.run(&["tree", "web"]))), expected);

    let stranger = bench.run(&["tree", "databse"]);
    assert_eq!(stranger.status.code(), Some(4));
    let words = String::from_utf8(stranger.stderr).unwrap();
    assert!(words.contains("did you mean `database`?"), "{words}");
}
