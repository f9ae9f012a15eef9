//! From a wish to a plan: who is told what, because of which edge. Pure: it looks at the units and changes none.
//!
//! Owns how a wish spreads along the graph (`atoms.rs` says what is passed on, `job.rs` what it comes to) and what
//! gives way where one plan would tell a unit to start and to stop. Carrying a plan out is `carry.rs`; when the turn
//! of each step comes is `settle.rs`. No recursion: the depth of a graph is the user's.
//!
//! What must happen is found first, then what may. A unit that both is to start and is to stop is settled so: of what
//! merely may happen, that goes which came last, with all that it alone brings in; where both must, the wish is
//! refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::sorted::Sorted;
use crate::unit::UnitName;

use super::atoms::{ATOMS, Atom, Occasion, Strength, neighbours};
use super::clash::{Clash, LeftOut};
use super::graph::Graph;
use super::job::{Deed, Job, Standing};
use super::stage::Stage;
use super::{Cause, Engine, Moment, Refusal, UnitId};

/// So many times a plan is made anew without what has given way; nobody has so many that contradict each other.
const ROUNDS_MAX: usize = 100;

/// What is to be done for one wish, in the order in which it is noted.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// What was wanted and gives way, and what it would have contradicted.
    pub(super) left_out: Vec<LeftOut>,
}

/// What one unit is told. A unit may be told more than one thing: to stop and start, and to start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) unit: UnitId,
    pub(super) job: Job,
    pub(super) deed: Deed,
    pub(super) because: Because,
}

/// Who brought a step in.
#[derive(Clone, Copy, Debug)]
pub(super) enum Because {
    /// The wish names it.
    Asked,
    /// What happens to this unit.
    Edge(&'static Atom, UnitId),
}

/// What a plan is made upon: the units as they stand, and the graph as it will be.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) engine: &'a Engine,
    pub(super) stage: &'a Stage,
}

impl<'a> Ground<'a> {
    pub(super) fn standing(&self, unit: UnitId) -> Standing {
        let service = self.engine.service(unit);
        service.map_or(Standing::DOWN, |service| Standing {
            kind: service.kind(),
            goal: service.goal,
            sequel: service.sequel(),
        })
    }

    /// Whether the very wish has had its way with the unit before: its client lost the answer and asks again.
    pub(super) fn is_done(&self, unit: UnitId, job: Job, first_asked: Option<Moment>) -> bool {
        let Some(service) = self.engine.service(unit) else {
            return false;
        };
        let begun = service.has_begun_since(first_asked);
        match job {
            Job::Start | Job::Pull | Job::Revive => begun,
            Job::Restart | Job::TryRestart => begun && !self.stage.is_outdated(self.engine, unit),
            Job::Stop => false,
        }
    }

    pub(super) fn name(&self, unit: UnitId) -> Option<UnitName> {
        self.stage.name(self.engine, unit)
    }

    pub(super) fn graph(&self) -> &'a Graph {
        self.stage.graph(self.engine)
    }
}

/// Whether what is told may give way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bond {
    Must,
    /// With this unit, which merely may be told so.
    May(UnitId),
}

/// Something to be told.
#[derive(Clone, Copy)]
struct Call {
    unit: UnitId,
    job: Job,
    bond: Bond,
    because: Because,
}

/// What one unit was told so far.
#[derive(Clone, Copy, Default)]
struct Told {
    stop: Option<(Bond, Because)>,
    start: Option<(Job, Bond, Because)>,
    again: Option<(Bond, Because)>,
}

/// Whether what a unit is told is new to it, and its neighbours have to hear of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum News {
    Fresh,
    Stale,
}

/// Makes one plan.
pub(super) struct Planner<'a> {
    ground: Ground<'a>,
    /// When the wish was first asked, if it is asked again.
    first_asked: Option<Moment>,
    barred: BTreeSet<UnitId>,
}

