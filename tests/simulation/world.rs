//! A kernel on paper, and the half of the shell that watches it: processes with scripted lives, their groups, signals,
//! and the reports that are on their way to the engine.
//!
//! Owns what is alive. It decides nothing and knows nothing of phases. What the daemon knows of it (reports under way,
//! watched groups, searches for a main process) is lost when the daemon dies; processes are not.

use std::collections::{BTreeMap, BTreeSet};

use diakonos::engine::{
    Ending, Event, FactRun, Moment, NoMain, QuestionId, Role, RunId, Spawn, Target, UnitId,
};
use diakonos::unit::{Kind, Signal, Truth, Unit, UnitName};

use crate::entropy::Entropy;
use crate::life::{self, Birth, Course, Life, Temper};

/// See the module.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) temper: Temper,
    mood: Mood,
    now: Moment,
    processes: BTreeMap<u32, Process>,
    next_pid: u32,
    /// Reports in the order in which they came about.
    inbox: Vec<Event>,
    watches: BTreeMap<UnitName, UnitId>,
    searches: BTreeMap<RunId, Search>,
    /// Whose processes stand still.
    frozen: BTreeSet<UnitName>,
}

/// Whether faults are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Wild,
    Kind,
}

/// One living process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) unit: UnitName,
    /// The run under which the daemon watches it.
    pub(crate) run: Option<RunId>,
    /// The run that it was born for; none for what services fork.
    born_as: Option<RunId>,
    daemonises: bool,
    stage: Stage,
    course: Course,
    children: Vec<Course>,
    /// A terminating signal came, and was ignored or takes its time.
    was_told: bool,
    /// A main process, which is to run for ever.
    lasts: bool,
    /// When it is going to say that it is ready; what it has said waits in its socket for any daemon.
    word: Word,
    /// Whether the daemon that began it still reads its exec status.
    has_status_pipe: bool,
    /// Whether its exit status can be learned.
    tells_ending: bool,
}

#[derive(Clone, Debug)]
enum Stage {
    /// `None`: it never gets there.
    BeforeExec {
        at: Option<Moment>,
        birth: Birth,
    },
    Running {
        ends_at: Option<Moment>,
    },
}

/// What a process says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Never,
    /// This much after its program has begun.
    Later {
        after_ms: u64,
    },
    At(Moment),
    Said,
}

#[derive(Debug)]
struct Search {
    unit: UnitName,
    has_pid_file: bool,
    /// `None`: only when somebody dies, or never.
    at: Option<Moment>,
    finds_stranger: bool,
}

impl World {
    pub(crate) fn new(temper: Temper) -> Self {
        Self {
            temper,
            mood: Mood::Wild,
            now: Moment::default(),
            processes: BTreeMap::new(),
            next_pid: 100,
            inbox: Vec::new(),
            watches: BTreeMap::new(),
            searches: BTreeMap::new(),
            frozen: BTreeSet::new(),
        }
    }

    /// Reports that wait for the engine.
    pub(crate) fn reports(&self) -> &[Event] {
        &self.inbox
    }

    /// Takes a report: the one at `index`, or the first one of the same run, for those keep their order.
    pub(crate) fn take_report(&mut self, index: usize) -> Option<Event> {
        let run = run_of(self.inbox.get(index)?);
        let first = match run {
            Some(_) => self.inbox.iter().position(|event| run_of(event) == run)?,
            None => index,
        };
        Some(self.inbox.remove(first))
    }

