//! The thread that answers questions about a running job, at a socket of its process.
//!
//! A question is a line, `hot-keys` or `hot-keys show-keys`; the answer is a JSON object on a line
//! of its own, and the end of the connection. It reads only, and one client at a time: one that
//! hangs keeps the others for two seconds, and never a partition.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::inspect::folder::SocketFolder;
use crate::cli::inspect::question::Question;
use crate::config::wording::shown;
use crate::error::{Error, ErrorKind, Result};
use crate::time::{Clock, MonotonicClock, Nanos};

/// A longer line is no question.
const QUESTION_BYTES_MAX: usize = 256;
/// What a client may take for asking and reading, together.
const CLIENT_NS: Nanos = 2_000_000_000;

/// Answers a question.
pub(crate) type Source = Box<dyn Fn(Question) -> Value + Send>;

/// A socket that answers questions until it is dropped.
pub(crate) struct Server {
    path: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Answers with `source` at the socket of this process in `folder`.
    ///
    /// # Errors
    /// Those of the folder; [`ErrorKind::CannotCreate`] if there can be no socket or no thread.
    pub(crate) fn start(folder: &SocketFolder, source: Source) -> Result<Server> {
        folder.prepare()?;
        let path = folder.own_socket();
        let failed = |error: io::Error| {
            let context = format!("cannot listen at {}", shown(&path.to_string_lossy()));
            Error::new(ErrorKind::CannotCreate, context).with_source(error)
        };
        // Until the mode is set, the folder keeps others out.
        let listener = UnixListener::bind(&path).map_err(failed)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let mut server = Server { path: path.clone(), is_over: Arc::clone(&is_over), thread: None };
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
        let serve = move || serve(&listener, &is_over, &source);
        server.thread = Some(Builder::new().name("inspect".into()).spawn(serve).map_err(failed)?);
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Release pairs with the Acquire of the thread, which a connection wakes up.
        self.is_over.store(true, Ordering::Release);
        let is_woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        // Where somebody has removed the socket, nothing wakes the thread, and nobody reaches it.
        if let Some(thread) = self.thread.take().filter(|_| is_woken) {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &UnixListener, is_over: &AtomicBool, source: &Source) {
    for client in listener.incoming() {
        // Acquire pairs with the Release in `drop`.
        if is_over.load(Ordering::Acquire) {
            return;
        }
        // A client that has gone, or takes too long, has had its chance.
        if let Ok(client) = client {
            let _ = answer(&client, source);
        }
    }
}

fn answer(client: &UnixStream, source: &Source) -> io::Result<()> {
    let mut client = Patient { stream: client, until: MonotonicClock.now() + CLIENT_NS };
    let line = question_line(&mut client)?;
    let value = match Question::parse(&line) {
        Ok(question) => source(question),
        Err(refusal) => json!({ "error": refusal }),
    };
    client.write_all(format!("{value}\n").as_bytes())
}

/// What comes before the end of the line, or of what a line may be.
fn question_line(client: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < QUESTION_BYTES_MAX && client.read(&mut byte)? > 0 && byte != *b"\n" {
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// A stream that gives up when its time is over, however often a little comes.
pub(super) struct Patient<'a> {
    pub(super) stream: &'a UnixStream,
    pub(super) until: Nanos,
}

impl Patient<'_> {
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_sub(MonotonicClock.now()) {
            0 => Err(io::ErrorKind::TimedOut.into()),
            left => Ok(Some(Duration::from_nanos(left).max(Duration::from_micros(1)))),
        }
    }
}

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::UserFolder;

    fn served(source: Source) -> (tempfile::TempDir, SocketFolder, Server) {
        let base = tempfile::tempdir().expect("a folder");
        let folder = SocketFolder::of(UserFolder::of(|name| {
            (name == "XDG_RUNTIME_DIR").then(|| base.path().into())
        }));
        let server = Server::start(&folder, source).expect("a socket");
        (base, folder, server)
    }

    fn ask(server: &Server, line: &[u8]) -> String {
        let mut client = UnixStream::connect(server.path()).expect("it listens");
        client.write_all(line).expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("it answers");
        answer
    }

    #[test]
    fn a_line_is_answered_by_a_line_and_the_file_goes_with_the_server() {
        let source = |question: Question| json!({ "topic": question.topic.name() });
        let (_base, folder, server) = served(Box::new(source));
        assert_eq!(ask(&server, b"tasks\n"), "{\"topic\":\"tasks\"}\n");
        assert_eq!(ask(&server, b"hot-keys show-keys\n"), "{\"topic\":\"hot-keys\"}\n");
        let path = server.path().to_owned();
        assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(folder.running().expect("ours"), std::slice::from_ref(&path));
        drop(server);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_question_is_told_so() {
        let (_base, _folder, server) = served(Box::new(|_| json!({})));
        for line in [&b"weather\n"[..], b"\n", b"tasks now\n", b"\xff\n", &[b'x'; 256]] {
            let answer: Value = serde_json::from_str(&ask(&server, line)).expect("JSON");
            let error = answer["error"].as_str().expect("an error");
            assert!(error.contains("; allowed hot-keys, tasks, lanes, "), "{error}");
        }
    }

    #[test]
    fn clients_that_hang_or_leave_do_not_keep_the_next_one_for_ever() {
        let (_base, _folder, server) = served(Box::new(|_| json!({ "much": "x".repeat(1 << 20) })));
        let silent = UnixStream::connect(server.path()).expect("it listens");
        let mut deaf = UnixStream::connect(server.path()).expect("it listens");
        deaf.write_all(b"tasks\n").expect("there is room");
        drop(UnixStream::connect(server.path()).expect("it listens"));
        assert!(ask(&server, b"tasks\n").ends_with("\"}\n"));
        drop((silent, deaf));
    }

    #[test]
    fn it_ends_although_its_socket_was_removed() {
        let (_base, _folder, server) = served(Box::new(|_| json!({})));
        fs::remove_file(server.path()).expect("ours");
        drop(server);
    }
}
