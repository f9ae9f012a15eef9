//! What processes are going to do: scripted lives by role, drawn when they are born.
//!
//! Owns the scripts and how wild they are; `world.rs` plays them. A choice of 0 everywhere gives well-behaved
//! processes.

use diakonos::engine::{Core, Ending, Role, SpawnFailure};
use diakonos::unit::Kind;

use crate::entropy::Entropy;

/// How wild the world of one game is: chances in per cent.
#[derive(Clone, Debug)]
pub(crate) struct Temper {
    pub(crate) fork_fails: u32,
    pub(crate) exec_fails: u32,
    pub(crate) exec_lags: u32,
    pub(crate) crashes: u32,
    pub(crate) hangs: u32,
    pub(crate) ignores_signals: u32,
    pub(crate) survives_kill: u32,
    pub(crate) has_children: u32,
    pub(crate) main_unclear: u32,
}

impl Temper {
    pub(crate) fn kind() -> Self {
        Self {
            fork_fails: 0,
            exec_fails: 0,
            exec_lags: 0,
            crashes: 0,
            hangs: 0,
            ignores_signals: 0,
            survives_kill: 0,
            has_children: 0,
            main_unclear: 0,
        }
    }

    /// Each fault is absent in some games and common in others.
    pub(crate) fn draw(entropy: &mut Entropy) -> Self {
        let mut level = |high: u32| entropy.pick(&[0, 0, high / 4, high]);
        Self {
            fork_fails: level(15),
            exec_fails: level(20),
            exec_lags: level(60),
            crashes: level(60),
            hangs: level(25),
            ignores_signals: level(50),
            survives_kill: level(8),
            has_children: level(50),
            main_unclear: level(60),
        }
    }
}

/// One process's future.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) birth: Birth,
    pub(crate) run: Course,
    /// Left behind: when the program begins, or (the first process of a forking service) when it ends.
    pub(crate) children: Vec<Course>,
    /// It says that it is ready this much after its program began; never in some.
    pub(crate) ready_ms: Option<u64>,
}

/// From the order to the running program.
#[derive(Clone, Debug)]
pub(crate) enum Birth {
    /// No process comes about.
    NoFork(SpawnFailure),
    /// A step fails this much later.
    NoExec {
        after_ms: u64,
        failure: SpawnFailure,
    },
    /// `execve` works this much later; never in some.
    Exec { after_ms: Option<u64> },
}

/// From the program's begin to its end.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// It ends by itself this much later; never in some.
    pub(crate) ends_after_ms: Option<u64>,
    pub(crate) ending: Ending,
    /// What a terminating signal does: an end this much later, or nothing.
    pub(crate) on_signal: Option<(u64, Ending)>,
    /// How long it takes SIGKILL to work.
    pub(crate) kill_ms: u64,
}

pub(crate) const SIGTERM_DEATH: Ending = Ending::Signal {
    number: 15,
    core: Core::None,
};

/// The life of a new process.
pub(crate) fn draw(entropy: &mut Entropy, temper: &Temper, role: Role, kind: Kind) -> Life {
    let birth = draw_birth(entropy, temper);
    let daemonises = role == Role::Start && kind == Kind::Forking;
    let lasts = role == Role::Start && kind.is_main();
    let mut run = draw_course(entropy, temper);
    let fails = entropy.chance(temper.crashes);
    if lasts {
        run.ends_after_ms = fails.then(|| draw_span(entropy));
    } else {
        let hangs = entropy.chance(temper.hangs);
        run.ends_after_ms = (!hangs).then(|| u64::from(entropy.pick(&[5_u32, 0, 40, 3000])));
    }
    run.ending = if fails {
        draw_ending(entropy)
    } else {
        Ending::Code(0)
    };
    let mut children = Vec::new();
    if daemonises {
        let count = if entropy.chance(temper.main_unclear) {
            entropy.pick(&[2, 0, 3])
        } else {
            1
        };
        for _ in 0..count {
            let mut child = draw_course(entropy, temper);
            child.ends_after_ms = entropy.chance(temper.crashes).then(|| draw_span(entropy));
            child.ending = draw_ending(entropy);
            children.push(child);
        }
    } else if entropy.chance(temper.has_children) {
        let mut child = draw_course(entropy, temper);
        child.ends_after_ms = entropy.chance(40).then(|| draw_span(entropy));
        children.push(child);
    }
    let ready_ms = if entropy.chance(temper.exec_lags) {
        let never = entropy.chance(temper.hangs);
        (!never).then(|| draw_span(entropy))
    } else {
        Some(0)
    };
    Life {
        birth,
        run,
        children,
        ready_ms,
    }
}

/// A way to die.
pub(crate) fn draw_ending(entropy: &mut Entropy) -> Ending {
    let signal = |number, core| Ending::Signal { number, core };
    match entropy.below(10) {
        0 => Ending::Code(1),
        1 => Ending::Code(0),
        2 => signal(9, Core::None),
        3 => signal(11, Core::Dumped),
        4 => SIGTERM_DEATH,
        5 => signal(1, Core::None),
        6 => Ending::Code(entropy.pick(&[3, 4, 7])),
        8 => Ending::OomKilled,
        7 => Ending::Code(u8::try_from(entropy.below(256)).unwrap_or(0)),
        _ => Ending::Unknown,
    }
}

fn draw_birth(entropy: &mut Entropy, temper: &Temper) -> Birth {
    if entropy.chance(temper.fork_fails) {
        return Birth::NoFork(failure("fork", entropy.pick(&[11, 12])));
    }
    let lags = entropy.chance(temper.exec_lags);
    let after_ms = if lags { draw_span(entropy) } else { 0 };
    if entropy.chance(temper.exec_fails) {
        let step = entropy.pick(&["exec", "directory", "user", "cgroup", "stdout"]);
        // ENOENT, EACCES, ENOMEM, EAGAIN, ETXTBSY, EMFILE, and no system call at all.
        let errno = entropy.pick(&[2, 13, 12, 11, 26, 24, 0]);
        let failure = failure(step, errno);
        return Birth::NoExec { after_ms, failure };
    }
    if lags && entropy.chance(temper.hangs) {
        return Birth::Exec { after_ms: None };
    }
    Birth::Exec {
        after_ms: Some(after_ms),
    }
}

fn failure(step: &str, errno: i32) -> SpawnFailure {
    SpawnFailure {
        step: step.into(),
        errno,
        reason: format!("{step}: errno {errno}").into(),
    }
}

fn draw_course(entropy: &mut Entropy, temper: &Temper) -> Course {
    let on_signal = if entropy.chance(temper.ignores_signals) {
        None
    } else {
        let after_ms = u64::from(entropy.pick(&[2_u32, 0, 300, 15_000]));
        Some((
            after_ms,
            entropy.pick(&[SIGTERM_DEATH, Ending::Code(0), Ending::Code(1)]),
        ))
    };
    let kill_ms = if entropy.chance(temper.survives_kill) {
        300_000
    } else {
        0
    };
    Course {
        ends_after_ms: None,
        ending: Ending::Code(0),
        on_signal,
        kill_ms,
    }
}

/// A length of time: often short, sometimes beyond every limit.
fn draw_span(entropy: &mut Entropy) -> u64 {
    let high = entropy.pick(&[20, 500, 5_000, 80_000, 700_000]);
    u64::from(entropy.below(high))
}
