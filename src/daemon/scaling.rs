//! `scale`: how many instances a template is to have.
//!
//! Owns the check of the wish, and that it is kept. Starting what is missing and stopping what is too much are further
//! requests of the client, one instance after the other.

use crate::unit::{SearchPath, UnitName};
use crate::wire::{ErrorKind, Final, Progress, ProgressKind, Reply, ResultKind, WireError};

use super::answer;
use super::event_loop::Daemon;
use super::sources::SessionId;

impl Daemon {
    /// Notes the number. `name` is a template's, with or without its `@`.
    pub(super) fn scale(
        &mut self,
        (name, count): (&str, u32),
        path: &SearchPath,
        session: SessionId,
    ) -> Result<Final, WireError> {
        let template = self.scaled_template(name, path)?;
        let unit = self.loader(path).read_named(&template)?;
        let written = unit.service.as_ref().and_then(|service| service.instances);
        if unit.service.is_none() {
            let message = format!("cannot scale {template}: it is a group, which has no process");
            return Err(answer::error(ErrorKind::Usage, message, None));
        }
        let scales = &mut self.enabled.scales;
        let before = scales.count(&template).or(written);
        // Where the file says the same, the file is to count again.
        let said = Some(count).filter(|_| written != Some(count));
        scales.set(&template, said).map_err(|error| {
            let reason = crate::sys::process::error_text(&error);
            let message =
                format!("cannot scale {template}: the list of scaled templates: {reason}");
            answer::error(ErrorKind::Failed, message, None)
        })?;
        let number = match count {
            1 => "1 instance".to_owned(),
            many => format!("{many} instances"),
        };
        let text = match before {
            Some(before) if before == count => format!("scaled to {number}, as before"),
            Some(before) => format!("scaled to {number}, from {before}"),
            None => format!("scaled to {number}"),
        };
        for name in self.enabled.beyond(&template, count) {
            let warning = Progress {
                kind: ProgressKind::Warning,
                unit: name.to_string(),
                text: format!(
                    "it is enabled by itself, and starts with the daemon all the same; \
                     `diakonos disable {name}` ends that"
                ),
                in_ms: None,
            };
            let reply = Reply::Progress(warning);
            self.sessions.reply(session, &reply, &mut self.sources);
        }
        let result = answer::plain(&template, ResultKind::Scaled, text);
        Ok(Final::Results(vec![result]))
    }

    fn scaled_template(&self, name: &str, path: &SearchPath) -> Result<UnitName, WireError> {
        let usage = |message: String, hint: String| {
            Err(answer::error(ErrorKind::Usage, message, Some(hint)))
        };
        let named = UnitName::parse(name);
        let name =
            named.map_err(|error| answer::error(ErrorKind::Usage, error.to_string(), None))?;
        if name.is_template() {
            return Ok(name);
        }
        if let Some(template) = name.template() {
            let message = format!("cannot scale {name}: it is one instance of {template}");
            return usage(message, format!("did you mean `{template}`?"));
        }
        let template = UnitName::parse(&format!("{name}@"));
        let template =
            template.map_err(|error| answer::error(ErrorKind::Usage, error.to_string(), None))?;
        let loader = self.loader(path);
        match loader.file_of(&name) {
            // A unit of just that name is not what can be meant, and not to be passed over in silence.
            Some(file) => {
                let message = format!(
                    "cannot scale {name}: only a template has instances, and {} is none",
                    file.display()
                );
                let hint = match loader.file_of(&template) {
                    Some(_) => format!("did you mean `{template}`?"),
                    None => format!(
                        "a file `{template}.service`, started as {template}1, can be scaled"
                    ),
                };
                usage(message, hint)
            }
            None if loader.file_of(&template).is_some() => Ok(template),
            None => {
                let mut error = loader.no_such_unit(&name);
                error.hint = loader.near_template(&template);
                Err(error)
            }
        }
    }
}
