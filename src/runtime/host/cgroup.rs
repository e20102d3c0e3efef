//! What control groups grant, of version 1 and 2: time, and cores.

use std::path::Path;

use serde::Serialize;

use crate::runtime::host::files::Files;

/// Deeper nesting than anybody has; the levels above are left out.
const LEVELS_MAX: usize = 128;

const UNIFIED: &[&str] = &["sys/fs/cgroup", "sys/fs/cgroup/unified"];
const CPU: &[&str] =
    &["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct,cpu"];
const CPUSET: &[&str] = &["sys/fs/cgroup/cpuset"];

/// How much time a control group grants its threads, all together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quota {
    /// How many cores' worth.
    pub cores: f64,
    /// The file that says so, from the root.
    pub file: String,
    /// How often the time of a period was used up since the group was made.
    pub throttled_periods: u64,
    /// How many periods there were in which anything ran.
    pub periods: u64,
}

impl Files {
    /// The tightest quota of our group and those above it.
    pub(super) fn quota(&self) -> Option<Quota> {
        let groups = self.groups();
        let unified = levels(&groups, "", UNIFIED).filter_map(|folder| self.cpu_max(folder));
        let first = levels(&groups, "cpu", CPU).filter_map(|folder| self.cfs_quota(folder));
        unified.chain(first).min_by(|one, other| one.cores.total_cmp(&other.cores))
    }

    /// The cores that our group and those above it leave us; `None` if no group says.
    pub(super) fn cpuset(&self) -> Option<Vec<usize>> {
        let groups = self.groups();
        let unified = levels(&groups, "", UNIFIED).map(|folder| (folder, "cpuset.cpus.effective"));
        let first = levels(&groups, "cpuset", CPUSET).flat_map(|folder| {
            ["cpuset.effective_cpus", "cpuset.cpus"].map(|file| (folder.clone(), file))
        });
        let lists = unified.chain(first).filter_map(|(folder, file)| {
            let cores = self.cores(&format!("{folder}/{file}"), "its cores are not looked at")?;
            // An empty one is that of the group above.
            (!cores.is_empty()).then_some(cores)
        });
        lists.reduce(|one, other| one.into_iter().filter(|core| other.contains(core)).collect())
    }

    /// Our groups: controllers, `` for version 2, and path.
    fn groups(&self) -> Vec<(String, String)> {
        let text = self.read("proc/self/cgroup").unwrap_or_default();
        let group = |line: &str| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            // A path with `..` lies outside of what this container sees.
            let hidden = path.split('/').any(|part| part == "..");
            Some((controllers.to_owned(), if hidden { "/" } else { path }.to_owned()))
        };
        text.lines().filter_map(group).collect()
    }

    /// Reads `250000 100000` as 2.5 cores, `max 100000` as no limit.
    fn cpu_max(&self, folder: String) -> Option<Quota> {
        let file = format!("{folder}/cpu.max");
        let text = self.read(&file)?;
        let (quota, period) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if quota == "max" {
            return None;
        }
        self.granted(&folder, &file, (quota, period))
    }

    fn cfs_quota(&self, folder: String) -> Option<Quota> {
        let file = format!("{folder}/cpu.cfs_quota_us");
        let quota = self.read(&file)?;
        if quota.trim() == "-1" {
            return None;
        }
        let period = self.read(&format!("{folder}/cpu.cfs_period_us")).unwrap_or_default();
        self.granted(&folder, &file, (quota.trim(), period.trim()))
    }

    fn granted(&self, folder: &str, file: &str, (quota, period): (&str, &str)) -> Option<Quota> {
        let us = |text: &str| text.parse::<u64>().ok().filter(|us| *us > 0);
        let (Some(quota_us), Some(period_us)) = (us(quota), us(period)) else {
            self.odd(file, &format!("{quota} {period}"), "its quota is not looked at");
            return None;
        };
        let statistics = self.read(&format!("{folder}/cpu.stat")).unwrap_or_default();
        let count = |name: &str| {
            let pairs = statistics.lines().filter_map(|line| line.split_once(' '));
            let mut values = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.trim());
            values.next().and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        // Two decimals are as exact as anybody sets it, and print well.
        let cores = (quota_us as f64 / period_us as f64 * 100.0).round() / 100.0;
        Some(Quota {
            cores: cores.max(0.01),
            file: format!("/{file}"),
            throttled_periods: count("nr_throttled"),
            periods: count("nr_periods"),
        })
    }
}

