//! `ExecCondition=`, systemd.service(5): commands that may say that the service has nothing to do now.

use super::phase::Run;
use super::start::forgives;
use super::{Ending, Engine, Fate, Role, UnitId};

/// Exit codes by which a condition says no; 255 is a failure of its own.
const UNMET: std::ops::RangeInclusive<u8> = 1..=254;

impl Engine {
    /// What a command's end comes to if it is a condition's: `Err` where that is not met.
    pub(super) fn judge_condition(
        &self,
        unit: UnitId,
        run: Run,
        fate: Fate,
    ) -> Result<Fate, Ending> {
        let (Role::Condition, Fate::Ended(Ending::Code(code))) = (run.role, &fate) else {
            return Ok(fate);
        };
        let Some(definition) = self.definition(unit) else {
            return Ok(fate);
        };
        if definition.restart.success.codes.contains(code) {
            return Ok(Fate::Ended(Ending::Code(0)));
        }
        match UNMET.contains(code) && !forgives(definition, run.role, run.index) {
            true => Err(Ending::Code(*code)),
            false => Ok(fate),
        }
    }
}
