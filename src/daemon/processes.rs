//! The services' processes: the table of runs, and what each unit that is not at rest holds open.
//!
//! Owns the seam to the loop: effects come in, events go out by the queue, never by return. How a process is born
//! (`births.rs`), how it ends (`ends.rs`), who belongs to a unit (`group.rs`), which process is the main one
//! (`main_pid.rs`), where the output goes (`pump`) and what is known of it all (`knowledge.rs`) stand in files of
//! their own. Decides nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::AsFd;

use crate::engine::{Effect, Engine, Event, RunId, UnitId};
use crate::sys::cgroup::{Cgroup, Tree};
use crate::sys::kin::Kin;
use crate::sys::process::{self, Pid};
use crate::unit::Settings;

use super::account::Account;
use super::environment::Invocation;
use super::folders::Standing;
use super::group::Group;
use super::home::Home;
use super::identity::{Identities, Invocations};
use super::intake::Intake;
use super::keeper::Keeper;
use super::leftover::Leftovers;
use super::lenience::Forgone;
use super::lives::History;
use super::log_care::LogCare;
use super::machine::{Limited, Machine};
use super::main_pid::Finding;
use super::memory::Looks;
use super::notify::{Ears, Stores};
use super::pump::UnitLog;
use super::readiness::{Awaiting, Before};
use super::runs::{Run, Runs};
use super::settling::is_rest;
use super::sources::{Source, Sources};
use super::spawn::Console;
use super::state::States;
use super::watches::Watches;

/// Whether a source has more to give right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Drained,
    /// Its budget for this turn is spent: it is to be served again next turn, without waiting.
    More,
}

/// What a handler may look at and add to while it works.
pub(super) struct Turn<'a> {
    pub(super) engine: &'a Engine,
    pub(super) sources: &'a mut Sources,
    pub(super) events: &'a mut VecDeque<Event>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Processes {
    pub(super) home: Home,
    pub(super) ours: Account,
    /// The limits on descriptors that services get back.
    pub(super) limits: (u64, u64),
    pub(super) console: Console,
    pub(super) tree: Option<Tree>,
    /// What is limited in the tree's groups, or why there is no tree.
    pub(super) machine: Machine,
    pub(super) identities: Identities,
    pub(super) invocations: Invocations,
    pub(super) runs: Runs,
    pub(super) holds: BTreeMap<UnitId, Box<Hold>>,
    pub(super) finding: BTreeMap<RunId, Box<Finding>>,
    /// Starts that wait until their main process is ready.
    pub(super) awaiting: BTreeMap<RunId, Box<Awaiting>>,
    /// What these starts have found, or have made ready for them.
    pub(super) before: BTreeMap<UnitId, Before>,
    pub(super) watches: Watches,
    /// Our children, where there are no cgroups.
    pub(super) kin: Kin,
    pub(super) states: States,
    pub(super) history: BTreeMap<UnitId, Box<History>>,
    pub(super) forgone: Forgone,
    pub(super) standing: Standing,
    /// What a predecessor left and could not be taken back.
    pub(super) leftovers: Leftovers,
    /// Units that may have come to rest.
    pub(super) stirred: BTreeSet<UnitId>,
    /// Units that may have no process any more.
    pub(super) doubtful: BTreeSet<UnitId>,
    pub(super) looks: Looks,
    pub(super) intake: Intake,
    pub(super) log_care: LogCare,
    /// A child that is no service: the program that may follow us reads what it will find.
    pub(super) rehearsing: Option<Pid>,
    /// Whom a successor gets from what we leave.
    pub(super) keeper: Keeper,
    /// Where services speak of themselves.
    pub(super) ears: Ears,
    /// What services have given into our keeping.
    pub(super) stores: Stores,
    /// Runs whose processes have ended: to be reaped once that has been written down.
    pub(super) ended: Vec<(RunId, Run)>,
}

/// What a unit holds open while it has, or may have, processes.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) group: Group,
    /// The present life of the service, and when it began (unix milliseconds).
    pub(super) invocation: Invocation,
    pub(super) started_ms: u64,
    /// The youngest run that bears its mark.
    pub(super) youngest: Option<RunId>,
    pub(super) log: Option<UnitLog>,
    pub(super) limited: Limited,
}