/// One attempt at it, with what is barred so far.
struct Attempt<'p, 'a> {
    planner: &'p Planner<'a>,
    told: BTreeMap<UnitId, Told>,
    standings: BTreeMap<UnitId, Standing>,
    steps: Vec<Step>,
    /// Still to be told, last in first out; those of a lower rank first.
    calls: [Vec<Call>; RANKS],
    /// With whom a unit that merely may be told something goes, too: with who brought it in first.
    brought_by: BTreeMap<UnitId, Bond>,
    /// What gives way, and, in the order in which that was found, where it clashed.
    fallen: BTreeSet<UnitId>,
    clashes: Vec<(UnitId, Clash)>,
}

/// Stops, restarts, starts, and all that merely may happen.
const RANKS: usize = 4;

impl<'a> Planner<'a> {
    pub(super) fn new(ground: Ground<'a>, first_asked: Option<Moment>) -> Self {
        Self {
            ground,
            first_asked,
            barred: BTreeSet::new(),
        }
    }

    /// These are not started, even where they are wanted.
    pub(super) fn bar(mut self, units: BTreeSet<UnitId>) -> Self {
        self.barred = units;
        self
    }

    /// The plan for a wish that names these units.
    pub(super) fn wished(self, named: &[(UnitId, Job)]) -> Result<Plan, Refusal> {
        self.settle(|attempt| {
            for (unit, job) in named {
                attempt.take(Call::asked(*unit, *job))?;
            }
            for (unit, job) in named.iter().rev() {
                attempt.pass_on(Call::asked(*unit, *job));
            }
            Ok(())
        })
    }

    /// The plan for what follows from something that happens to a unit without a wish.
    pub(super) fn following(self, unit: UnitId, occasion: Occasion) -> Result<Plan, Refusal> {
        self.settle(|attempt| {
            attempt.tell_neighbours(unit, &[occasion], Bond::Must);
            Ok(())
        })
    }

    /// Tries until nothing clashes any more.
    fn settle(
        mut self,
        begin: impl Fn(&mut Attempt<'_, 'a>) -> Result<(), Clash>,
    ) -> Result<Plan, Refusal> {
        let mut left_out = Vec::new();
        let mut last = Refusal::TooMany;
        for _ in 0..=ROUNDS_MAX {
            let mut attempt = Attempt::new(&self);
            if let Err(clash) = begin(&mut attempt).and_then(|()| attempt.run()) {
                return Err(attempt.refusal(&clash));
            }
            let Some((_, clash)) = attempt.clashes.last() else {
                let steps = attempt.steps;
                return Ok(Plan { steps, left_out });
            };
            last = Refusal::Tangle {
                last: Box::new(attempt.refusal(clash)),
            };
            let (mut fallen, clashes) = (attempt.fallen, attempt.clashes);
            self.barred.append(&mut fallen);
            for (unit, clash) in clashes {
                left_out.extend(clash.left_out(unit));
            }
        }
        Err(last)
    }
}

impl<'p, 'a> Attempt<'p, 'a> {
    fn new(planner: &'p Planner<'a>) -> Self {
        Self {
            planner,
            told: BTreeMap::new(),
            standings: BTreeMap::new(),
            steps: Vec::new(),
            calls: std::array::from_fn(|_| Vec::new()),
            brought_by: BTreeMap::new(),
            fallen: BTreeSet::new(),
            clashes: Vec::new(),
        }
    }

    fn refusal(&self, clash: &Clash) -> Refusal {
        let stop_of = |unit: UnitId| Some(self.told.get(&unit)?.stop?.1);
        clash.refusal(|unit| self.planner.ground.name(unit), stop_of)
    }

    fn run(&mut self) -> Result<(), Clash> {
        while let Some(call) = self.calls.iter_mut().find_map(Vec::pop) {
            if self.has_fallen(call.bond) {
                continue;
            }
            match self.take(call) {
                Ok(News::Fresh) => self.pass_on(call),
                Ok(News::Stale) => {}
                Err(clash) => self.give_way(clash)?,
            }
        }
        Ok(())
    }

