//! One pass over the arguments of a command; what is wrong is noted, and the pass goes on.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use crate::cli::command;
use crate::cli::flag::{self, CONFLICTS, Flag, Scope};
use crate::cli::options::Options;
use crate::config::parse::Refusal;
use crate::config::wording::{closest, shown};
use crate::config::{Knob, Layer, Origin};
use crate::error::{Error, ErrorKind};

/// What the arguments of one command say, and everything that is wrong with them.
pub(crate) struct Scan {
    /// The command, as errors name it.
    pub(crate) command: String,
    /// What flags that are no knobs have set.
    pub(crate) options: Options,
    /// Knobs that were set, and all problems.
    pub(crate) flags: Layer,
    /// Arguments that are no flags, in order.
    pub(crate) positionals: Vec<OsString>,
    /// Whether `--help` was among them.
    pub(crate) wants_help: bool,
    scope: Scope,
    seen: BTreeSet<&'static str>,
}

/// What a flag belongs to.
enum Entry {
    Knob(&'static Knob),
    Flag(&'static Flag),
}

impl Entry {
    fn name(&self) -> &'static str {
        match self {
            Entry::Knob(knob) => knob.key(),
            Entry::Flag(flag) => flag.name,
        }
    }

    /// The allowed values; `None` for a switch.
    fn allowed(&self) -> Option<&'static str> {
        match self {
            Entry::Knob(knob) => Some(knob.allowed()),
            Entry::Flag(flag) => flag.value.map(|(_, allowed)| allowed),
        }
    }
}

impl Scan {
    pub(crate) fn new(command: &command::Entry) -> Scan {
        Scan {
            command: format!("millstream {}", command.name),
            options: Options::default(),
            flags: Layer::default(),
            positionals: Vec::new(),
            wants_help: false,
            scope: command.scope,
            seen: BTreeSet::new(),
        }
    }

    /// Whether `written`, without its dashes and perhaps with a value, is a flag that it takes.
    pub(crate) fn takes(&self, written: &str) -> bool {
        let name = written.split_once('=').map_or(written, |(name, _)| name);
        name == "help" || self.entry(&format!("--{name}")).is_some()
    }

    /// Reads all `arguments`.
    pub(crate) fn read(&mut self, arguments: Vec<OsString>) {
        let mut parser = Parser::from_args(arguments);
        loop {
            let written = match parser.next() {
                Ok(None) => return,
                Ok(Some(Arg::Value(value))) => {
                    self.positionals.push(value);
                    continue;
                }
                Ok(Some(Arg::Long(name))) => format!("--{name}"),
                Ok(Some(Arg::Short(name))) => format!("-{name}"),
                Err(error) => {
                    self.flags.refuse(unexpected_value(&error));
                    continue;
                }
            };
            match self.entry(&written) {
                _ if matches!(written.as_str(), "--help" | "-h") => self.wants_help = true,
                Some(entry) => self.read_flag(&entry, &mut parser),
                None => self.refuse_unknown(&written, &mut parser),
            }
        }
    }

    /// Notes a problem for each argument that is left over.
    pub(crate) fn refuse_positionals(&mut self) {
        for argument in std::mem::take(&mut self.positionals) {
            let argument = argument.to_string_lossy();
            let hint = self.see_help();
            self.flags.refuse(usage("unexpected argument", &self.command, &argument, &hint));
        }
    }

    /// Notes a problem for flags that cannot stand together.
    pub(crate) fn refuse_conflicts(&mut self) {
        for (one, other) in CONFLICTS {
            if self.seen.contains(one) && self.seen.contains(other) {
                let both = format!("--{one} and --{other}");
                let error = usage("conflicting flags", &self.command, &both, "allowed one of them");
                self.flags.refuse(error);
            }
        }
        self.refuse_shared_files();
    }

    /// Notes a problem for each file that two flags would write.
    fn refuse_shared_files(&mut self) {
        let run = &self.options.run;
        let files = [
            ("dump", run.dump.clone()),
            ("output", run.output.clone()),
            ("decisions", run.decisions.clone()),
            ("record-trace", run.record_trace.clone()),
            ("report", run.report.clone()),
        ];
        for (index, (one, file)) in files.iter().enumerate() {
            let Some(file) = file else { continue };
            for (other, _) in
                files[..index].iter().filter(|(_, earlier)| earlier.as_ref() == Some(file))
            {
                let both = format!("--{other} and --{one} both write {}", file.display());
                let error =
                    usage("conflicting flags", &self.command, &both, "allowed different files");
                self.flags.refuse(error);
            }
        }
    }