impl Processes {
    /// Finds out what the machine lets us do. `limits` are what services get for their descriptors: soft and hard.
    pub(super) fn new(
        home: &Home,
        sources: &mut Sources,
        limits: (u64, u64),
        intake: Intake,
    ) -> Self {
        let (tree, machine) = match Tree::open(&home.tree_name()) {
            Ok(tree) => (Some(tree), Machine::default()),
            Err(reason) => (None, Machine::without_groups(reason.to_string())),
        };
        Self {
            home: home.clone(),
            ours: Account::ours(),
            limits,
            console: Console::ours(),
            tree,
            machine,
            identities: Identities::of_this_kernel(),
            invocations: Invocations::new(),
            runs: Runs::default(),
            holds: BTreeMap::new(),
            finding: BTreeMap::new(),
            awaiting: BTreeMap::new(),
            before: BTreeMap::new(),
            watches: Watches::new(sources),
            kin: Kin::default(),
            states: States::new(home.run()),
            history: BTreeMap::new(),
            forgone: Forgone::default(),
            standing: Standing::default(),
            leftovers: Leftovers::default(),
            stirred: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            looks: Looks::default(),
            intake,
            log_care: LogCare::new(&Settings::default()),
            rehearsing: None,
            keeper: Keeper::default(),
            ears: Ears::default(),
            stores: Stores::default(),
            ended: Vec::new(),
        }
    }

    /// Carries out an effect that concerns processes; others are not for here.
    pub(super) fn apply(&mut self, effect: &Effect, turn: &mut Turn<'_>) {
        match effect {
            Effect::Spawn(spawn) => self.spawn(spawn, turn),
            Effect::FindMain { unit, run } => self.find_main(*unit, *run, turn),
            Effect::StopFinding { run } => self.stop_finding(*run),
            Effect::AwaitReady { unit, run } => self.await_ready(*unit, *run, turn),
            Effect::StopAwaiting { run } => self.stop_awaiting(*run, turn.sources),
            Effect::Signal { unit, to, signal } => self.signal(*unit, *to, *signal),
            Effect::WatchGroup { unit } => self.watch_group(*unit, turn),
            Effect::Freeze { unit } => self.freeze(*unit, turn),
            Effect::Thaw { unit } => self.thaw(*unit, turn),
            Effect::Save { .. }
            | Effect::Taken(_)
            | Effect::Renew { .. }
            | Effect::Examine { .. }
            | Effect::Publish(_)
            | Effect::Explain(_)
            | Effect::Withheld { .. }
            | Effect::Notify { .. }
            | Effect::Answer { .. }
            | Effect::Exit => {}
        }
    }

    /// One of our descriptors is ready.
    pub(super) fn ready(&mut self, source: Source, turn: &mut Turn<'_>) -> Progress {
        match source {
            Source::Notify(unit) => return self.hear(unit, turn),
            Source::Stored(unit) => self.drop_hung_up(unit, turn),
            Source::Exit(run) => {
                if self.hear_last_words(run, turn) == Progress::More {
                    return Progress::More;
                }
                self.exit(run, turn);
            }
            Source::ExecStatus(run) => self.exec_status(run, turn),
            Source::LogPipe(unit, stream) => return self.pump((unit, stream), turn),
            Source::Probe(run) => self.look_goes_on(run, turn),
            Source::Member(unit) => self.look_again(unit, turn),
            Source::Inotify => return self.read_watches(turn),
            Source::Rehearsal
            | Source::Packing
            | Source::Guardian
            | Source::Listener
            | Source::Signals
            | Source::Session(_) => {}
        }
        Progress::Drained
    }

    /// Once a turn: does what is due by the clock.
    pub(super) fn on_time(&mut self, turn: &mut Turn<'_>) {
        self.look_on_time(turn);
        self.tell_missing(turn);
        self.check_doubtful(turn);
    }

    /// At the end of a turn, when all has been handed on: closes what units hold that have come to rest.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_>) {
        self.take_words();
        for (_, run) in std::mem::take(&mut self.ended) {
            // One that was not our child is reaped by whose it is.
            let _ = run.pidfd.wait();
            self.kin.forget(&[run.pid]);
        }
        self.check_doubtful(turn);
        for unit in std::mem::take(&mut self.stirred) {
            self.look_at_folders(unit, turn.engine);
            let state = turn.engine.view(unit).map(|view| view.state);
            if is_rest(state) {
                self.settle_unit(unit, turn);
            }
        }
        // What was seen in this turn says nothing about the next one.
        self.kin.look_anew();
    }
}

impl Hold {
    /// What every process of the unit is born with, whatever it is for.
    pub(super) fn endow<'h>(&'h self, request: &mut process::Spawn<'h>, limits: (u64, u64)) {
        request.nofile = Some(limits);
        request.cgroup = self.group.cgroup().map(Cgroup::entrance);
        request.lock_limit = Some(self.invocation.mark().lock_limit);
    }
}

impl Run {
    /// Lets the loop forget it. Its process, which has ended, is still to be reaped.
    pub(super) fn leave(&mut self, sources: &mut Sources) {
        sources.remove(self.exit, self.pidfd.as_fd());
        if let Some(birth) = self.birth.take() {
            sources.remove(birth.token, birth.status.as_fd());
        }
    }
}
