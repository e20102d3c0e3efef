//! Arguments to a typed command: which one, on what, with which configuration.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::cli::command::{COMMANDS, Topic};
use crate::cli::completions::Shell;
use crate::cli::inspect::{InspectTopic, SocketFolder};
use crate::cli::options::{
    Color, DoctorOptions, Format, InspectOptions, Manual, Options, RunOptions, ShowOptions,
    SimulateOptions, WhatIfOptions,
};
use crate::cli::scan::{Scan, usage};
use crate::config::parse::Choice;
use crate::config::wording::closest;
use crate::config::{Config, CoreList, Knob, Layer};
use crate::error::{Error, Result};
use crate::runtime::UserFolder;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Run a workload.
    Bench(Box<BenchArgs>),
    /// List the workloads.
    BenchList,
    /// Show the host and where partitions would be placed.
    Doctor(Box<DoctorArgs>),
    /// Simulate the supervisor on many cores.
    WhatIf(Box<WhatIfArgs>),
    /// Ask a running job.
    Inspect(Box<InspectArgs>),
    /// Decide again what a decision log holds.
    ReplayDecisions(Box<ReplayArgs>),
    /// Show a page of help.
    Help(Topic),
    /// Explain this knob, or all.
    Knobs(Option<&'static Knob>, Format),
    /// Print what teaches a shell to complete commands.
    Completions(Shell),
    /// Print the manual.
    Man(Manual),
    /// Simulate random jobs.
    Simulate(SimulateOptions),
    /// Show the version.
    Version,
}

/// The arguments of `bench`.
#[derive(Debug)]
pub struct BenchArgs {
    /// What to run.
    pub workload: Workload,
    /// On what input, and for how long.
    pub run: RunOptions,
    /// How results are shown.
    pub show: ShowOptions,
    /// Where the job can be asked while it runs.
    pub folder: SocketFolder,
    /// What the engine is started with.
    pub config: Config,
}

/// The arguments of `doctor`.
#[derive(Debug)]
pub struct DoctorArgs {
    /// What is examined.
    pub doctor: DoctorOptions,
    /// Where the jobs of this user meet.
    pub folder: UserFolder,
    /// How results are shown.
    pub show: ShowOptions,
    /// What an engine would be started with.
    pub config: Config,
}

/// The arguments of `whatif`.
#[derive(Debug)]
pub struct WhatIfArgs {
    /// On which load and how many cores.
    pub whatif: WhatIfOptions,
    /// For how long, and from which seed.
    pub run: RunOptions,
    /// How results are shown.
    pub show: ShowOptions,
}

/// The arguments of `replay-decisions`.
#[derive(Debug)]
pub struct ReplayArgs {
    /// The log.
    pub file: PathBuf,
    /// How results are shown.
    pub show: ShowOptions,
}

/// The arguments of `inspect`.
#[derive(Debug)]
pub struct InspectArgs {
    /// What to ask.
    pub topic: InspectTopic,
    /// Whom.
    pub inspect: InspectOptions,
    /// Where running jobs are looked for.
    pub folder: SocketFolder,
    /// How results are shown.
    pub show: ShowOptions,
}

/// A built-in workload of `bench`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Operators fused into one loop.
    Chain,
    /// Batches between two cores.
    Lane,
    /// A shuffle without state.
    Exchange,
    /// Count and sum per key.
    KeyedCount,
    /// Sum per key and window.
    WindowSum,
    /// The NEXMark query of this number.
    Nexmark(u8),
    /// Work per record, a share of them on hot keys.
    HotKey,
    /// The same, and other keys turn hot on the way.
    HotKeyShift,
    /// Open loop, from intended send to emitted result.
    Latency,
    /// A job without input.
    Idle,
    /// From start to the first result.
    Startup,
}

