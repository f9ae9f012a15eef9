//! All processes at one moment, and who of them belongs to a service: where anybody may be their parent, because a
//! predecessor started them, and there is no cgroup.
//!
//! Owns one look at all of `/proc`, which serves any number of services. Decides nothing.

use crate::sorted;

use super::kin::Member;
use super::proc::{self, Mark, Stat};
use super::process::Pid;

/// See the module.
#[derive(Debug)]
pub struct Census(Vec<Seen>);

/// A process and its limit on locks.
type Seen = (Stat, Option<u64>);

impl Census {
    #[must_use]
    pub fn take() -> Self {
        let with_limit = |stat: Stat| (stat, proc::lock_limit(stat.pid));
        Self(proc::all().into_iter().map(with_limit).collect())
    }

    /// The living processes that belong together: the roots, whoever is in a session that a root leads, whoever was
    /// born with one of the marks, and the children of all these, by rising PID. Never ourselves.
    ///
    /// A root that has been reaped may be given still, since its session can outlive it. Its number may by then belong
    /// to a stranger: a living root counts only when it is our child or bears a mark, and nobody counts by a root's
    /// number who bears the mark of another life.
    #[must_use]
    pub fn members(&self, roots: &[Pid], marks: &[Mark]) -> Vec<Member> {
        let ourselves = Pid::current();
        let find = |pid: Pid| {
            let at = self
                .0
                .binary_search_by_key(&pid, |(stat, _)| stat.pid)
                .ok()?;
            self.0.get(at)
        };
        let is_marked = |(stat, limit): &Seen| proc::is_marked(stat.pid, *limit, marks);
        let is_stranger = |root: &Pid| {
            let living = find(*root).filter(|(stat, _)| !stat.is_dead());
            living.is_some_and(|one| one.0.ppid != Some(ourselves) && !is_marked(one))
        };
        let roots: Vec<Pid> = roots
            .iter()
            .copied()
            .filter(|root| !is_stranger(root))
            .collect();
        let by_itself = |one: &Seen| {
            let (pid, session) = (one.0.pid, one.0.session);
            let is_known =
                || roots.contains(&pid) || session.is_some_and(|session| roots.contains(&session));
            is_known() && !proc::is_anothers(one.1, marks) || is_marked(one)
        };
        let others = self.0.iter().filter(|(stat, _)| stat.pid != ourselves);
        let (mut found, mut others): (Vec<&Seen>, Vec<&Seen>) =
            others.partition(|one| by_itself(one));
        // Each round takes in the children of those found so far, until none is left to take.
        let mut done = 0;
        while done < found.len() {
            let parents: Vec<Pid> = found.iter().skip(done).map(|one| one.0.pid).collect();
            done = found.len();
            others.retain(|one| {
                let joins = one.0.ppid.is_some_and(|parent| parents.contains(&parent));
                if joins {
                    found.push(one);
                }
                !joins
            });
        }
        let living = found.iter().filter(|(stat, _)| !stat.is_dead());
        let mut members: Vec<Member> = living.map(|(stat, _)| Member::of(stat)).collect();
        sorted::sort(&mut members);
        members
    }
}
