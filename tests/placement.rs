//! Placement on recorded hosts: what is read from their files, and which cores partitions get.
#![allow(clippy::disallowed_methods)] // Tests lay hosts out as files.

#[path = "hosts/mod.rs"]
mod hosts;

use hosts::{laid_out, recorded, write};
use millstream::config::Pin;
use millstream::runtime::host::{Calls, host_at, machine_at};
use millstream::runtime::placement::{
    CoreKind, Leased, Machine, PlacementRequest, Plan, core_list, plan,
};

fn machine(name: &str) -> Machine {
    machine_at(laid_out(name).path(), Calls::recorded())
}

fn planned(machine: &Machine, partitions: impl Into<Option<usize>>) -> Plan {
    let partitions = partitions.into();
    let request = PlacementRequest { partitions, ..PlacementRequest::default() };
    plan(machine, &request).expect("a plan")
}

/// The cores of the partitions, in their order, and those that are left.
fn placed(plan: &Plan) -> (String, String) {
    let cores: Vec<usize> = plan.partitions.iter().filter_map(|placed| placed.core).collect();
    (core_list(&cores), core_list(&plan.housekeeping))
}

fn cores(machine: &Machine, partitions: impl Into<Option<usize>>) -> String {
    placed(&planned(machine, partitions)).0
}

#[test]
fn no_recorded_host_but_the_absurd_one_is_odd() {
    for name in [
        "server-2x32-smt",
        "epyc-4-caches",
        "laptop-hybrid",
        "laptop-hybrid-by-clock",
        "arm-big-little",
        "vm-2-cores",
        "container-v1",
        "container-v2",
        "offline-core",
        "no-sysfs",
    ] {
        let host = host_at(laid_out(name).path(), Calls::recorded());
        assert_eq!(host.machine.oddities, [""; 0], "{name}");
        assert_eq!(host.tells_topology, name != "no-sysfs", "{name}");
    }
}

#[test]
fn a_server_is_filled_socket_by_socket_and_core_by_core() {
    let server = machine("server-2x32-smt");
    assert_eq!(placed(&planned(&server, None)), ("0-63".into(), "64-127".into()));
    assert_eq!(cores(&server, 4), "1-4");
    assert_eq!(cores(&server, 32), "0-31");
    assert_eq!(cores(&server, 33), "0-32", "a second socket before a sibling");
    let all = planned(&server, 100);
    assert!(all.warnings[0].contains("72 of 100 partitions share a physical core"), "{all:?}");
}

#[test]
fn partitions_stay_within_one_cache_of_a_socket_that_has_several() {
    let epyc = machine("epyc-4-caches");
    assert_eq!(cores(&epyc, 2), "4-5", "away from the first core");
    assert_eq!(cores(&epyc, 4), "4-7");
    assert_eq!(cores(&epyc, 5), "4-8");
    assert_eq!(placed(&planned(&epyc, None)), ("0-15".into(), "16-31".into()));
    let busy = |cores: &[usize]| {
        let lease = |core: &usize| Leased { core: *core, pid: Some(7), is_ours: false };
        Machine { leased: cores.iter().map(lease).collect(), ..epyc.clone() }
    };
    assert_eq!(cores(&busy(&[4, 5, 8]), 4), "12-15", "the cache that is left whole");
    assert_eq!(cores(&busy(&[20, 21]), 4), "8-11", "siblings of busy threads come last");
}

#[test]
fn small_cores_are_told_by_list_by_clock_and_by_capacity() {
    for (name, small, four) in [
        ("laptop-hybrid", "8-11", "0,2,4,6"),
        ("laptop-hybrid-by-clock", "4-11", "0,2,4-5"),
        ("arm-big-little", "0-3", "4-7"),
    ] {
        let machine = machine(name);
        let cpus = machine.topology.cpus.iter();
        let efficient = cpus.filter(|cpu| cpu.kind == CoreKind::Efficiency).map(|cpu| cpu.id);
        assert_eq!(core_list(&efficient.collect::<Vec<_>>()), small, "{name}");
        assert_eq!(cores(&machine, 4), four, "{name}");
    }
}

#[test]
fn a_small_virtual_machine_is_used_whole() {
    let plan = planned(&machine("vm-2-cores"), None);
    assert_eq!((placed(&plan), plan.warnings), (("0-1".into(), String::new()), vec![]));
}