    /// Every living process of a unit.
    pub(crate) fn of_unit<'a>(
        &'a self,
        unit: &'a UnitName,
    ) -> impl Iterator<Item = (u32, &'a Process)> + 'a {
        self.processes
            .iter()
            .filter(move |(_, process)| process.unit == *unit)
            .map(|(pid, process)| (*pid, process))
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        self.processes.keys().copied().collect()
    }

    /// Whether the process that was born for this run lives.
    pub(crate) fn is_born(&self, run: RunId) -> bool {
        self.processes
            .values()
            .any(|process| process.born_as == Some(run))
    }

    pub(crate) fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    /// The next moment at which something happens by itself.
    pub(crate) fn next_wake(&self) -> Option<Moment> {
        let lives = self.processes.values().filter_map(|p| self.due(p));
        let searches = self.searches.values().filter_map(|s| s.at);
        lives.chain(searches).min()
    }

    /// Lets everything happen that is due by `now`, in order.
    pub(crate) fn advance(&mut self, now: Moment) {
        while let Some(at) = self.next_wake().filter(|at| *at <= now) {
            self.now = self.now.max(at);
            let due = |at_of: Option<Moment>| at_of == Some(at);
            if let Some((pid, _)) = self.processes.iter().find(|(_, p)| due(self.due(p))) {
                let pid = *pid;
                self.step(pid, at);
            } else if let Some((run, _)) = self.searches.iter().find(|(_, s)| due(s.at)) {
                let run = *run;
                self.search(run);
            }
        }
        self.now = self.now.max(now);
    }

    /// A new process for the daemon.
    pub(crate) fn spawn(&mut self, entropy: &mut Entropy, now: Moment, spawn: &Spawn, unit: &Unit) {
        let kind = unit.service.as_ref().map_or(Kind::Simple, |s| s.kind);
        let life = life::draw(entropy, &self.temper, spawn.role, kind);
        let run = spawn.run;
        if let Birth::NoFork(failure) = life.birth {
            self.inbox.push(Event::SpawnFailed { run, failure });
            return;
        }
        let pid = self.next_pid;
        self.next_pid += 1;
        let mut process = Process::born(&unit.name, run, life, now);
        let is_start = spawn.role == Role::Start;
        process.daemonises = is_start && kind == Kind::Forking;
        process.lasts = is_start && kind.is_main();
        if !process.lasts {
            process.word = Word::Never;
        }
        self.processes.insert(pid, process);
        self.inbox.push(Event::Spawned { run, pid });
        self.advance(now);
    }

    /// `Examine`: a kind world is as everybody wants it.
    pub(crate) fn examine(
        &mut self,
        entropy: &mut Entropy,
        unit: &Unit,
        (id, question): (UnitId, QuestionId),
    ) {
        let conditions = unit.conditions.iter();
        let truths =
            conditions.map(|_| Truth::from(self.mood == Mood::Kind || !entropy.chance(30)));
        self.inbox.push(Event::Examined {
            unit: id,
            question,
            truths: truths.collect(),
        });
    }

    /// `FindMain`: the answer comes when it is known.
    pub(crate) fn find_main(
        &mut self,
        entropy: &mut Entropy,
        now: Moment,
        run: RunId,
        unit: &Unit,
    ) {
        let lags = entropy.chance(self.temper.exec_lags);
        let delay = entropy.pick(&[0_u32, 0, 30, 4_000]);
        let never = lags && entropy.chance(self.temper.hangs);
        let search = Search {
            unit: unit.name.clone(),
            has_pid_file: unit.service.as_ref().is_some_and(|s| s.pid_file.is_some()),
            at: (!never).then(|| now.plus_ms(if lags { u64::from(delay) } else { 0 })),
            finds_stranger: entropy.chance(self.temper.main_unclear / 4),
        };
        self.searches.insert(run, search);
        self.advance(now);
    }

    pub(crate) fn stop_finding(&mut self, run: RunId) {
        self.searches.remove(&run);
    }

    /// A signal of the daemon's.
    pub(crate) fn signal(&mut self, now: Moment, unit: &UnitName, to: Target, signal: Signal) {
        let hit: Vec<u32> = self
            .of_unit(unit)
            .filter(|(_, process)| match to {
                Target::Group => true,
                Target::Run(run) => process.run == Some(run),
            })
            .map(|(pid, _)| pid)
            .collect();
        for pid in hit {
            self.deliver(now, pid, signal);
        }
        self.advance(now);
    }

    /// Whether the unit's processes stand still.
    pub(crate) fn is_frozen(&self, unit: &UnitName) -> bool {
        self.frozen.contains(unit)
    }

    /// `Freeze`: some machines cannot.
    pub(crate) fn freeze(&mut self, entropy: &mut Entropy, unit: &UnitName, id: UnitId) {
        if self.mood == Mood::Wild && entropy.chance(20) {
            let reason = "no".into();
            return self.inbox.push(Event::FreezeFailed { unit: id, reason });
        }
        self.frozen.insert(unit.clone());
        self.inbox.push(Event::Frozen { unit: id });
    }

    /// `Thaw`: what was due meanwhile comes now.
    pub(crate) fn thaw(&mut self, now: Moment, unit: &UnitName, id: UnitId) {
        self.frozen.remove(unit);
        self.inbox.push(Event::Thawed { unit: id });
        self.advance(now);
    }

    pub(crate) fn watch_group(&mut self, unit: &UnitName, id: UnitId) {
        self.watches.insert(unit.clone(), id);
        self.check_groups();
    }

    /// A process ends, whatever its script says.
    pub(crate) fn end(&mut self, pid: u32, ending: Ending) {
        let Some(mut process) = self.processes.remove(&pid) else {
            return;
        };
        if let (Stage::BeforeExec { .. }, Some(run)) = (&process.stage, process.run)
            && !process.has_status_pipe
        {
            // A successor sees a process that ends, whatever came before.
            process.stage = Stage::Running { ends_at: None };
            self.inbox.push(Event::Executed { run });
        }
        if process.daemonises && ending == Ending::Code(0) {
            let children = std::mem::take(&mut process.children);
            self.leave(&process.unit, children, process.was_told);
        }
        if let Some(run) = process.run {
            let ending = if process.tells_ending {
                ending
            } else {
                Ending::Unknown
            };
            self.inbox.push(Event::Exited { run, ending });
        }
        self.check_groups();
        let asked: Vec<RunId> = self
            .searches
            .iter()
            .filter(|(_, search)| search.unit == process.unit && search.at.is_none())
            .map(|(run, _)| *run)
            .collect();
        for run in asked {
            self.search(run);
        }
    }

    /// The daemon dies: what only it knew is lost.
    pub(crate) fn daemon_dies(&mut self, tells_endings: bool) {
        self.inbox.clear();
        self.watches.clear();
        self.searches.clear();
        for process in self.processes.values_mut() {
            process.run = None;
            process.has_status_pipe = false;
            process.tells_ending &= tells_endings;
        }
    }

    /// The daemon ends in peace: what it leaves alive is nobody's any more.
    pub(crate) fn daemon_ends(&mut self) {
        self.daemon_dies(true);
        for process in self.processes.values_mut() {
            process.born_as = None;
        }
    }

    /// A successor looks for a run of its predecessor's.
    pub(crate) fn adopt(&mut self, unit: &UnitName, fact: FactRun) -> Vec<Event> {
        let run = fact.run;
        let found = self.processes.iter_mut().find(|(pid, process)| {
            process.unit == *unit
                && match fact.pid {
                    Some(known) => **pid == known,
                    None => process.born_as == Some(run),
                }
        });
        let Some((pid, process)) = found else {
            let ending = Ending::Unknown;
            return vec![Event::Exited { run, ending }];
        };
        process.run = Some(run);
        let mut events = vec![Event::Spawned { run, pid: *pid }];
        if matches!(process.stage, Stage::Running { .. }) {
            events.push(Event::Executed { run });
        }
        if process.word == Word::Said {
            events.push(Event::Ready { run });
        }
        events
    }

    /// Faults end: what hangs comes loose, what ignored signals obeys.
    pub(crate) fn become_kind(&mut self, now: Moment) {
        self.temper = Temper::kind();
        self.mood = Mood::Kind;
        for process in self.processes.values_mut() {
            process.course.on_signal = Some((0, life::SIGTERM_DEATH));
            process.course.kill_ms = 0;
            let soon = process.course.ends_after_ms.map(|ms| ms.min(1000));
            process.course.ends_after_ms = if process.lasts { soon } else { Some(0) };
            match &mut process.stage {
                Stage::BeforeExec { at, birth } => {
                    *at = Some(now);
                    if process.lasts {
                        process.word = Word::Later { after_ms: 0 };
                    }
                    if matches!(birth, Birth::Exec { .. }) {
                        *birth = Birth::Exec { after_ms: Some(0) };
                    }
                }
                Stage::Running { ends_at } => {
                    if process.lasts && process.word != Word::Said {
                        process.word = Word::At(now);
                    }
                    if process.was_told || !process.lasts || ends_at.is_some() {
                        *ends_at = Some(ends_at.map_or(now, |at| at.min(now.plus_ms(1000))));
                    }
                }
            }
        }
        for search in self.searches.values_mut() {
            search.at = Some(now);
            search.finds_stranger = false;
        }
        self.advance(now);
    }

    /// Whether there was anybody.
    pub(crate) fn end_all_but(&mut self, now: Moment, watched: &BTreeSet<RunId>) -> bool {
        let mut some = false;
        for process in self.processes.values_mut() {
            let is_watched = process.run.is_some_and(|run| watched.contains(&run));
            if let (false, Stage::Running { ends_at }) = (is_watched, &mut process.stage) {
                *ends_at = Some(now);
                some = true;
            }
        }
        self.advance(now);
        some
    }

    /// When something happens to a process by itself: not while it stands still.
    fn due(&self, process: &Process) -> Option<Moment> {
        let stands = self.frozen.contains(&process.unit);
        process.due().filter(|_| !stands)
    }

    fn deliver(&mut self, now: Moment, pid: u32, signal: Signal) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        let number = u8::try_from(signal.number()).unwrap_or(0);
        let death = Ending::Signal {
            number,
            core: diakonos::engine::Core::None,
        };
        if self.frozen.contains(&process.unit) {
            // Only this reaches one that stands still.
            if signal == Signal::KILL {
                self.end(pid, death);
            }
            return;
        }
        process.was_told |= signal != Signal::CONT;
        let planned = if signal == Signal::CONT {
            None
        } else if signal == Signal::KILL {
            Some((process.course.kill_ms, death))
        } else if matches!(process.stage, Stage::BeforeExec { .. }) {
            Some((0, death))
        } else {
            process.course.on_signal
        };
        let Some((after_ms, ending)) = planned else {
            return;
        };
        if after_ms == 0 {
            self.end(pid, ending);
            return;
        }
        let at = now.plus_ms(after_ms);
        if let Stage::Running { ends_at } = &mut process.stage
            && ends_at.is_none_or(|earlier| at < earlier)
        {
            *ends_at = Some(at);
            process.course.ending = ending;
        }
    }

    /// What is due in one process's script.
    fn step(&mut self, pid: u32, now: Moment) {
        let Some(process) = self.processes.get_mut(&pid) else {
            return;
        };
        let birth = match &process.stage {
            Stage::Running { .. } if process.word == Word::At(now) => {
                process.word = Word::Said;
                if let Some(run) = process.run {
                    self.inbox.push(Event::Ready { run });
                }
                return;
            }
            Stage::Running { .. } => {
                let ending = process.course.ending;
                return self.end(pid, ending);
            }
            Stage::BeforeExec { birth, .. } => birth.clone(),
        };
        if let Birth::NoExec { failure, .. } = birth {
            match process.run {
                Some(run) if process.has_status_pipe => {
                    self.processes.remove(&pid);
                    self.inbox.push(Event::SpawnFailed { run, failure });
                    self.check_groups();
                }
                _ => self.end(pid, Ending::Code(255)),
            }
            return;
        }
        let ends_at = process.course.ends_after_ms.map(|ms| now.plus_ms(ms));
        process.stage = Stage::Running { ends_at };
        if let Word::Later { after_ms } = process.word {
            process.word = Word::At(now.plus_ms(after_ms));
        }
        if let Some(run) = process.run {
            self.inbox.push(Event::Executed { run });
        }
        if !process.daemonises {
            let children = std::mem::take(&mut process.children);
            let (unit, was_told) = (process.unit.clone(), process.was_told);
            self.leave(&unit, children, was_told);
        }
    }

    /// Processes that a process forks off. In a kind world they know what signal their parent had.
    fn leave(&mut self, unit: &UnitName, children: Vec<Course>, was_told: bool) {
        for mut course in children {
            if self.mood == Mood::Kind {
                course.on_signal = Some((0, life::SIGTERM_DEATH));
                course.kill_ms = 0;
                let soon = course.ends_after_ms.map(|ms| ms.min(1000));
                course.ends_after_ms = if was_told { Some(0) } else { soon };
            }
            let pid = self.next_pid;
            self.next_pid += 1;
            let ends_at = course.ends_after_ms.map(|ms| self.now.plus_ms(ms));
            self.processes.insert(
                pid,
                Process {
                    unit: unit.clone(),
                    run: None,
                    born_as: None,
                    daemonises: false,
                    stage: Stage::Running { ends_at },
                    course,
                    children: Vec::new(),
                    was_told,
                    lasts: true,
                    word: Word::Never,
                    has_status_pipe: false,
                    tells_ending: true,
                },
            );
        }
    }

    /// Answers a search for a main process, if it can be answered.
    fn search(&mut self, run: RunId) {
        let Some(search) = self.searches.get_mut(&run) else {
            return;
        };
        search.at = None;
        let candidates: Vec<u32> = self
            .processes
            .iter()
            .filter(|(_, process)| process.unit == search.unit && process.run.is_none())
            .map(|(pid, _)| *pid)
            .collect();
        let missing = |reason| Event::MainMissing { run, reason };
        let answer = match candidates.as_slice() {
            [] => missing(NoMain::Gone),
            _ if search.has_pid_file && search.finds_stranger => missing(NoMain::Foreign),
            [pid] => Event::MainFound { run, pid: *pid },
            [.., pid] if search.has_pid_file => Event::MainFound { run, pid: *pid },
            _ => missing(NoMain::Ambiguous),
        };
        if let Event::MainFound { pid, .. } = answer
            && let Some(process) = self.processes.get_mut(&pid)
        {
            process.run = Some(run);
        }
        self.searches.remove(&run);
        self.inbox.push(answer);
    }

    fn check_groups(&mut self) {
        let empty: Vec<UnitName> = self
            .watches
            .keys()
            .filter(|unit| self.of_unit(unit).next().is_none())
            .cloned()
            .collect();
        for name in empty {
            if let Some(unit) = self.watches.remove(&name) {
                self.inbox.push(Event::GroupEmpty { unit });
            }
        }
    }
}

