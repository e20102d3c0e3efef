//! `inspect` through the binary: a job of `bench` answers; what answers otherwise is refused.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::{millstream, refusal, text};

const TOPICS: [&str; 6] = ["hot-keys", "tasks", "lanes", "checkpoints", "decisions", "health"];

/// A job in the background that says where it can be asked; killed when dropped.
struct Running {
    child: Child,
    socket: PathBuf,
    _stderr: BufReader<ChildStderr>,
}

impl Running {
    fn start(runtime: &Path) -> Running {
        let line = "bench keyed-count --duration 1h --rate 1000 --keys 100 --partitions 2 -v";
        let arguments: Vec<&str> = line.split(' ').collect();
        let mut command = millstream(&arguments);
        command.env("XDG_RUNTIME_DIR", runtime).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        let socket = loop {
            line.clear();
            assert!(stderr.read_line(&mut line).expect("UTF-8") > 0, "it ended");
            if let Some(path) = line.trim_end().strip_prefix("inspect at unix:") {
                break PathBuf::from(path);
            }
        };
        Running { child, socket, _stderr: stderr }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process id"), signal).expect("it is ours");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill().and_then(|()| self.child.wait());
    }
}

fn runtime() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn inspect(runtime: &Path, line: &str) -> Output {
    let arguments: Vec<&str> = ["inspect"].into_iter().chain(line.split(' ')).collect();
    let mut command = millstream(&arguments);
    command.env("XDG_RUNTIME_DIR", runtime).output().expect("the binary starts")
}

fn answered(runtime: &Path, line: &str) -> String {
    let output = inspect(runtime, line);
    assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "", "{line}");
    text(&output.stdout).to_owned()
}

fn json(runtime: &Path, topic: &str) -> Value {
    let answer = answered(runtime, &format!("{topic} --format json"));
    let answer: Value = serde_json::from_str(&answer).expect("one JSON object");
    answer[topic].clone()
}

/// Answers one question with `bytes`, at a socket in `folder`; gives its URL.
fn answering(folder: &Path, bytes: &'static [u8]) -> String {
    let path = folder.join("other.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("a client");
        BufReader::new(&client).read_line(&mut String::new()).expect("a question");
        client.write_all(bytes).expect("it reads");
    });
    format!("unix:{}", path.display())
}

#[test]
fn a_running_job_answers_every_topic_and_leaves_nothing_behind() {
    let runtime = runtime();
    let runtime = runtime.path();
    let mut job = Running::start(runtime);
    let mode =
        |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&job.socket), mode(&runtime.join("millstream"))), (0o600, 0o700));

    for topic in TOPICS {
        let url = format!("{topic} --url unix:{} --show-keys", job.socket.display());
        assert!(answered(runtime, &url).lines().count() >= 1, "{topic}");
        assert!(!json(runtime, topic).is_null(), "{topic}");
    }
    let tasks = json(runtime, "tasks");
    let names: Vec<_> = tasks.as_array().into_iter().flatten().map(|one| &one["name"]).collect();
    assert_eq!(names.len(), 2, "{tasks}");
    let page = answered(runtime, "tasks");
    assert!(names.iter().all(|name| page.contains(name.as_str().expect("a name"))), "{page}");
    assert!(answered(runtime, "lanes").starts_with("edge "));
    assert_eq!(json(runtime, "lanes").as_array().map(Vec::len), Some(1));
    assert_eq!(answered(runtime, "checkpoints"), "no checkpoints: this job takes none\n");
    let health = json(runtime, "health");
    assert_eq!(health["partitions"].as_array().map(Vec::len), Some(2), "{health}");
    let page = answered(runtime, "health");
    assert!(page.contains(&format!(" of process {}, ", job.child.id())), "{page}");

    job.signal(Signal::INT);
    assert_eq!(job.child.wait().expect("it ends").code(), Some(0));
    assert!(!job.socket.exists());
}

