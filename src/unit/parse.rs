//! From a unit file's text to a [`Unit`], or to all that is wrong with it.
//!
//! Owns the merging of a file with its drop-ins, unknown keys and sections, and the keys outside `[service]`,
//! which is `service.rs`. Reading files is `search.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;

use crate::sorted;

use super::condition;
use super::file;
use super::form::link;
use super::keys::{self, Key, SECTIONS};
use super::name::ENDING;
use super::report::{Fault, Report, Source, did_you_mean};
use super::specifier::{Context, Scope};
use super::value::{self, Value};
use super::{Install, List, StartLimit, Unhonoured, Unit, UnitName};
use super::{nearest, relation, service, settings};

/// So many problems are looked for: one in every word of a file of rubbish would take long to tell.
const MAX_FINDINGS: usize = 500;

/// The name of a section and of a key in it, as the table of keys writes them.
pub(super) type Id = (&'static str, &'static str);

/// Reads the text of one unit file. `path` is where it lies, absolute; it need not exist.
///
/// # Errors
/// Everything that is wrong with it, in the order of the lines.
pub fn parse(text: &str, path: &Path, name: &UnitName, context: &Context) -> Result<Unit, Report> {
    let source = Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    parse_sources(&[source], name, context)
}

/// Reads a unit file, which is the first source, and its drop-ins in their order: a later key replaces an earlier
/// one.
pub(super) fn parse_sources(
    sources: &[Source],
    name: &UnitName,
    context: &Context,
) -> Result<Unit, Report> {
    let path = sources
        .first()
        .map_or(Path::new("/"), |source| &source.path);
    let scope = Scope {
        context,
        name,
        path,
    };
    let mut reader = Reader::new(sources, scope);
    let unit = read_unit(&mut reader);
    reader.finish().map(|()| unit)
}

fn read_unit(reader: &mut Reader) -> Unit {
    reader.check_unhonoured();
    let scope = reader.scope;
    let unit = Unit {
        name: scope.name.clone(),
        path: scope.path.to_owned(),
        hash: super::hash::of_sources(reader.sources, scope.name),
        description: reader
            .one("unit", "Description", value::line)
            .unwrap_or_default(),
        documentation: reader.many("unit", "Documentation", link),
        requires: reader.others("Requires"),
        wants: reader.others("Wants"),
        after: reader.others("After"),
        before: reader.others("Before").into(),
        relations: relation::read(reader),
        start_limit: StartLimit {
            interval: reader.one("unit", "StartLimitIntervalSec", |v, _| value::span(v)),
            burst: reader.one("unit", "StartLimitBurst", |v, _| {
                value::number(v, 0, 10_000)
            }),
        },
        conditions: condition::read(reader),
        install: Install {
            wanted_by: reader.names("install", "WantedBy").into(),
            required_by: reader.names("install", "RequiredBy").into(),
            alias: reader.names("install", "Alias").into(),
        },
        service: reader
            .has_section("service")
            .then(|| Box::new(service::read(reader))),
        unhonoured: List::default(),
    };
    reader.check_group();
    Unit {
        unhonoured: std::mem::take(&mut reader.unhonoured).into(),
        ..unit
    }
}

/// A `KEY = value` that holds: the last of its key.
struct Entry {
    node: Value,
    key: Range<usize>,
    /// Which of the sources it stands in.
    source: usize,
}