    /// One of the two that clash falls, if one may; what else it brings in is not looked at any more.
    fn give_way(&mut self, clash: Clash) -> Result<(), Clash> {
        // Without what has fallen already it may be no clash: the next attempt will tell.
        if clash.bonds.iter().any(|bond| self.has_fallen(*bond)) {
            return Ok(());
        }
        let Some(unit) = clash.gives_way() else {
            return Err(clash);
        };
        self.fallen.insert(unit);
        self.clashes.push((unit, clash));
        Ok(())
    }

    /// Whether what is told so hangs on a unit that gives way.
    fn has_fallen(&self, bond: Bond) -> bool {
        let mut at = bond;
        while let Bond::May(unit) = at
            && !self.fallen.is_empty()
        {
            if self.fallen.contains(&unit) {
                return true;
            }
            at = self.brought_by.get(&unit).copied().unwrap_or(Bond::Must);
        }
        false
    }

    /// Notes what one unit is told.
    fn take(&mut self, call: Call) -> Result<News, Clash> {
        let Call { unit, job, .. } = call;
        let barred = call.bond == Bond::May(unit) && self.planner.barred.contains(&unit);
        let standing = self.standing(unit);
        let deed = standing.merge(job);
        let moot = job == Job::TryRestart && deed == Deed::Nothing;
        if barred || moot || self.note(call)? == News::Stale {
            return Ok(News::Stale);
        }
        let done = self.is_done(unit, job);
        let deed = if done { Deed::Done } else { deed };
        self.standings.insert(unit, standing.after(deed));
        self.steps.push(Step {
            unit,
            job,
            deed,
            because: call.because,
        });
        Ok(News::Fresh)
    }

    fn note(&mut self, call: Call) -> Result<News, Clash> {
        let Call {
            unit,
            job,
            bond,
            because,
        } = call;
        let told = self.told.entry(unit).or_default();
        let clash = |with: Bond, start, stop| Clash {
            unit,
            bonds: [bond, with],
            start,
            stop,
        };
        if job == Job::Stop {
            if let Some((_, with, start)) = told.start {
                return Err(clash(with, start, because));
            }
            if let Some((with, start)) = told.again {
                return Err(clash(with, start, because));
            }
            if told.stop.is_some() {
                return Ok(News::Stale);
            }
            told.stop = Some((bond, because));
            return Ok(News::Fresh);
        }
        match told.stop {
            // One that was merely to be taken along is stopped, and that is all.
            Some(_) if job == Job::TryRestart => return Ok(News::Stale),
            Some((with, stop)) => return Err(clash(with, because, stop)),
            None => {}
        }
        if job == Job::TryRestart {
            let named = told.start.is_some_and(|(job, ..)| job == Job::Restart);
            if named || told.again.is_some() {
                return Ok(News::Stale);
            }
            told.again = Some((bond, because));
            return Ok(News::Fresh);
        }
        if told.start.is_some_and(|(earlier, ..)| earlier.covers(job)) {
            return Ok(News::Stale);
        }
        told.start = Some((job, bond, because));
        Ok(News::Fresh)
    }

    fn standing(&self, unit: UnitId) -> Standing {
        let noted = self.standings.get(&unit).copied();
        noted.unwrap_or_else(|| self.planner.ground.standing(unit))
    }

    fn is_done(&self, unit: UnitId, job: Job) -> bool {
        let Planner {
            ground,
            first_asked,
            ..
        } = self.planner;
        ground.is_done(unit, job, *first_asked)
    }

    /// What the neighbours of a unit hear of what it was told.
    fn pass_on(&mut self, call: Call) {
        let Call { unit, job, .. } = call;
        let before = self.planner.ground.standing(unit);
        let occasions: &[Occasion] = match job {
            Job::Start | Job::Pull => &[Occasion::Start],
            Job::Revive => &[Occasion::Revival],
            Job::Stop => &[Occasion::Stop],
            // It runs anew already; what requires it may not.
            Job::Restart if self.is_done(unit, job) && before.runs() => &[Occasion::Restart],
            Job::TryRestart if self.is_done(unit, job) => &[Occasion::Restart],
            Job::Restart if self.is_done(unit, job) => &[],
            // Even one that is down: what is up without it gets it anew, as by systemd's try-restart.
            Job::Restart => &[Occasion::Restart, Occasion::Start],
            Job::TryRestart => &[Occasion::Restart, Occasion::Revival],
        };
        self.tell_neighbours(unit, occasions, call.bond);
    }