    fn entry(&self, written: &str) -> Option<Entry> {
        let flags = || self.scope.flags();
        match written.strip_prefix("--") {
            Some(name) => Knob::named(name)
                .filter(|_| self.scope.takes_knobs())
                .map(Entry::Knob)
                .or_else(|| flags().find(|flag| flag.name == name).map(Entry::Flag)),
            None => {
                let short = written.chars().nth(1);
                flags().find(|flag| flag.short.is_some() && flag.short == short).map(Entry::Flag)
            }
        }
    }

    fn read_flag(&mut self, entry: &Entry, parser: &mut Parser) {
        let origin = Origin::Flag(format!("--{}", entry.name()));
        let value = match entry.allowed() {
            None => Some(OsString::new()),
            Some(_) => parser.value().ok(),
        };
        let Some(value) = value else {
            let allowed = format!("allowed {}", entry.allowed().unwrap_or_default());
            self.flags.refuse(usage("missing value", &origin.to_string(), "nothing", &allowed));
            return;
        };
        if !self.seen.insert(entry.name()) {
            let value =
                if entry.allowed().is_some() { value.to_string_lossy() } else { "nothing".into() };
            self.flags.refuse(origin.refuse(&value, &Refusal::new("flag given twice", "once")));
            return;
        }
        match entry {
            Entry::Knob(knob) => match value.into_string() {
                Ok(text) => self.flags.set(knob, text, origin),
                Err(value) => self.flags.refuse(origin.not_utf8(&value)),
            },
            Entry::Flag(flag) => {
                if let Err(refusal) = (flag.set)(&mut self.options, &value) {
                    self.flags.refuse(origin.refuse(&value.to_string_lossy(), &refusal));
                }
            }
        }
    }

    /// Notes the unknown flag, and drops the value that was probably meant for it.
    fn refuse_unknown(&mut self, written: &str, parser: &mut Parser) {
        let name = written.strip_prefix("--").unwrap_or_default();
        let foreign = flag::every().find(|flag| flag.name == name);
        let (takes_value, hint) = match (foreign, self.meant(name)) {
            (Some(flag), _) => {
                (flag.value.is_some(), format!("allowed with {}", flag.scope.command()))
            }
            (None, Some(entry)) => {
                (entry.allowed().is_some(), format!("did you mean --{}", entry.name()))
            }
            (None, None) => (false, self.see_help()),
        };
        let has_attached = parser.optional_value().is_some();
        if takes_value && !has_attached {
            skip_value(parser);
        }
        self.flags.refuse(usage("unknown flag", &self.command, written, &hint));
    }

    /// The flag whose name is nearest to `name`.
    fn meant(&self, name: &str) -> Option<Entry> {
        let flags = self.scope.flags().map(|flag| flag.name);
        let knobs = Knob::all().iter().filter(|_| self.scope.takes_knobs()).map(Knob::key);
        let name = closest(name, knobs.chain(flags))?;
        self.entry(&format!("--{name}"))
    }

    fn see_help(&self) -> String {
        format!("see {} --help", self.command)
    }
}

/// The error for a wrong command line.
pub(crate) fn usage(what: &str, place: &str, value: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Usage, format!("{what} at {place}: {}; {hint}", shown(value)))
}

fn unexpected_value(error: &lexopt::Error) -> Error {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => {
            usage("unexpected value", option, &value.to_string_lossy(), "allowed no value")
        }
        other => usage("wrong argument", "command line", &other.to_string(), "see --help"),
    }
}

/// Drops the next argument unless it is a flag.
fn skip_value(parser: &mut Parser) {
    if let Some(mut arguments) = parser.try_raw_args() {
        let is_value = |argument: &OsStr| !argument.as_encoded_bytes().starts_with(b"-");
        let _ = arguments.next_if(is_value);
    }
}
