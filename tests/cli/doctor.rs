//! `doctor` through the binary: this host, recorded ones, and files that are no host's.

use std::path::Path;

use serde_json::Value;

use crate::bench::json;
use crate::hosts::{laid_out, write};
use crate::{millstream, refusal, run, text};

/// What `doctor` says about the host in `folder`.
fn diagnosed(folder: &Path, flags: &[&str]) -> Value {
    let arguments = [&["doctor", "--format", "json"], flags].concat();
    let output = millstream(&arguments).arg("--host").arg(folder).output().expect("it starts");
    json(&output, "doctor")
}

/// What the findings are about, in their order.
fn about(diagnosis: &Value) -> Vec<&str> {
    let findings = diagnosis["findings"].as_array().expect("a list");
    findings.iter().map(|one| one["about"].as_str().expect("a word")).collect()
}

fn finding<'a>(diagnosis: &'a Value, wanted: &str) -> &'a Value {
    let findings = diagnosis["findings"].as_array().expect("a list");
    findings.iter().find(|one| one["about"] == wanted).expect(wanted)
}

#[test]
fn doctor_plans_for_the_flags_it_is_given() {
    let line = ["doctor", "--partitions", "1", "--pin", "off", "--probe", "0", "--format", "json"];
    let diagnosis = json(&run(&line), "doctor");
    assert_eq!(diagnosis["plan"]["partitions"].as_array().map(Vec::len), Some(1));
    assert_eq!(diagnosis["request"]["pin"], "off");
    assert_eq!(diagnosis["probe"]["cores"].as_array().map(Vec::len), Some(0));
    let core = diagnosis["host"]["machine"]["allowed"][0].to_string();
    let output = run(&["doctor", "--cores", &core, "--probe", "0"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let shown = text(&output.stdout);
    assert!(shown.contains(&format!("plan for --cores {core}, ")), "{shown}");
    assert!(!shown.contains("hiccups of"), "{shown}");
}

#[test]
fn doctor_probes_the_cores_that_partitions_would_get() {
    let line = ["doctor", "--partitions", "1", "--probe", "20ms", "--format", "json"];
    let diagnosis = json(&run(&line), "doctor");
    assert_eq!(diagnosis["probe"]["seconds"], 0.02);
    let probed = diagnosis["probe"]["cores"].as_array().expect("a list");
    assert!(!probed.is_empty());
    for one in probed {
        // Records are due every microsecond; a pause at the end may cost some of them.
        assert!(one["waits_ns"]["count"].as_u64() >= Some(15_000), "{one}");
        assert!(one["waits_ns"]["max"].as_u64() > Some(0), "{one}");
    }
    let output = run(&["doctor", "--partitions", "1", "--probe", "1ms"]);
    assert!(text(&output.stdout).contains("\nhiccups of 0.001 s\n"), "{}", text(&output.stdout));
}

#[test]
fn a_server_with_everything_wrong_is_told_how_to_mend_each() {
    let folder = laid_out("server-2x32-smt");
    let diagnosis = diagnosed(folder.path(), &["--partitions", "4"]);
    let all = ["governor", "deep sleep", "SMT", "huge pages", "NUMA", "swap"];
    assert_eq!(about(&diagnosis), all);
    for (about, mend) in [
        ("governor", "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/"),
        ("deep sleep", "sudo cpupower idle-set -D 50"),
        ("SMT", "this plan leaves siblings free"),
        ("huge pages", "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"),
        ("NUMA", "sudo sysctl kernel.numa_balancing=0"),
        ("swap", "sudo swapoff -a"),
    ] {
        let mended = finding(&diagnosis, about)["mend"].as_str().expect("text");
        assert!(mended.starts_with(mend), "{about}: {mended}");
    }
    let cores: Vec<_> =
        (0..4).map(|p| diagnosis["plan"]["partitions"][p]["core"].clone()).collect();
    assert_eq!(cores, [1, 2, 3, 4]);
    let flags = ["doctor", "--cores", "127,3", "--host"];
    let output = millstream(&flags).arg(folder.path()).output().expect("it starts");
    let shown = text(&output.stdout);
    assert!(shown.contains("core 127: named by --cores"), "its cores count, not ours: {shown}");
    assert!(shown.contains("\n  huge pages  transparent huge pages are always on\n"), "{shown}");
}

#[test]
fn containers_and_sandboxes_are_told_what_they_lack() {
    let pod = diagnosed(laid_out("container-v2").path(), &[]);
    let quota = finding(&pod, "quota");
    let seen = "2.5 cores for all threads together; used up in 37 of 412 periods";
    assert_eq!(quota["seen"], seen);
    let mend = quota["mend"].as_str().expect("text");
    assert!(
        mend.starts_with("echo max | sudo tee /sys/fs/cgroup/kubepods/pod7/cpu.max, "),
        "{mend}"
    );
    let docker = diagnosed(laid_out("container-v1").path(), &[]);
    let mend = finding(&docker, "quota")["mend"].as_str().expect("text");
    let file = "/sys/fs/cgroup/cpu,cpuacct/docker/8e1f/cpu.cfs_quota_us";
    assert!(mend.starts_with(&format!("echo -1 | sudo tee {file}, ")), "{mend}");
    assert_eq!(about(&diagnosed(laid_out("no-sysfs").path(), &[])), ["topology"]);
    let off = diagnosed(laid_out("offline-core").path(), &[]);
    assert_eq!(about(&off), ["governor", "SMT", "offline"]);
    let laptop = diagnosed(laid_out("laptop-hybrid").path(), &[]);
    assert_eq!(finding(&laptop, "hybrid")["mend"], "--cores 0-7");
    assert_eq!(about(&diagnosed(laid_out("vm-2-cores").path(), &[])), [""; 0]);
}

#[test]
fn absurd_files_are_told_one_by_one_and_exit_0() {
    let folder = laid_out("absurd");
    let diagnosis = diagnosed(folder.path(), &[]);
    let odd = about(&diagnosis).iter().filter(|about| **about == "odd file").count();
    assert_eq!(odd, 8, "{diagnosis:#}");
    let arguments = ["doctor", "--host"];
    let output = millstream(&arguments).arg(folder.path()).output().expect("it starts");
    let warning = "\nwarning: file not as expected at /sys/";
    assert_eq!(text(&output.stdout).matches(warning).count(), 1, "{}", text(&output.stdout));
}

#[test]
fn what_is_no_host_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "file", b"");
    for place in [folder.path().to_owned(), folder.path().join("no"), folder.path().join("file")] {
        let output = millstream(&["doctor", "--host"]).arg(&place).output().expect("it starts");
        let stderr = refusal(&output, 66);
        assert!(stderr.starts_with("error: no host at --host: "), "{stderr}");
        assert!(stderr.ends_with("; allowed a folder with proc or sys in it\n"), "{stderr}");
    }
    for (value, what) in [
        ("-1s", "out of range"),
        ("61s", "out of range"),
        ("2", "number without"),
        ("", "empty value"),
    ] {
        let stderr = refusal(&run(&["doctor", "--probe", value]), 64);
        assert!(stderr.starts_with(&format!("error: {what}")), "{stderr}");
    }
    let named = ["doctor", "--cores", "9", "--host"];
    let host = laid_out("vm-2-cores");
    let output = millstream(&named).arg(host.path()).output().expect("it starts");
    let stderr = refusal(&output, 64);
    assert!(stderr.starts_with("error: core not available at --cores: 9; "), "{stderr}");
    assert!(stderr.ends_with(": 0-1\n"), "{stderr}");
}