impl Choice for Workload {
    const NAMES: &'static [(&'static str, Workload)] = &[
        ("chain", Workload::Chain),
        ("lane", Workload::Lane),
        ("exchange", Workload::Exchange),
        ("keyed-count", Workload::KeyedCount),
        ("window-sum", Workload::WindowSum),
        ("hot-key", Workload::HotKey),
        ("hot-key-shift", Workload::HotKeyShift),
        ("latency", Workload::Latency),
        ("idle", Workload::Idle),
        ("startup", Workload::Startup),
        ("nexmark-q0", Workload::Nexmark(0)),
        ("nexmark-q1", Workload::Nexmark(1)),
        ("nexmark-q2", Workload::Nexmark(2)),
        ("nexmark-q3", Workload::Nexmark(3)),
        ("nexmark-q4", Workload::Nexmark(4)),
        ("nexmark-q5", Workload::Nexmark(5)),
        ("nexmark-q6", Workload::Nexmark(6)),
        ("nexmark-q7", Workload::Nexmark(7)),
        ("nexmark-q8", Workload::Nexmark(8)),
        ("nexmark-q9", Workload::Nexmark(9)),
        ("nexmark-q11", Workload::Nexmark(11)),
        ("nexmark-q12", Workload::Nexmark(12)),
        ("nexmark-q13", Workload::Nexmark(13)),
        ("nexmark-q14", Workload::Nexmark(14)),
        ("nexmark-q15", Workload::Nexmark(15)),
        ("nexmark-q16", Workload::Nexmark(16)),
        ("nexmark-q17", Workload::Nexmark(17)),
        ("nexmark-q18", Workload::Nexmark(18)),
        ("nexmark-q19", Workload::Nexmark(19)),
        ("nexmark-q20", Workload::Nexmark(20)),
        ("nexmark-q21", Workload::Nexmark(21)),
        ("nexmark-q22", Workload::Nexmark(22)),
    ];
}

impl Workload {
    /// What it measures, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Workload::Chain => "map and filter fused into one loop",
            Workload::Lane => "batches between two cores",
            Workload::Exchange => "records to the partition of their key, without state",
            Workload::KeyedCount => "count and sum per key",
            Workload::WindowSum => "sum per key and window of event time",
            Workload::Nexmark(query) => about_query(query),
            Workload::HotKey => "work on each record, a share of them on hot keys",
            Workload::HotKeyShift => "the same at a rate, and other keys turn hot on the way",
            Workload::Latency => "time from intended send to emitted result at a fixed rate",
            Workload::Idle => "processor time of a job without input",
            Workload::Startup => "time from start to the first result",
        }
    }
}

/// What the NEXMark query of this number gives.
fn about_query(query: u8) -> &'static str {
    match query {
        0 => "NEXMark: every bid",
        1 => "NEXMark: every bid, in euros",
        2 => "NEXMark: bids for some auctions",
        3 => "NEXMark: auctions of sellers of some states",
        4 => "NEXMark: mean closing prices of categories",
        5 => "NEXMark: auctions with the most bids",
        6 => "NEXMark: mean closing prices of sellers",
        7 => "NEXMark: highest bids",
        8 => "NEXMark: persons who sell at once",
        9 => "NEXMark: winning bids",
        11 => "NEXMark: sessions of bidders",
        12 => "NEXMark: bids of bidders in processing time",
        13 => "NEXMark: bids with what a table says",
        14 => "NEXMark: bids of middling prices, with calculations",
        15 => "NEXMark: statistics of days",
        16 => "NEXMark: statistics of channels",
        17 => "NEXMark: statistics of auctions",
        18 => "NEXMark: the last bid of each bidder for each auction",
        19 => "NEXMark: the ten best bids for each auction",
        20 => "NEXMark: bids with their auctions",
        21 => "NEXMark: bids with the number of their channel",
        _ => "NEXMark: bids with the directories of their URL",
    }
}

/// What the arguments are read against.
#[derive(Debug, Default)]
pub struct Environment {
    /// The variables of the process.
    pub variables: Vec<(OsString, OsString)>,
    /// The cores that the process may use; `None` if the system does not tell.
    pub allowed_cores: Option<CoreList>,
}

impl Environment {
    fn user_folder(&self) -> UserFolder {
        UserFolder::of(|name| {
            let found = self.variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        })
    }

    fn forbids_color(&self) -> bool {
        self.variables.iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty())
    }
}

