//! The reference page that is kept, the page for `man`, and completions in a shell that runs.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::{refusal, run, text};

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout).to_owned()
}

/// What the program says to `input`; `None` where it is not installed.
fn fed(program: &str, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("no {program} here");
        return None;
    };
    let mut stdin = child.stdin.take().expect("a pipe");
    let writer = std::thread::spawn({
        let input = input.to_owned();
        move || stdin.write_all(input.as_bytes())
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads all");
    Some(output)
}

#[test]
fn kept_reference_page_is_what_the_program_prints() {
    let path = "docs/reference/command-line.md";
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let kept = std::fs::read_to_string(kept).expect("the page is kept");
    let now = printed(&["man", "--markdown"]);
    let changed = kept.lines().zip(now.lines()).find(|(kept, now)| kept != now);
    assert!(kept == now, "write it anew: millstream man --markdown >{path}; first {changed:?}");
}

#[test]
fn manual_is_read_without_warnings() {
    let page = printed(&["man"]);
    assert!(page.contains("\n.TH MILLSTREAM 1 "), "{page}");
    for (program, arguments) in [
        ("mandoc", &["-T", "lint", "-W", "warning"][..]),
        ("groff", &["-ww", "-man", "-z", "-Tascii"]),
    ] {
        let Some(output) = fed(program, arguments, &page) else { continue };
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(output.status.success() && said.is_empty(), "{program}: {said}");
    }
}

#[test]
fn wrong_shells_and_arguments_are_refused() {
    assert_eq!(
        refusal(&run(&["completions"]), 64),
        "error: missing shell at millstream completions: nothing; allowed bash, zsh, fish\n"
    );
    assert_eq!(
        refusal(&run(&["completions", "bsh"]), 64),
        "error: unknown shell at millstream completions: bsh; did you mean bash\n"
    );
    assert_eq!(
        refusal(&run(&["completions", "bash", "zsh"]), 64),
        "error: unexpected argument at millstream completions: zsh; see millstream completions \
         --help\n"
    );
    let stderr = refusal(&run(&["completions", "bash", "--format", "json"]), 64);
    assert!(stderr.starts_with("error: unknown flag at millstream completions: --format; "));
    let stderr = refusal(&run(&["man", "bench"]), 64);
    assert!(stderr.starts_with("error: unexpected argument at millstream man: bench; "));
}

/// Completes each line in bash: the words that it answers, or "path" where it completes paths.
const ASK: &str = r#"
compopt() { COMPREPLY=(path); }
ask() {
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _millstream
    echo "${COMPREPLY[*]}"
}
complete -p millstream
"#;

#[test]
fn bash_completes_commands_flags_and_values() {
    let rows: &[(&str, &str)] = &[
        ("millstream be", "bench"),
        ("millstream --v", "--version"),
        ("millstream bench hot-key-", "hot-key-shift"),
        ("millstream bench chain --partit", "--partitions"),
        ("millstream bench chain --idle ''", "park yield spin"),
        ("millstream bench chain --idle s", "spin"),
        ("millstream bench chain --idle = s", "spin"),
        ("millstream bench chain --idle =", "park yield spin"),
        ("millstream bench chain --records ''", ""),
        ("millstream bench chain --config ''", "path"),
        ("millstream bench chain l", ""),
        ("millstream doctor --format ''", "text json"),
        ("millstream doctor --records ''", "--format --config"),
        ("millstream inspect h", "hot-keys health"),
        ("millstream replay-decisions ''", "path"),
        ("millstream replay-decisions --q", "--quiet"),
        ("millstream knobs lin", "linger"),
        ("millstream completions ''", "bash zsh fish"),
        ("millstream man --", "--markdown --help"),
        ("millstream help kn", "knobs"),
        ("millstream nothing ''", ""),
    ];
    let mut script = printed(&["completions", "bash"]) + ASK;
    for (line, _) in rows {
        script += &format!("ask {line}\n");
    }
    let Some(output) = fed("bash", &["--norc", "--noprofile"], &script) else { return };
    assert_eq!(text(&output.stderr), "");
    let answers: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(answers[0], "complete -F _millstream millstream");
    assert_eq!(answers.len(), 1 + rows.len());
    for ((line, expected), answer) in rows.iter().zip(&answers[1..]) {
        match line.contains("doctor --records") {
            // Not a flag of its own, so that what follows is anything.
            true => assert!(answer.starts_with(expected), "{line}: {answer}"),
            false => assert_eq!(answer, expected, "{line}"),
        }
    }
}

#[test]
fn other_shells_can_read_their_scripts() {
    for shell in ["zsh", "fish"] {
        let script = printed(&["completions", shell]);
        let Some(output) = fed(shell, &["-n"], &script) else { continue };
        assert!(output.status.success(), "{shell}: {}", text(&output.stderr));
        assert_eq!(text(&output.stderr), "", "{shell}");
    }
    let Some(output) = fed("fish", &["--no-config"], &asked_of_fish()) else { return };
    let offered = text(&output.stdout).lines().map(|line| line.split('\t').next());
    assert_eq!(offered.collect::<Vec<_>>(), ["park", "spin", "yield"].map(Some));
}

fn asked_of_fish() -> String {
    printed(&["completions", "fish"]) + "complete -C 'millstream bench lane --idle '\n"
}