#[test]
fn without_a_job_or_with_several_a_line_says_so() {
    let runtime = runtime();
    let runtime = runtime.path();
    let folder = runtime.join("millstream");
    let nobody = |code| {
        let stderr = refusal(&inspect(runtime, "tasks"), code);
        let start = format!("error: no running job at {}: nothing; allowed", folder.display());
        assert!(stderr.starts_with(&start) && stderr.lines().count() == 1, "{stderr}");
    };
    nobody(69);
    let mut killed = Running::start(runtime);
    killed.signal(Signal::KILL);
    killed.child.wait().expect("it ends");
    assert!(killed.socket.exists(), "nobody could remove it");
    nobody(69);

    let jobs = [Running::start(runtime), Running::start(runtime)];
    assert!(!killed.socket.exists(), "the next job has removed it");
    let stderr = refusal(&inspect(runtime, "health"), 64);
    assert!(stderr.starts_with("error: several running jobs at "), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    for job in &jobs {
        assert!(stderr.contains(&format!("{}.sock", job.child.id())), "{stderr}");
        let page = answered(runtime, &format!("health --url unix:{}", job.socket.display()));
        assert!(page.contains(&format!(" of process {}, ", job.child.id())), "{page}");
    }
}

#[test]
fn a_job_that_fails_leaves_nothing_behind() {
    let runtime = runtime();
    let line = "bench keyed-count --records 1000 --keys 100 --partitions 1 --output /dev/full";
    let arguments: Vec<&str> = line.split(' ').collect();
    let mut command = millstream(&arguments);
    let output = command.env("XDG_RUNTIME_DIR", runtime.path()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(74), "{}", text(&output.stderr));
    let folder = runtime.path().join("millstream");
    let left = folder.read_dir().expect("it was served").flatten();
    let sockets = left.filter(|entry| entry.file_name().to_string_lossy().ends_with(".sock"));
    assert_eq!(sockets.count(), 0);
}

#[test]
fn a_folder_of_others_is_not_trusted_and_the_job_runs_all_the_same() {
    let runtime = runtime();
    let folder = runtime.path().join("millstream");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("ours");
    let stderr = refusal(&inspect(runtime.path(), "tasks"), 77);
    assert!(stderr.starts_with("error: unsafe folder at "), "{stderr}");
    let mut command = millstream(&["bench", "keyed-count", "--records", "1000"]);
    let output = command.env("XDG_RUNTIME_DIR", runtime.path()).output().expect("it starts");
    assert_eq!(output.status.code(), Some(0));
    let warning = "warning: inspect cannot ask this job: unsafe folder at ";
    assert!(text(&output.stderr).contains(warning), "{}", text(&output.stderr));
}

#[test]
fn a_socket_that_is_no_job_s_is_refused() {
    let folder = runtime();
    let folder = folder.path();
    let cut = b"{\"millstream\":\"0.1.0\",\"tasks\":[{\"name\":\"so";
    for (answer, what) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "no answer of a job"),
        (b"{\"tasks\":[]}\n", "no answer of a job"),
        (b"\xff\xfe\x1b[31m", "no answer of a job"),
        (cut, "cut answer"),
        (b"", "cut answer"),
    ] {
        let url = answering(folder, answer);
        let stderr = refusal(&inspect(folder, &format!("tasks --url {url}")), 65);
        assert!(stderr.starts_with(&format!("error: {what} at ")), "{stderr}");
        assert!(stderr.ends_with("; allowed that of a millstream job\n"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let silent = folder.join("silent.sock");
    let _listens = UnixListener::bind(&silent).expect("a socket");
    let stderr = refusal(&inspect(folder, &format!("tasks --url unix:{}", silent.display())), 75);
    assert!(stderr.starts_with("error: no answer at ") && stderr.contains(": 5 s; "), "{stderr}");
    let file = folder.join("file");
    std::fs::write(&file, "text").expect("a file");
    for (path, code, what) in
        [(folder.join("missing"), 66, "no such socket"), (file, 69, "nobody answers")]
    {
        let stderr =
            refusal(&inspect(folder, &format!("tasks --url unix:{}", path.display())), code);
        assert!(stderr.starts_with(&format!("error: {what} at ")), "{stderr}");
    }
}

#[test]
fn wrong_arguments_are_refused() {
    let folder = runtime();
    for (line, message) in [
        ("task", "unknown topic at millstream inspect: task; did you mean tasks"),
        ("tasks lanes", "unexpected argument at millstream inspect: lanes; see"),
        ("tasks --url tcp:1.2.3.4", "unknown kind of address at --url: tcp:1.2.3.4; allowed unix:"),
        ("tasks --url unix:", "empty value at --url: unix:; allowed a path"),
        ("tasks --url", "missing value at --url: nothing; allowed unix:PATH"),
        ("tasks --partitions=2", "unknown flag at millstream inspect: --partitions; see"),
        ("--show-keys", "missing topic at millstream inspect: nothing; allowed hot-keys, tasks, "),
    ] {
        let stderr = refusal(&inspect(folder.path(), line), 64);
        assert!(stderr.starts_with(&format!("error: {message}")), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let stderr = refusal(&millstream(&["doctor", "--show-keys"]).output().expect("it"), 64);
    assert!(stderr.ends_with("--show-keys; allowed with millstream inspect\n"), "{stderr}");
}