/// Parses `arguments`, and reads the configuration file that they name.
///
/// # Errors
/// One error that tells every problem of arguments, variables and file, a line each.
pub fn parse<A>(arguments: A, environment: Environment) -> Result<Command>
where
    A: IntoIterator<Item = OsString>,
{
    let mut arguments = arguments.into_iter();
    let Some(first) = arguments.next() else {
        let allowed = format!("allowed {}, see millstream --help", commands().join(", "));
        return Err(usage("missing command", "millstream", "nothing", &allowed));
    };
    let name = first.to_string_lossy();
    match name.as_ref() {
        "--help" | "-h" => return Ok(Command::Help(Topic::Millstream)),
        "--version" | "-V" => return Ok(Command::Version),
        _ => {}
    }
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(unknown_command(&name));
    };
    let mut scan = Scan::new(command);
    match command.topic {
        Topic::Knobs => scan.read(arguments.map(|argument| bare(&scan, argument)).collect()),
        _ => scan.read(arguments.collect()),
    }
    if scan.wants_help {
        return Ok(Command::Help(command.topic));
    }
    match command.topic {
        Topic::Bench => bench(scan, environment),
        Topic::Doctor => doctor(scan, environment),
        Topic::WhatIf => whatif(scan),
        Topic::ReplayDecisions => replay_decisions(scan),
        Topic::Inspect => inspect(scan, &environment),
        Topic::Knobs => knobs(scan),
        Topic::Simulate => simulate(scan),
        Topic::Completions => completions(scan),
        Topic::Man => man(scan),
        Topic::Help | Topic::Millstream => help(scan),
    }
}

fn bench(mut scan: Scan, environment: Environment) -> Result<Command> {
    let workload =
        if scan.options.list { None } else { choice(&mut scan, "workload", Workload::NAMES) };
    let (mut options, config) = settle(scan, &environment)?;
    let Some(workload) = workload else { return Ok(Command::BenchList) };
    let show = std::mem::take(&mut options.show);
    let folder = SocketFolder::of(environment.user_folder());
    Ok(Command::Bench(Box::new(BenchArgs { workload, run: options.run, show, folder, config })))
}

fn doctor(scan: Scan, environment: Environment) -> Result<Command> {
    let folder = environment.user_folder();
    // The cores of a recorded host are known when it has been read.
    let allowed_cores = environment.allowed_cores.filter(|_| scan.options.doctor.host.is_none());
    let environment = Environment { allowed_cores, ..environment };
    let (options, config) = settle(scan, &environment)?;
    let Options { doctor, show, .. } = options;
    Ok(Command::Doctor(Box::new(DoctorArgs { doctor, folder, show, config })))
}

/// Neither environment nor file has a say: a simulation is what its seed makes it.
fn simulate(scan: Scan) -> Result<Command> {
    Ok(Command::Simulate(settle_alone(scan)?.simulate))
}

/// As with `simulate`, neither environment nor file has a say.
fn whatif(scan: Scan) -> Result<Command> {
    let Options { whatif, run, show, .. } = settle_alone(scan)?;
    Ok(Command::WhatIf(Box::new(WhatIfArgs { whatif, run, show })))
}

fn replay_decisions(mut scan: Scan) -> Result<Command> {
    let file = if scan.positionals.is_empty() {
        let error = usage("missing file", &scan.command, "nothing", "allowed a decision log");
        scan.flags.refuse(error);
        PathBuf::new()
    } else {
        PathBuf::from(scan.positionals.remove(0))
    };
    let show = settle_alone(scan)?.show;
    Ok(Command::ReplayDecisions(Box::new(ReplayArgs { file, show })))
}

/// The environment says only where jobs are looked for.
fn inspect(mut scan: Scan, environment: &Environment) -> Result<Command> {
    let topic = choice(&mut scan, "topic", InspectTopic::NAMES);
    let Options { inspect, show, .. } = settle_alone(scan)?;
    let Some(topic) = topic else { return Ok(Command::Help(Topic::Inspect)) };
    let folder = SocketFolder::of(environment.user_folder());
    Ok(Command::Inspect(Box::new(InspectArgs { topic, inspect, folder, show })))
}

fn knobs(mut scan: Scan) -> Result<Command> {
    let known: Vec<_> = Knob::all().iter().map(|knob| (knob.key(), knob)).collect();
    let knob = optional_choice(&mut scan, "knob", &known);
    Ok(Command::Knobs(knob, settle_alone(scan)?.show.format))
}

/// `--linger` names the knob as `linger` does.
fn bare(scan: &Scan, argument: OsString) -> OsString {
    let long = argument.to_str().and_then(|text| text.strip_prefix("--"));
    match long {
        Some(name) if !scan.takes(name) => name.into(),
        _ => argument,
    }
}

