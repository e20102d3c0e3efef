//! `millstream replay-decisions`: asks the policy again what a decision log says it was asked.

use crate::cli::args::ReplayArgs;
use crate::cli::options::Format;
use crate::cli::{input, output};
use crate::error::{Error, ErrorKind, Result};
use crate::supervisor::decision_log::{Replayed, replay};

/// Replays the log and prints one line with the figures.
///
/// # Errors
/// Those of the file and of its content; [`ErrorKind::JobFailed`] if something else is decided
/// now.
pub(crate) fn run(args: &ReplayArgs) -> Result<()> {
    let (file, name) = input::open(&args.file)?;
    let replayed = replay(&name, file)?;
    let text = match args.show.format {
        Format::Text => text(&replayed),
        Format::Json => {
            serde_json::to_string(&replayed).expect("numbers always have a JSON form") + "\n"
        }
    };
    output::print(&text)?;
    match replayed.first_different {
        None => Ok(()),
        Some(line) => {
            let context = format!(
                "other decisions at {name} line {line}: {} of {} views; allowed none, by the \
                 version that wrote the log",
                replayed.different, replayed.views
            );
            Err(Error::new(ErrorKind::JobFailed, context))
        }
    }
}

fn text(replayed: &Replayed) -> String {
    let Replayed { views, decisions, actions, foreign, different, .. } = replayed;
    format!(
        "replayed {views} views: {decisions} decisions, {actions} actions, {different} different, \
         {foreign} of another policy\n"
    )
}
