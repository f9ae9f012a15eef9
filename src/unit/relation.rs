//! What a unit is to others: each key of `[unit]` that names units, and the rare ones among them.
//!
//! Owns the names of the relations, the rarer keys' model and their reading; what follows from a relation is the
//! engine's.

use super::parse::Reader;
use super::value;
use super::{Unit, UnitName};

/// A key of `[unit]` that names other units, systemd.unit(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    Requires,
    Requisite,
    Wants,
    BindsTo,
    PartOf,
    Upholds,
    Conflicts,
    OnFailure,
    OnSuccess,
    After,
    Before,
}

/// Whether a start needs what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Without it there is no start.
    Must,
    /// It is missed, and that is all.
    May,
}

impl Relation {
    /// In the order of the manual.
    pub const ALL: [Self; 11] = [
        Self::Requires,
        Self::Requisite,
        Self::Wants,
        Self::BindsTo,
        Self::PartOf,
        Self::Upholds,
        Self::Conflicts,
        Self::OnFailure,
        Self::OnSuccess,
        Self::After,
        Self::Before,
    ];

    /// The key.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Requires => "Requires",
            Self::Requisite => "Requisite",
            Self::Wants => "Wants",
            Self::BindsTo => "BindsTo",
            Self::PartOf => "PartOf",
            Self::Upholds => "Upholds",
            Self::Conflicts => "Conflicts",
            Self::OnFailure => "OnFailure",
            Self::OnSuccess => "OnSuccess",
            Self::After => "After",
            Self::Before => "Before",
        }
    }

    /// Whether what this key names has to be there when the unit starts; `None`: it counts only if it is.
    #[must_use]
    pub fn need(self) -> Option<Need> {
        match self {
            Self::Requires | Self::Requisite | Self::BindsTo => Some(Need::Must),
            Self::Wants | Self::Upholds | Self::OnFailure | Self::OnSuccess => Some(Need::May),
            Self::PartOf | Self::Conflicts | Self::After | Self::Before => None,
        }
    }
}

/// The keys about other units, and about being asked for by hand, that few units have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relations {
    pub requisite: Vec<UnitName>,
    pub binds_to: Vec<UnitName>,
    pub part_of: Vec<UnitName>,
    pub upholds: Vec<UnitName>,
    pub conflicts: Vec<UnitName>,
    pub on_failure: Vec<UnitName>,
    pub on_success: Vec<UnitName>,
    pub refuse_manual_start: bool,
    pub refuse_manual_stop: bool,
    pub stop_when_unneeded: bool,
}

/// What a unit says that has none of these keys.
static NONE: Relations = Relations::none();

impl Relations {
    const fn none() -> Self {
        Self {
            requisite: Vec::new(),
            binds_to: Vec::new(),
            part_of: Vec::new(),
            upholds: Vec::new(),
            conflicts: Vec::new(),
            on_failure: Vec::new(),
            on_success: Vec::new(),
            refuse_manual_start: false,
            refuse_manual_stop: false,
            stop_when_unneeded: false,
        }
    }
}

impl Default for Relations {
    fn default() -> Self {
        Self::none()
    }
}

impl Unit {
    /// The rarer keys about other units; where the unit has none, each with its default.
    #[must_use]
    pub fn relations(&self) -> &Relations {
        self.relations.as_deref().unwrap_or(&NONE)
    }

    /// The units that it names in this key.
    #[must_use]
    pub fn named_in(&self, relation: Relation) -> &[UnitName] {
        let rare = self.relations();
        match relation {
            Relation::Requires => &self.requires,
            Relation::Requisite => &rare.requisite,
            Relation::Wants => &self.wants,
            Relation::BindsTo => &rare.binds_to,
            Relation::PartOf => &rare.part_of,
            Relation::Upholds => &rare.upholds,
            Relation::Conflicts => &rare.conflicts,
            Relation::OnFailure => &rare.on_failure,
            Relation::OnSuccess => &rare.on_success,
            Relation::After => &self.after,
            Relation::Before => &self.before,
        }
    }

    /// All that it names, key by key.
    pub fn neighbours(&self) -> impl Iterator<Item = (Relation, &UnitName)> {
        Relation::ALL.into_iter().flat_map(|relation| {
            let names = self.named_in(relation).iter();
            names.map(move |name| (relation, name))
        })
    }
}

/// Reads the rarer keys; `None` where all have their defaults.
pub(super) fn read(reader: &mut Reader) -> Option<Box<Relations>> {
    let mut flag = |key| {
        let flag = reader.one("unit", key, |v, _| value::flag(v));
        flag.unwrap_or(false)
    };
    let flags = [
        flag("RefuseManualStart"),
        flag("RefuseManualStop"),
        flag("StopWhenUnneeded"),
    ];
    let [refuse_manual_start, refuse_manual_stop, stop_when_unneeded] = flags;
    let relations = Relations {
        requisite: reader.others("Requisite"),
        binds_to: reader.others("BindsTo"),
        part_of: reader.others("PartOf"),
        upholds: reader.others("Upholds"),
        conflicts: reader.others("Conflicts"),
        on_failure: reader.others("OnFailure"),
        on_success: reader.others("OnSuccess"),
        refuse_manual_start,
        refuse_manual_stop,
        stop_when_unneeded,
    };
    (relations != NONE).then(|| Box::new(relations))
}