/// The folders of our groups with this controller, from each up to where it may be mounted.
fn levels<'a>(
    groups: &'a [(String, String)],
    controller: &'a str,
    mounts: &'static [&'static str],
) -> impl Iterator<Item = String> + 'a {
    let ours = groups.iter().filter(move |(controllers, _)| match controller {
        "" => controllers.is_empty(),
        _ => controllers.split(',').any(|one| one == controller),
    });
    let folders = ours.flat_map(|(_, path)| Path::new(path).ancestors().take(LEVELS_MAX));
    folders.filter_map(Path::to_str).flat_map(move |folder| {
        mounts.iter().map(move |mount| format!("{mount}{folder}").trim_end_matches('/').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::host::files::tests::files;

    fn cores(files: &Files) -> Option<f64> {
        files.quota().map(|quota| quota.cores)
    }

    #[test]
    fn the_tightest_quota_of_all_levels_counts() {
        let (_folder, v2) = files(&[
            ("proc/self/cgroup", "0::/pod/app\n"),
            ("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/pod/cpu.max", "250000 100000\n"),
            ("sys/fs/cgroup/pod/cpu.stat", "usage_usec 7\nnr_periods 90\nnr_throttled 4\n"),
        ]);
        let quota = v2.quota().expect("a quota");
        assert_eq!((quota.cores, quota.file.as_str()), (2.5, "/sys/fs/cgroup/pod/cpu.max"));
        assert_eq!((quota.throttled_periods, quota.periods), (4, 90));
        let (_folder, v1) = files(&[
            ("proc/self/cgroup", "4:memory:/a\n3:cpu,cpuacct:/docker/x\n0::/\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(cores(&v1), Some(1.5));
    }

    #[test]
    fn no_quota_is_no_quota() {
        let (_folder, unlimited) = files(&[
            ("proc/self/cgroup", "2:cpu:/\n0::/../..\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ]);
        assert_eq!((cores(&unlimited), unlimited.oddities()), (None, vec![]));
        let (_folder, nothing) = files(&[]);
        assert_eq!((cores(&nothing), nothing.oddities()), (None, vec![]));
    }

    #[test]
    fn absurd_quotas_do_not_count_and_are_told() {
        let max = "sys/fs/cgroup/cpu.max";
        let cfs = "sys/fs/cgroup/cpu/cpu.cfs_quota_us";
        for (path, text) in [
            (max, "100000 0"),
            (max, "0 100000"),
            (max, "100000"),
            (max, ""),
            (max, "garbage"),
            (max, "-5 100000"),
            (max, "99999999999999999999 100000"),
            (cfs, "-2"),
            (cfs, "50000"),
        ] {
            let (_folder, absurd) = files(&[("proc/self/cgroup", "1:cpu:/\n0::/\n"), (path, text)]);
            assert_eq!(cores(&absurd), None, "{path}: {text}");
            assert_eq!(absurd.oddities().len(), 1, "{path}: {text}: {:?}", absurd.oddities());
        }
        let (_folder, tiny) = files(&[("proc/self/cgroup", "0::/\n"), (max, "1000 1000000\n")]);
        assert_eq!(cores(&tiny), Some(0.01), "a little is not nothing");
    }

    #[test]
    fn cores_of_all_levels_are_those_that_each_of_them_has() {
        let (_folder, v2) = files(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/cpuset.cpus.effective", "0-7\n"),
            ("sys/fs/cgroup/a/cpuset.cpus.effective", "2-5\n"),
            ("sys/fs/cgroup/a/b/cpuset.cpus.effective", "\n"),
        ]);
        assert_eq!(v2.cpuset(), Some(vec![2, 3, 4, 5]));
        let (_folder, v1) = files(&[
            ("proc/self/cgroup", "5:cpuset:/docker/x\n"),
            ("sys/fs/cgroup/cpuset/docker/x/cpuset.cpus", "1,3\n"),
            ("sys/fs/cgroup/cpuset/docker/cpuset.effective_cpus", "0-3\n"),
        ]);
        assert_eq!(v1.cpuset(), Some(vec![1, 3]));
        let (_folder, none) = files(&[("proc/self/cgroup", "garbage\n::\n")]);
        assert_eq!(none.cpuset(), None);
    }

    #[test]
    fn a_path_deeper_than_any_is_walked_to_an_end() {
        let deep = format!("0::{}\n", "/a".repeat(50_000));
        let (_folder, files) = files(&[("proc/self/cgroup", &deep)]);
        assert_eq!((cores(&files), files.cpuset()), (None, None));
    }
}