fn completions(mut scan: Scan) -> Result<Command> {
    let shell = choice(&mut scan, "shell", Shell::NAMES);
    settle_alone(scan)?;
    Ok(shell.map_or(Command::Help(Topic::Completions), Command::Completions))
}

fn man(scan: Scan) -> Result<Command> {
    Ok(Command::Man(settle_alone(scan)?.manual))
}

fn help(mut scan: Scan) -> Result<Command> {
    let known: Vec<_> = Topic::names().collect();
    let topic = optional_choice(&mut scan, "command", &known);
    settle_alone(scan)?;
    Ok(Command::Help(topic.unwrap_or(Topic::Millstream)))
}

/// As [`choice`], and `None` where nothing is named too.
fn optional_choice<T: Copy>(scan: &mut Scan, what: &str, known: &[(&str, T)]) -> Option<T> {
    if scan.positionals.is_empty() { None } else { choice(scan, what, known) }
}

/// Takes a `what` from the positional arguments; `None` after a problem.
fn choice<T: Copy>(scan: &mut Scan, what: &str, known: &[(&str, T)]) -> Option<T> {
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    if scan.positionals.is_empty() {
        let allowed = format!("allowed {}", names.join(", "));
        scan.flags.refuse(usage(&format!("missing {what}"), &scan.command, "nothing", &allowed));
        return None;
    }
    let name = scan.positionals.remove(0).to_string_lossy().into_owned();
    let found = known.iter().find(|(known, _)| *known == name);
    if found.is_none() {
        scan.flags.refuse(unknown(&format!("unknown {what}"), &scan.command, &name, &names));
    }
    found.map(|(_, found)| *found)
}

/// Lays flags over the environment over the file, and tells every problem of all of them.
fn settle(mut scan: Scan, environment: &Environment) -> Result<(Options, Config)> {
    scan.refuse_positionals();
    scan.refuse_conflicts();
    let variables = Layer::from_variables(environment.variables.iter().cloned());
    let file = scan.options.config.as_deref().map(Layer::from_file).unwrap_or_default();
    let layers = [scan.flags, variables, file];
    let config = Config::resolve(layers, environment.allowed_cores.as_ref())?;
    let mut options = scan.options;
    if options.show.color == Color::Auto && environment.forbids_color() {
        options.show.color = Color::Never;
    }
    Ok((options, config))
}

/// As [`settle`], without environment.
fn settle_alone(scan: Scan) -> Result<Options> {
    settle(scan, &Environment::default()).map(|(options, _)| options)
}

fn unknown_command(name: &str) -> Error {
    if name.starts_with('-') {
        let allowed = "allowed --help, --version, or a command before its flags";
        return usage("unknown flag", "millstream", name, allowed);
    }
    unknown("unknown command", "millstream", name, &commands())
}

/// The error for a name that is none of `known`, with the one that was probably meant.
fn unknown(what: &str, place: &str, name: &str, known: &[&str]) -> Error {
    let hint = match closest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean {meant}"),
        None => format!("allowed {}", known.join(", ")),
    };
    usage(what, place, name, &hint)
}

