//! PostgreSQL as an ordinary user, its cluster made by a oneshot that runs before it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use diakonos::sys::users;

use crate::house::{House, program};

/// Where Debian keeps the server's programs, of the newest version.
fn server_folder() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.retain(|folder| folder.join("postgres").exists());
    folders.sort();
    let newest = folders.pop();
    newest.expect("the PostgreSQL server is missing: apt-get install postgresql")
}

/// The server refuses to run as root: then it runs as its own user, who gets a folder for his data.
fn identity(house: &House) -> &'static str {
    let data = house.path("pg");
    std::fs::create_dir(&data).unwrap();
    if users::effective_uid() != 0 {
        return "";
    }
    let user = users::user_by_name("postgres").unwrap();
    let user = user.expect("no user postgres: apt-get install postgresql");
    std::os::unix::fs::chown(&data, Some(user.uid), Some(user.gid)).unwrap();
    "User = \"postgres\""
}

fn install(house: &House) {
    let folder = server_folder();
    let (folder, user) = (folder.display(), identity(house));
    let cluster = format!(
        r#"
[unit]
Description = "The database's files"
[service]
Type = "oneshot"
RemainAfterExit = true
ExecStart = "{folder}/initdb -D ROOT/pg/data -U postgres -A trust --locale=C --no-sync"
{user}
WorkingDirectory = "ROOT/pg"
"#
    );
    house.unit("cluster", &cluster);
    let server = format!(
        r#"
[unit]
Description = "PostgreSQL"
Requires = ["cluster"]
After = ["cluster"]
[service]
ExecStart = "{folder}/postgres -D ROOT/pg/data -k ROOT/pg -c listen_addresses= -c log_line_prefix="
ExecReload = "/bin/kill -HUP $MAINPID"
{user}
WorkingDirectory = "ROOT/pg"
KillSignal = "SIGINT"
KillMode = "mixed"
Restart = "on-failure"
TimeoutStopSec = "60s"
"#
    );
    house.unit("postgres", &server);
}

/// The same, where the server says itself when it is ready.
fn let_it_speak(house: &House) {
    let path = house.path("units/postgres.service");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = text.replace("[service]\n", "[service]\nType = \"notify\"\n");
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_database_that_says_when_it_is_ready() {
    let house = House::new();
    install(&house);
    let_it_speak(&house);
    house.ok(&["start", "postgres"]);
    // Nothing is to be waited for after that.
    assert_eq!(query(&house, "select 6 * 7"), "42");
    house.ok(&["restart", "postgres"]);
    assert_eq!(query(&house, "select 7 * 7"), "49");
    assert_eq!(
        house.ok(&["stop", "postgres"]),
        "postgres: stopped, nothing is left\n"
    );
    house.end();
}

fn psql(folder: &Path) -> Command {
    let mut psql = Command::new(program("psql", "postgresql-client"));
    psql.args(["-X", "-At", "-U", "postgres", "-d", "postgres", "-h"])
        .arg(folder);
    psql
}

fn query(house: &House, statement: &str) -> String {
    let output = psql(&house.path("pg"))
        .args(["-c", statement])
        .output()
        .unwrap();
    assert!(output.status.success(), "{statement}: {output:?}");
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

#[test]
fn a_database() {
    const READY: &[&str] = &["database system is ready to accept connections"];
    let house = House::new();
    install(&house);
    house.ok(&["start", "postgres"]);
    assert_eq!(house.listed("cluster").text("state"), "exited");
    let mut story = house.story();
    story.until("postgres", "running");
    let mut logs = house.logs("postgres");
    logs.until(READY);
    assert_eq!(query(&house, "select 6 * 7"), "42");
    query(&house, "create table kept (word text)");
    query(&house, "insert into kept values ('still here')");

    let configuration = house.path("pg/data/postgresql.conf");
    let mut text = std::fs::read_to_string(&configuration).unwrap();
    text.push_str("\nwork_mem = '5MB'\n");
    std::fs::write(&configuration, text).unwrap();
    house.ok(&["reload", "postgres"]);
    logs.until(&["parameter \"work_mem\" changed to \"5MB\""]);
    assert_eq!(query(&house, "show work_mem"), "5MB");

    // Its children have sessions of their own and notice late; a second server would refuse the data while they live.
    let first = house.kill("postgres");
    story.until("postgres", "restarting");
    story.until("postgres", "running");
    logs.until(&["automatic recovery in progress"]);
    logs.until(READY);
    assert_ne!(house.pid("postgres"), first);
    assert_eq!(query(&house, "select word from kept"), "still here");

    house.ok(&["restart", "postgres"]);
    logs.until(&["received fast shutdown request"]);
    logs.until(&["database system is shut down"]);
    logs.until(READY);
    assert_eq!(query(&house, "select word from kept"), "still here");

    stop_with_a_client(&house);
    logs.until(&["received fast shutdown request"]);
    logs.until(&["database system is shut down"]);
    logs.until(&["exited with code 0"]);
    drop(logs);
    house.end();
}

/// A fast shutdown, which KillSignal asks for, does not wait for a client that stays.
fn stop_with_a_client(house: &House) {
    let mut psql = psql(&house.path("pg"));
    let psql = psql
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut client = psql.spawn().unwrap();
    let mut stdin = client.stdin.take().unwrap();
    let stdout = std::fs::File::from(std::os::fd::OwnedFd::from(client.stdout.take().unwrap()));
    std::io::Write::write_all(&mut stdin, b"select 'connected';\n").unwrap();
    crate::follow::Lines::of_pipe(stdout).until(&["connected"]);
    assert_eq!(
        house.ok(&["stop", "postgres"]),
        "postgres: stopped, nothing is left\n"
    );
    drop(stdin);
    client.wait().unwrap();
}