impl Process {
    fn born(unit: &UnitName, run: RunId, life: Life, now: Moment) -> Self {
        let at = match &life.birth {
            Birth::NoFork(_) => None,
            Birth::NoExec { after_ms, .. } => Some(now.plus_ms(*after_ms)),
            Birth::Exec { after_ms } => after_ms.map(|ms| now.plus_ms(ms)),
        };
        Self {
            unit: unit.clone(),
            run: Some(run),
            born_as: Some(run),
            daemonises: false,
            stage: Stage::BeforeExec {
                at,
                birth: life.birth,
            },
            course: life.run,
            children: life.children,
            was_told: false,
            lasts: false,
            word: match life.ready_ms {
                Some(after_ms) => Word::Later { after_ms },
                None => Word::Never,
            },
            has_status_pipe: true,
            tells_ending: true,
        }
    }

    fn due(&self) -> Option<Moment> {
        match &self.stage {
            Stage::BeforeExec { at, .. } => *at,
            Stage::Running { ends_at } => match self.word {
                Word::At(at) => Some(ends_at.map_or(at, |end| end.min(at))),
                Word::Never | Word::Later { .. } | Word::Said => *ends_at,
            },
        }
    }
}

/// Which run a report speaks of.
fn run_of(event: &Event) -> Option<RunId> {
    match event {
        Event::Spawned { run, .. }
        | Event::Executed { run }
        | Event::Ready { run }
        | Event::Unready { run, .. }
        | Event::Hopeless { run, .. }
        | Event::SpawnFailed { run, .. }
        | Event::Exited { run, .. }
        | Event::MainFound { run, .. }
        | Event::MainMissing { run, .. } => Some(*run),
        Event::Request { .. }
        | Event::Detached { .. }
        | Event::Examined { .. }
        | Event::Forgotten { .. }
        | Event::GroupEmpty { .. }
        | Event::OomKilled { .. }
        | Event::Limited { .. }
        | Event::Frozen { .. }
        | Event::FreezeFailed { .. }
        | Event::Thawed { .. }
        | Event::ThawFailed { .. }
        | Event::Said { .. }
        | Event::Restored { .. }
        | Event::Resumed { .. }
        | Event::Tick => None,
    }
}