/// The merged keys of a unit while they are read, and what was found wrong so far.
pub(super) struct Reader<'a> {
    scope: Scope<'a>,
    sources: &'a [Source],
    entries: BTreeMap<Id, Entry>,
    sections: BTreeMap<&'static str, (usize, Range<usize>)>,
    findings: Vec<(usize, Fault)>,
    /// How many of the findings, from the first, are of syntax.
    syntax: usize,
    unhonoured: Vec<Unhonoured>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a [Source], scope: Scope<'a>) -> Self {
        let mut reader = Self {
            scope,
            sources,
            entries: BTreeMap::new(),
            sections: BTreeMap::new(),
            findings: vec![],
            syntax: 0,
            unhonoured: vec![],
        };
        let mut mirrors: Vec<_> = sources.iter().map(file::read).collect();
        for (index, mirror) in mirrors.iter_mut().enumerate() {
            let syntax = mirror.syntax.drain(..).take(MAX_FINDINGS);
            reader.findings.extend(syntax.map(|fault| (index, fault)));
        }
        reader.syntax = reader.findings.len();
        for (index, mirror) in mirrors.into_iter().enumerate() {
            let faults = mirror.faults.into_iter().take(MAX_FINDINGS);
            reader.findings.extend(faults.map(|fault| (index, fault)));
            for section in mirror.sections {
                reader.take_section(index, section);
            }
        }
        reader
    }

    fn take_section(&mut self, source: usize, section: file::Section) {
        let Some(known) = keys::section(section.name.get_ref()) else {
            self.findings.push((source, unknown_section(&section.name)));
            return;
        };
        self.sections
            .entry(known)
            .or_insert((source, section.name.span()));
        for file::Pair { key, node } in section.pairs {
            match keys::find(known, key.get_ref()) {
                Some(found) => {
                    let key = key.span();
                    let entry = Entry { node, key, source };
                    self.entries.insert((found.section, found.name), entry);
                }
                None if self.findings.len() < MAX_FINDINGS => {
                    self.findings.push((source, unknown_key(known, &key)));
                }
                None => return,
            }
        }
    }

    /// Reads a key; what is wrong with it is noted. `None`: not written, or wrong.
    pub(super) fn read<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        convert: impl FnOnce(&Value, &Scope, &mut Vec<Fault>) -> T,
    ) -> Option<T> {
        let entry = self.entries.get(&(section, key))?;
        let mut faults = vec![];
        let result = convert(&entry.node, &self.scope, &mut faults);
        let source = entry.source;
        let faults = faults.into_iter().take(MAX_FINDINGS);
        self.findings.extend(faults.map(|fault| (source, fault)));
        Some(result)
    }

    /// Reads a key with one value.
    pub(super) fn one<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        convert: impl FnOnce(&Value, &Scope) -> Result<T, Fault>,
    ) -> Option<T> {
        self.read(section, key, |value, scope, faults| {
            convert(value, scope)
                .map_err(|fault| faults.push(fault))
                .ok()
        })
        .flatten()
    }

    /// Reads a key with a list; the items that are right are kept.
    pub(super) fn many<T>(
        &mut self,
        section: &'static str,
        key: &'static str,
        convert: impl Fn(&Value, &Scope) -> Result<T, Fault>,
    ) -> List<T> {
        let items = self.read(section, key, |value, scope, faults| {
            let items = value::items(value).iter();
            items
                .filter_map(|item| {
                    convert(item, scope)
                        .map_err(|fault| faults.push(fault))
                        .ok()
                })
                .collect()
        });
        items.unwrap_or_default()
    }

    /// Reads a list of units, each kept once.
    fn names(&mut self, section: &'static str, key: &'static str) -> Vec<UnitName> {
        let mut seen = BTreeSet::new();
        let names = self.many(section, key, value::name).into_iter();
        let mut names: Vec<UnitName> = names.filter(|name| seen.insert(name.clone())).collect();
        // Kept for as long as the unit is: no room for more.
        names.shrink_to_fit();
        names
    }

    /// Reads a list of units among which the unit itself cannot be.
    pub(super) fn others(&mut self, key: &'static str) -> Vec<UnitName> {
        let names = self.names("unit", key);
        if names.contains(self.scope.name) {
            let message = format!("{key}= names the unit itself");
            self.complain("unit", key, message, None);
        }
        names
    }

    /// Notes something wrong at a key; nothing if it is not written.
    pub(super) fn complain(
        &mut self,
        section: &'static str,
        key: &'static str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        if let Some(entry) = self.entries.get(&(section, key)) {
            let fault = Fault::new(entry.key.clone(), message).hint_if(hint.map(str::to_owned));
            self.findings.push((entry.source, fault));
        }
    }

    /// Notes something wrong with a section as a whole, unless what it lacks may stand in a line that is no TOML.
    pub(super) fn complain_section(
        &mut self,
        section: &'static str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) {
        if let Some((source, span)) = self.sections.get(section).filter(|_| self.syntax == 0) {
            let fault = Fault::new(span.clone(), message).hint_if(hint.map(str::to_owned));
            self.findings.push((*source, fault));
        }
    }

    /// Whether something wrong was found in a key's value.
    pub(super) fn is_wrong(&self, section: &'static str, key: &'static str) -> bool {
        self.entries.get(&(section, key)).is_some_and(|entry| {
            let place = entry.node.span();
            let found = self.findings.iter();
            found
                .filter(|(source, _)| *source == entry.source)
                .any(|(_, fault)| {
                    place.start <= fault.span.start
                        && fault.span.start < place.end.max(place.start + 1)
                })
        })
    }

    /// In which file a key stands: 0 is the unit's own, then its drop-ins in their order.
    pub(super) fn origin(&self, section: &'static str, key: &'static str) -> Option<usize> {
        self.entries.get(&(section, key)).map(|entry| entry.source)
    }

    /// The unit's name.
    pub(super) fn name(&self) -> &UnitName {
        self.scope.name
    }

    /// Whether a key stands in the file or a drop-in of a template, or nowhere.
    pub(super) fn is_of_template(&self, section: &'static str, key: &'static str) -> bool {
        let name = self.scope.name;
        let Some(source) = self.origin(section, key) else {
            return true;
        };
        if name.is_template() {
            return true;
        }
        let Some(template) = name.template() else {
            return false;
        };
        // An instance may have a file and drop-ins of its own.
        let path = &self.sources[source].path;
        let (part, ending) = match source {
            0 => (Some(path.as_path()), ENDING.to_owned()),
            _ => (path.parent(), format!("{ENDING}.d")),
        };
        let part = part.and_then(Path::file_name);
        part.is_some_and(|part| *part == *format!("{template}{ending}"))
    }

    /// The keys that are written.
    pub(super) fn keys(&self) -> impl Iterator<Item = Id> {
        self.entries.keys().copied()
    }

    /// Where the key that holds stands: the number of its source, the key's place there, and its value.
    pub(super) fn written(
        &self,
        section: &str,
        key: &str,
    ) -> Option<(usize, Range<usize>, &Value)> {
        let known = keys::find(section, key)?;
        let entry = self.entries.get(&(known.section, known.name))?;
        Some((entry.source, entry.key.clone(), &entry.node))
    }

    /// Notes a key that is right and not acted on in this version, at least not with this value.
    pub(super) fn mark_unhonoured(&mut self, section: &'static str, key: &'static str) {
        if let Some(entry) = self.entries.get(&(section, key)) {
            let line = self.sources[entry.source].line_at(entry.key.start);
            let is_acted_on = keys::find(section, key).is_some_and(|key| key.honoured);
            let value = value::text(&entry.node).ok().filter(|_| is_acted_on);
            self.unhonoured.push(Unhonoured {
                section,
                key,
                value: value.map(Into::into),
                line,
            });
        }
    }

    fn has_section(&self, section: &'static str) -> bool {
        self.sections.contains_key(section)
    }

    /// Checks and notes every key that this version knows and does not act on.
    fn check_unhonoured(&mut self) {
        let known: Vec<&Key> = self
            .entries
            .keys()
            .filter_map(|(section, key)| keys::find(section, key))
            .filter(|key| !key.honoured)
            .collect();
        for key in known {
            self.read(key.section, key.name, |value, scope, faults| {
                key.form.check(value, scope, faults);
            });
            self.mark_unhonoured(key.section, key.name);
        }
    }

    /// A group has no process, so nothing that is about one.
    fn check_group(&mut self) {
        if self.has_section("service") {
            return;
        }
        for section in ["socket", "timer", "watch", "health"] {
            let message = format!("[{section}] needs a [service] in the same file");
            self.complain_section(section, message, None);
        }
    }

    /// The verdict.
    fn finish(mut self) -> Result<(), Report> {
        if self.findings.is_empty() {
            return Ok(());
        }
        // What else is said of a line that is no TOML would only repeat its first fault.
        let sources = self.sources;
        let line_of = |(source, fault): &(usize, Fault)| {
            let before = sources[*source]
                .text
                .get(..fault.span.start)
                .unwrap_or_default();
            (*source, before.rfind('\n'))
        };
        let mut others = self.findings.split_off(self.syntax);
        let mut broken = BTreeSet::new();
        self.findings
            .retain(|finding| broken.insert(line_of(finding)));
        others.retain(|finding| !broken.contains(&line_of(finding)));
        self.findings.append(&mut others);
        sorted::sort_by_key(&mut self.findings, |(source, fault)| {
            (*source, fault.span.start)
        });
        Err(Report::new(self.findings, sources))
    }
}

fn unknown_section(name: &Spanned<String>) -> Fault {
    let written = value::shorten(name.get_ref());
    let fault = Fault::new(name.span(), format!("unknown section [{written}]"));
    match nearest(&written, SECTIONS) {
        Some(near) => fault.hint(format!("did you mean [{near}]?")),
        None => fault.hint(format!("the sections are {}", SECTIONS.join(", "))),
    }
}

fn unknown_key(section: &'static str, key: &Spanned<String>) -> Fault {
    let written = value::shorten(key.get_ref());
    let fault = Fault::new(
        key.span(),
        format!("unknown key `{written}` in [{section}]"),
    );
    let all = keys::keys().iter();
    if let Some(elsewhere) = all.clone().find(|known| known.name == written) {
        return fault.hint(format!("`{written}` belongs in [{}]", elsewhere.section));
    }
    if settings::is_key(&written) {
        return fault.hint(format!(
            "`{written}` belongs in the daemon's settings, daemon.toml"
        ));
    }
    let here = all
        .filter(|known| known.section == section)
        .map(|known| known.name);
    fault.hint_if(nearest(&written, here).map(did_you_mean))
}
