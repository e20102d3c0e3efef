//! `millstream inspect`: asks a running job, over the socket that it serves.

mod answer;
mod folder;
mod question;
mod server;
mod text;

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub(crate) use answer::{HotKeyRow, Subject, hot_keys};
pub use folder::SocketFolder;
pub(crate) use question::Question;
pub use question::{InspectTopic, KeyNames};
pub(crate) use server::Server;

use crate::cli::args::InspectArgs;
use crate::cli::flag::{Flag, Scope, path, text as utf8};
use crate::cli::inspect::server::Patient;
use crate::cli::options::Format;
use crate::cli::output;
use crate::config::parse::Refusal;
use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, MonotonicClock, Nanos};

/// Its flags.
pub(crate) static FLAGS: [Flag; 2] = [
    Flag {
        name: "url",
        short: None,
        value: Some(("URL", "unix:PATH")),
        default: "the one running job",
        help: "ask the job that serves this socket",
        scope: Scope::Inspect,
        set: |options, value| {
            let refused = || Refusal::new("unknown kind of address", "unix:PATH");
            let socket = utf8(value)?.strip_prefix("unix:").ok_or_else(refused)?;
            options.inspect.socket = Some(path(OsStr::new(socket))?);
            Ok(())
        },
    },
    Flag {
        name: "show-keys",
        short: None,
        value: None,
        default: "",
        help: "show keys by name, not by hash",
        scope: Scope::Keys,
        set: |options, _| {
            options.show.keys = KeyNames::Shown;
            Ok(())
        },
    },
];

/// What a job may take for its answer.
const ANSWER_NS: Nanos = 5_000_000_000;
/// A thousand decisions of 64 units each are less.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Asks what `args` name, and prints the answer.
///
/// # Errors
/// [`ErrorKind::Unavailable`] if no job runs or answers, [`ErrorKind::NoInput`] if there is no
/// such socket, [`ErrorKind::Permission`] if it may not be used, [`ErrorKind::TryAgain`] if the
/// answer takes too long, [`ErrorKind::BadData`] if it is none of a job, [`ErrorKind::Usage`] if
/// several jobs run.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let socket = match &args.inspect.socket {
        Some(socket) => socket.clone(),
        None => the_one_job(&args.folder)?,
    };
    let question = Question { topic: args.topic, keys: args.show.keys };
    let answer = ask(&socket, question)?;
    match args.show.format {
        Format::Json => output::print(&format!("{answer}\n")),
        Format::Text => output::print(&text::text_of(args.topic, args.show.keys, &answer)),
    }
}

fn the_one_job(folder: &SocketFolder) -> Result<PathBuf> {
    let mut running = folder.running()?;
    let place = shown(&folder.path().to_string_lossy());
    match running.len() {
        0 => {
            let context = format!("no running job at {place}: nothing; allowed one, or --url");
            Err(Error::new(ErrorKind::Unavailable, context))
        }
        1 => Ok(running.remove(0)),
        _ => {
            let names = running.iter().filter_map(|path| path.file_name());
            let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
            let context = format!(
                "several running jobs at {place}: {}; allowed one, or --url unix:{place}/NAME",
                shown(&names.join(", "))
            );
            Err(Error::new(ErrorKind::Usage, context))
        }
    }
}

fn ask(socket: &Path, question: Question) -> Result<Value> {
    let place = shown(&socket.to_string_lossy());
    let failed = |error: io::Error| {
        let (kind, what) = match error.kind() {
            io::ErrorKind::NotFound => (ErrorKind::NoInput, "no such socket"),
            io::ErrorKind::PermissionDenied => (ErrorKind::Permission, "socket not readable"),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                let context = format!("no answer at {place}: 5 s; allowed less, try again");
                return Error::new(ErrorKind::TryAgain, context);
            }
            _ => (ErrorKind::Unavailable, "nobody answers"),
        };
        Error::new(kind, format!("{what} at {place}")).with_source(error)
    };
    let stream = UnixStream::connect(socket).map_err(failed)?;
    let mut patient = Patient { stream: &stream, until: MonotonicClock.now() + ANSWER_NS };
    patient.write_all(question.line().as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    patient.take(ANSWER_BYTES_MAX + 1).read_to_end(&mut answer).map_err(failed)?;
    read(&answer, question.topic).map_err(|what| {
        // Enough of the answer to show.
        let seen = shown(&String::from_utf8_lossy(&answer[..answer.len().min(200)]));
        let context = format!("{what} at {place}: {seen}; allowed that of a millstream job");
        Error::new(ErrorKind::BadData, context)
    })
}

/// The answer, if it is one; what is wrong with it, if not.
fn read(answer: &[u8], topic: InspectTopic) -> Result<Value, &'static str> {
    if answer.len() as u64 > ANSWER_BYTES_MAX {
        return Err("answer too long");
    }
    let value: Value = match serde_json::from_slice(answer) {
        Ok(value) => value,
        Err(error) if error.is_eof() => return Err("cut answer"),
        Err(_) => return Err("no answer of a job"),
    };
    let is_about = value["millstream"].is_string() && !value[topic.name()].is_null();
    if is_about { Ok(value) } else { Err("no answer of a job") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_about_the_topic_is_one() {
        let read = |text: &str| read(text.as_bytes(), InspectTopic::Tasks);
        assert!(read("{\"millstream\":\"0.1.0\",\"tasks\":[]}\n").is_ok());
        for cut in ["", "{\"millstream\":\"0.1.0\",\"tasks\":["] {
            assert_eq!(read(cut), Err("cut answer"));
        }
        for other in
            ["HTTP/1.1 400\r\n", "[1]", "{\"tasks\":[]}", "{\"millstream\":\"0\",\"lanes\":[]}"]
        {
            assert_eq!(read(other), Err("no answer of a job"), "{other}");
        }
    }
}