#[test]
fn containers_have_the_least_of_all_levels() {
    let v2 = machine("container-v2");
    assert_eq!((core_list(&v2.allowed), v2.quota_cores), ("4-7".into(), Some(2.5)));
    let plan = planned(&v2, None);
    assert_eq!((plan.partitions.len(), plan.pinned), (2, false));
    assert!(plan.warnings[0].contains("quota of 2.5 cores is below the 4 allowed"), "{plan:?}");
    let host = host_at(laid_out("container-v2").path(), Calls::recorded());
    let quota = host.quota.expect("a quota");
    assert_eq!((quota.throttled_periods, quota.periods), (37, 412));
    assert_eq!(quota.file, "/sys/fs/cgroup/kubepods/pod7/cpu.max");

    let v1 = machine("container-v1");
    assert_eq!((core_list(&v1.allowed), v1.quota_cores), ("2-3".into(), Some(1.5)));
    assert_eq!(planned(&v1, None).partitions.len(), 1);
}

#[test]
fn a_core_that_is_switched_off_gets_nothing() {
    let machine = machine("offline-core");
    assert_eq!(core_list(&machine.allowed), "0-1,4-7");
    assert_eq!(placed(&planned(&machine, None)), ("0,4,6".into(), "1,5,7".into()));
    let named = PlacementRequest { cores: Some(vec![2]), ..PlacementRequest::default() };
    let error = plan(&machine, &named).expect_err("it is off");
    assert!(error.to_string().starts_with("core not available at --cores: 2; "), "{error}");
    let host = host_at(laid_out("offline-core").path(), Calls::recorded());
    assert_eq!(host.offline, [2, 3]);
}

#[test]
fn without_sysfs_cores_are_a_row_of_equals() {
    let machine = machine("no-sysfs");
    assert_eq!(placed(&planned(&machine, None)), ("1-3".into(), "0".into()));
    let nothing = tempfile::tempdir().expect("a folder");
    let calls = Calls { parallelism: Some(3), ..Calls::recorded() };
    assert_eq!(machine_at(nothing.path(), calls).allowed, [0, 1, 2]);
}

#[test]
fn where_pinning_is_denied_it_warns_and_runs_or_refuses_with_77() {
    let calls = Calls { may_pin: false, ..Calls::recorded() };
    let machine = machine_at(laid_out("container-v1").path(), calls);
    let machine = Machine { quota_cores: None, ..machine };
    let plan = planned(&machine, None);
    assert!(!plan.pinned && plan.warnings[0].ends_with("choose a core: not pinned"), "{plan:?}");
    let on = PlacementRequest { pin: Pin::On, ..PlacementRequest::default() };
    let error = millstream::runtime::placement::plan(&machine, &on).expect_err("denied");
    assert_eq!(error.kind().exit_code(), 77);
}

#[test]
fn absurd_files_are_one_warning_and_a_plan() {
    let machine = machine("absurd");
    assert_eq!(machine.oddities.len(), 8, "{:#?}", machine.oddities);
    let plan = planned(&machine, None);
    assert_eq!(placed(&plan), ("1-3".into(), "0".into()));
    assert_eq!(plan.warnings.len(), 1);
    let warning = &plan.warnings[0];
    assert!(warning.starts_with("file not as expected at /sys/"), "{warning}");
    assert!(warning.ends_with(" (and 7 more, see millstream doctor)"), "{warning}");
    assert_eq!(warning.lines().count(), 1);
}

/// Every file of a host, one at a time: cut at every byte, empty, overlong, binary.
#[test]
fn a_file_that_is_cut_anywhere_never_costs_the_plan() {
    for name in ["container-v1", "container-v2", "arm-big-little"] {
        let folder = laid_out(name);
        // Of cores, the first one stands for all.
        let is_taken =
            |path: &str| !path.contains("/system/cpu/cpu") || path.contains("/system/cpu/cpu0/");
        for (path, whole) in recorded(name).into_iter().filter(|(path, _)| is_taken(path)) {
            let overlong = [whole.repeat(50), "0-65535\n".into(), "9".repeat(400)];
            let cut = (0..whole.len()).map(|end| whole.as_bytes()[..end].to_vec());
            let odd = overlong.into_iter().map(String::into_bytes).chain([
                vec![0; 16],
                b"\xff\xfe\x00-1,\x80".to_vec(),
                b"-9223372036854775808 0\n".to_vec(),
                b"0::/../..\n1:cpu,cpuset:/../x\n:\n".to_vec(),
            ]);
            for content in cut.chain(odd) {
                write(folder.path(), &path, &content);
                let host = host_at(folder.path(), Calls::recorded());
                let plan = planned(&host.machine, None);
                let shown = String::from_utf8_lossy(&content);
                assert!(!plan.partitions.is_empty(), "{name}: {path}: {shown}");
                for line in host.machine.oddities.iter().chain(&plan.warnings) {
                    assert!(!line.contains(char::is_control), "{name}: {path}: {line}");
                    assert!(line.chars().count() < 400, "{name}: {path}: {line}");
                }
            }
            write(folder.path(), &path, whole.as_bytes());
        }
    }
}