fn commands() -> Vec<&'static str> {
    COMMANDS.iter().map(|command| command.name).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cli::inspect::KeyNames;
    use crate::cli::options::{Baseline, Emit, Format, HotOptions, Skew, Verbosity, Windows};
    use crate::config::{Cores, Idle};

    fn read(line: &str) -> Result<Command> {
        read_with(line, &[])
    }

    fn read_with(line: &str, variables: &[(&str, &str)]) -> Result<Command> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let environment = Environment {
            variables: variables.collect(),
            allowed_cores: Some([0, 1].into_iter().collect()),
        };
        parse(line.split_whitespace().map(OsString::from), environment)
    }

    fn bench_of(command: Command) -> BenchArgs {
        match command {
            Command::Bench(bench) => *bench,
            other => panic!("not a bench: {other:?}"),
        }
    }

    fn refusal(line: &str) -> String {
        let error = read(line).expect_err(line);
        assert_eq!(error.kind().exit_code(), 64, "{error}");
        error.to_string()
    }

    #[test]
    fn bench_takes_knobs_and_flags_in_any_order() {
        let bench = bench_of(
            read(
                "bench --partitions 2 keyed-count --idle=spin --cores 1,0 --records 1000 \
                 --rate 5 --seed 0 --warmup 1s --repeat 3 --keys 10 --skew zipf:1.2 \
                 --emit every:10ms --window session:5s --event-rate 7 \
                 --duration 2s --baseline off --dump in.csv --output out.jsonl \
                 --decisions why.jsonl --record-trace keys.txt --report page.html --show-keys \
                 --format json -q --color always",
            )
            .expect("valid"),
        );
        assert_eq!(bench.workload, Workload::KeyedCount);
        assert_eq!(bench.config.partitions(), Some(2));
        assert_eq!(bench.config.idle(), Idle::Spin);
        assert_eq!(bench.config.cores(), &Cores::List([1, 0].into_iter().collect()));
        let expected = RunOptions {
            duration: Some(Duration::from_secs(2)),
            records: Some(1000),
            rate: Some(5),
            seed: 0,
            warmup: Some(Duration::from_secs(1)),
            repeat: 3,
            keys: 10,
            skew: Skew::Zipf(1.2),
            emit: Emit::Every(Duration::from_millis(10)),
            windows: Windows::Session(Duration::from_secs(5)),
            event_rate: Some(7),
            baseline: Baseline::Off,
            hot: HotOptions::default(),
            dump: Some("in.csv".into()),
            output: Some("out.jsonl".into()),
            decisions: Some("why.jsonl".into()),
            record_trace: Some("keys.txt".into()),
            report: Some("page.html".into()),
        };
        assert_eq!(bench.run, expected);
        let show = ShowOptions {
            format: Format::Json,
            verbosity: Verbosity::Quiet,
            color: Color::Always,
            keys: KeyNames::Shown,
        };
        assert_eq!(bench.show, show);
    }

    #[test]
    fn bench_alone_has_the_defaults() {
        let bench = bench_of(read("bench chain").expect("valid"));
        assert_eq!(bench.run, RunOptions::default());
        assert_eq!(bench.show, ShowOptions::default());
        assert_eq!(bench.config.partitions(), None);
    }

    #[test]
    fn every_workload_is_known_by_its_name() {
        for (name, workload) in Workload::NAMES {
            assert_eq!(bench_of(read(&format!("bench {name}")).expect(name)).workload, *workload);
        }
    }

    #[test]
    fn help_wins_over_problems() {
        assert!(matches!(read("--help"), Ok(Command::Help(Topic::Millstream))));
        assert!(matches!(read("help bench"), Ok(Command::Help(Topic::Bench))));
        assert!(matches!(read("bench --partitions 0 --help"), Ok(Command::Help(Topic::Bench))));
        assert!(matches!(read("doctor -h"), Ok(Command::Help(Topic::Doctor))));
        assert!(matches!(read("knobs --help"), Ok(Command::Help(Topic::Knobs))));
        assert!(matches!(read("--version"), Ok(Command::Version)));
        assert!(matches!(read("bench --list"), Ok(Command::BenchList)));
        let linger = Knob::named("linger").map(Knob::key);
        let named = match read("knobs linger") {
            Ok(Command::Knobs(knob, Format::Text)) => knob.map(Knob::key),
            other => panic!("not knobs: {other:?}"),
        };
        assert_eq!(named, linger);
        assert!(matches!(read("knobs --format json"), Ok(Command::Knobs(None, Format::Json))));
        assert!(matches!(read("completions fish"), Ok(Command::Completions(Shell::Fish))));
        assert!(matches!(read("man --markdown"), Ok(Command::Man(Manual::Markdown))));
        assert!(matches!(read("help help"), Ok(Command::Help(Topic::Help))));
    }

    #[test]
    fn unknown_names_have_suggestions() {
        assert_eq!(
            refusal("bench chain --partitons 4"),
            "unknown flag at millstream bench: --partitons; did you mean --partitions"
        );
        assert_eq!(
            refusal("bench keyedcount"),
            "unknown workload at millstream bench: keyedcount; did you mean keyed-count"
        );
        assert_eq!(
            refusal("bench rate-finder").split(", nexmark").next(),
            Some(
                "unknown workload at millstream bench: rate-finder; allowed chain, lane, \
                 exchange, keyed-count, window-sum, hot-key, hot-key-shift, latency, idle, startup"
            )
        );
        assert_eq!(refusal("benhc"), "unknown command at millstream: benhc; did you mean bench");
        assert_eq!(
            refusal("knobs --lingr"),
            "unknown knob at millstream knobs: lingr; did you mean linger"
        );
        assert_eq!(
            refusal("bench chain -x"),
            "unknown flag at millstream bench: -x; see millstream bench --help"
        );
        assert_eq!(
            refusal("doctor --records 5"),
            "unknown flag at millstream doctor: --records; allowed with millstream bench"
        );
    }

    #[test]
    fn missing_and_superfluous_parts_are_refused() {
        assert!(refusal("").starts_with("missing command at millstream: nothing; allowed bench"));
        assert!(refusal("bench").starts_with("missing workload at millstream bench: nothing;"));
        assert_eq!(
            refusal("bench chain --partitions"),
            "missing value at --partitions: nothing; allowed 1..=1024"
        );
        assert_eq!(
            refusal("bench chain --quiet=yes"),
            "unexpected value at --quiet: yes; allowed no value"
        );
        assert_eq!(
            refusal("bench chain lane"),
            "unexpected argument at millstream bench: lane; see millstream bench --help"
        );
        assert!(refusal("bench --list chain").starts_with("unexpected argument"));
        assert!(refusal("doctor now").starts_with("unexpected argument at millstream doctor: now"));
        assert!(refusal("help bench doctor").starts_with("unexpected argument"));
        assert!(refusal("--partitions 2 bench chain").starts_with("unknown flag at millstream: "));
    }

    #[test]
    fn repeated_and_conflicting_flags_are_refused() {
        assert_eq!(
            refusal("bench chain --partitions 2 --partitions 3"),
            "flag given twice at --partitions: 3; allowed once"
        );
        assert_eq!(
            refusal("bench chain -q --quiet"),
            "flag given twice at --quiet: nothing; allowed once"
        );
        assert_eq!(
            refusal("bench chain -qv"),
            "conflicting flags at millstream bench: --quiet and --verbose; allowed one of them"
        );
        assert_eq!(
            refusal("bench chain --dump a --output a"),
            "conflicting flags at millstream bench: --dump and --output both write a; allowed \
             different files"
        );
    }

    #[test]
    fn all_problems_of_flags_and_variables_are_told_together() {
        let error = read_with(
            "bench nothing --records 1e3 --partitions 0 --typo --linger 5",
            &[("MILLSTREAM_PIN", "maybe")],
        )
        .expect_err("six problems");
        let text = error.to_string();
        let problems: Vec<_> = text.lines().map(|line| line.split(" at ").next()).collect();
        assert_eq!(
            problems,
            [
                Some("not a whole number"),
                Some("unknown flag"),
                Some("unknown workload"),
                Some("out of range"),
                Some("number without a unit"),
                Some("unknown value"),
            ]
        );
    }

    #[test]
    fn flag_wins_over_variable_and_no_color_is_honoured() {
        let variables = [("MILLSTREAM_PARTITIONS", "3"), ("NO_COLOR", "1")];
        let bench = bench_of(read_with("bench chain", &variables).expect("valid"));
        assert_eq!(bench.config.partitions(), Some(3));
        assert_eq!(bench.show.color, Color::Never);
        let line = "bench chain --partitions 2 --color always";
        let bench = bench_of(read_with(line, &variables).expect("valid"));
        assert_eq!(bench.config.partitions(), Some(2));
        assert_eq!(bench.show.color, Color::Always);
    }

    #[cfg(unix)]
    #[test]
    fn values_that_are_not_utf8_are_refused_but_paths_are_not() {
        use std::os::unix::ffi::OsStringExt;
        let odd = || OsString::from_vec(vec![b'a', 0xff]);
        for flag in ["--partitions", "--records"] {
            let line = ["bench".into(), "chain".into(), flag.into(), odd()];
            let error = parse(line, Environment::default()).expect_err("not UTF-8");
            let expected = format!("not UTF-8 at {flag}: a\u{fffd}; allowed UTF-8 text");
            assert_eq!(error.to_string(), expected);
        }
        let line = ["bench".into(), "chain".into(), "--dump".into(), odd()];
        let bench = bench_of(parse(line, Environment::default()).expect("any path"));
        assert_eq!(bench.run.dump, Some(odd().into()));
    }
}