    fn tell_neighbours(&mut self, unit: UnitId, occasions: &[Occasion], bond: Bond) {
        let edges = self.planner.ground.graph().of(unit);
        // Whoever was started since in place of one that is not started now stays.
        let is_started = self.is_done(unit, Job::Start);
        let ousts = |atom: &Atom| atom.on != Occasion::Stop && atom.tells == Job::Stop;
        for occasion in occasions.iter().rev() {
            let atoms = ATOMS.iter().rev().filter(|atom| atom.on == *occasion);
            for atom in atoms.filter(|atom| !(is_started && ousts(atom))) {
                for neighbour in neighbours(edges, atom.along).iter().rev() {
                    // What is down passes no stop on; should it start by this plan, it will tell of itself.
                    if ousts(atom) && self.standing(*neighbour).kind.rests() {
                        continue;
                    }
                    let call = Call {
                        unit: *neighbour,
                        job: atom.tells,
                        bond: match (bond, atom.strength) {
                            (bond, Strength::Must) => bond,
                            // The first that may give way takes all behind it along, but who is merely taken along
                            // goes alone.
                            (_, Strength::May) => Bond::May(*neighbour),
                        },
                        because: Because::Edge(atom, unit),
                    };
                    if atom.strength == Strength::May {
                        self.brought_by.entry(*neighbour).or_insert(bond);
                    }
                    self.calls[call.rank()].push(call);
                }
            }
        }
    }
}

impl Call {
    fn asked(unit: UnitId, job: Job) -> Self {
        Self {
            unit,
            job,
            bond: Bond::Must,
            because: Because::Asked,
        }
    }

    fn rank(&self) -> usize {
        match (self.job, self.bond) {
            (Job::Restart | Job::TryRestart, _) => 1,
            (_, Bond::May(_)) => 3,
            (Job::Stop, Bond::Must) => 0,
            (Job::Start | Job::Pull | Job::Revive, Bond::Must) => 2,
        }
    }
}

impl Job {
    /// Whether a unit that was told this need not be told the other one any more; both start it.
    fn covers(self, other: Self) -> bool {
        match self {
            Self::Start | Self::Pull | Self::Restart => true,
            Self::Revive => other == Self::Revive,
            Self::Stop | Self::TryRestart => false,
        }
    }
}

impl Plan {
    /// Every unit of the plan; who asked for it is told of what happens to them.
    pub(super) fn units(&self) -> BTreeSet<UnitId> {
        self.steps.iter().map(|step| step.unit).sorted_set()
    }

    /// Whom others name that are stopped, themselves or further on.
    pub(super) fn passing(&self) -> BTreeSet<UnitId> {
        let mut named = BTreeSet::new();
        if !self.steps.iter().any(Step::passes) {
            return named;
        }
        // Each step stands behind the one that brought it in.
        for step in self.steps.iter().rev() {
            if let Because::Edge(_, from) = step.because
                && (!step.passes() || named.contains(&step.unit))
            {
                named.insert(from);
            }
        }
        named
    }
}

impl Step {
    /// Why, for its unit.
    pub(super) fn cause(&self, name: impl Fn(UnitId) -> Option<UnitName>, asked: &Cause) -> Cause {
        match self.because {
            Because::Asked => asked.clone(),
            Because::Edge(atom, from) => match name(from) {
                Some(from) => (atom.because)(from),
                None => asked.clone(),
            },
        }
    }

    /// It was not named, and is taken through a restart.
    pub(super) fn also_restarts(&self) -> bool {
        self.job == Job::TryRestart && self.deed == Deed::Restart
    }

    /// It is down already and is taken along by a stop, which goes on from there.
    pub(super) fn passes(&self) -> bool {
        self.job == Job::Stop && self.deed == Deed::Nothing && self.is_along()
    }

    pub(super) fn is_along(&self) -> bool {
        matches!(self.because, Because::Edge(..))
    }
}
