//! What there is to say about a command line. What a misspelt karg may have meant is looked for when a person is told, not before:
//! that compares with every name, and most kargs that nobody here knows belong to somebody else.

use serde::Serialize;

use super::registry::spelling::{Unknown, unknown};

/// Something the operator should know about the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable id, for machines; all are in [`super::explain::WARNING_IDS`].
    pub id: &'static str,
    /// How bad it is.
    pub level: Level,
    /// The argument as written, or the name of the file it stands in.
    pub karg: String,
    /// What is wrong and what happens now (", ignoring", ", using …").
    pub message: String,
}

/// How bad a warning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The boot cannot do what was asked and stops.
    Error,
    /// The boot goes on, but not quite as asked.
    Warning,
    /// Good to know.
    Notice,
}

/// What there is to say about a command line.
#[derive(Clone, Debug, Default)]
pub struct Warnings(Vec<Said>);

/// One thing that was noticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It is worth a warning.
    Warning(Warning),
    /// A karg that is not known here; whether that is worth a warning depends on its spelling.
    Stranger { key: String, karg: String },
}

impl Warnings {
    /// Adds what was noticed, once.
    pub(super) fn add(&mut self, said: Said) {
        if !self.0.contains(&said) {
            self.0.push(said);
        }
    }

    /// All warnings with their suggestions, the worst first, else in the order they were found. A boot does this once.
    #[must_use]
    pub fn for_a_person(&self) -> Vec<Warning> {
        let mut warnings: Vec<_> = self.0.iter().filter_map(Said::warning).collect();
        warnings.sort_by_key(|warning| warning.level);
        warnings
    }
}

impl Said {
    fn warning(&self) -> Option<Warning> {
        let (key, karg) = match self {
            Self::Warning(warning) => return Some(warning.clone()),
            Self::Stranger { key, karg } => (key, karg),
        };
        let message = match unknown(key) {
            Unknown::Like(name) => format!("not known, ignoring; did you mean {name}?"),
            Unknown::Ours => "not known, ignoring".to_owned(),
            Unknown::Other => return None,
        };
        Some(Warning { id: "unknown", level: Level::Warning, karg: karg.clone(), message })
    }
}

#[cfg(test)]
mod tests {
    use crate::cmdline::Cmdline;
    use crate::config::registry::spelling::tests::COMPARED;
    use crate::config::{Conf, interpret};

    /// How many names are compared to understand the command line, and then to tell a person.
    fn compared(text: &str) -> (usize, usize, Vec<String>) {
        COMPARED.set(0);
        let (_, warnings) = interpret(&Cmdline::parse(text), &Conf::default());
        let understood = COMPARED.replace(0);
        let told = warnings.for_a_person();
        (understood, COMPARED.get(), told.into_iter().map(|warning| warning.karg).collect())
    }

    #[test]
    fn f13_no_names_are_compared_to_understand_a_command_line() {
        let unknown: String = (0..50).map(|number| format!(" rd.live.imag{number}e")).collect();
        let (understood, told, kargs) = compared(&format!("root=live:LABEL=x{unknown}"));
        assert_eq!((understood, kargs.len()), (0, 50));
        assert!(told > 0);
        // Those of others need no suggestion, whoever reads it.
        let others = "rd.luks=0 rd.luks.uuid=x rd.lvm.lv=a/b rd.md=0 rd.md.uuid=1 rd.dm=0 rd.multipath=0 rd.driver.export \
            rd.systemd.debug-shell rd.udev.log_level=3 rd.vconsole.keymap=de rd.plymouth=0 systemd.unit=rescue.target";
        assert_eq!(compared(&format!("root=live:LABEL=x {others}")), (0, 0, Vec::new()));
    }
}
