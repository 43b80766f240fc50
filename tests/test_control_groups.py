# SPDX-License-Identifier: BSD-3-Clause
"""What control groups leave a process: cores and memory, of both versions, made up and real."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrelu import _core, machine

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")
V1 = "31 23 0:28 {group} {point} rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "40 23 0:37 {group} {point} rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
OTHER = "32 23 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\nbroken line\n"


def a_system(root, mounts, groups, quotas):
    """Make the files that the system has under /proc and where control groups are mounted."""
    (root / "proc" / "self").mkdir(parents=True, exist_ok=True)
    (root / "proc" / "self" / "mountinfo").write_text(OTHER + mounts)
    (root / "proc" / "self" / "cgroup").write_text(groups)
    for path, text in quotas.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return str(root)


V2_HOME = V2.format(group="/", point="/sys/fs/cgroup")
V1_HOME = V1.format(group="/", point="/sys/fs/cgroup/cpu")


@linux
@pytest.mark.parametrize(
    ("mounts", "groups", "quotas", "cores"),
    [
        (V2_HOME, "0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max": "300000 100000"}, 3),
        # The least of all that it is in, not that of its own group or of the root alone.
        (
            V2_HOME,
            "0::/a/b/c\n",
            {
                "sys/fs/cgroup/a/cpu.max": "250000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "700000 100000",
                "sys/fs/cgroup/a/b/c/cpu.max": "max 100000",
            },
            2,
        ),
        (V2_HOME, "0::/\n", {"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        (V2_HOME, "0::/a\n", {"sys/fs/cgroup/a/cpu.max": "max 100000"}, 0),
        (V2_HOME, "0::/a\n", {"sys/fs/cgroup/a/cpu.max": "nonsense"}, 0),
        (V2_HOME, "", {"sys/fs/cgroup/cpu.max": "200000 100000"}, 0),
        ("", "0::/a\n", {"sys/fs/cgroup/a/cpu.max": "200000 100000"}, 0),
        # A container that sees its own group as the mount point.
        (
            V2.format(group="/docker/x", point="/sys/fs/cgroup"),
            "0::/docker/x/inner\n",
            {"sys/fs/cgroup/inner/cpu.max": "400000 100000"},
            4,
        ),
        (
            V2.format(group="/../other", point="/cg"),
            "0::/../../up\n",
            {"cg/cpu.max": "400000 100000"},
            4,
        ),
        (
            V1_HOME,
            "9:cpuset:/\n4:cpu,cpuacct:/a/b:c\n",
            {
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "500000",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/cpu/a/b:c/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/a/b:c/cpu.cfs_period_us": "100000",
            },
            5,
        ),
        # Both versions at once.
        (
            V1_HOME + V2.format(group="/", point="/sys/fs/cgroup/unified"),
            "4:cpu:/a\n0::/b\n",
            {
                "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "500000",
                "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
                "sys/fs/cgroup/unified/b/cpu.max": "200000 100000",
            },
            2,
        ),
        # mountinfo writes spaces and backslashes by their numbers; /proc/self/cgroup does not.
        (
            V2.format(group="/", point="/mnt/my\\040groups"),
            "0::/a\n",
            {"mnt/my groups/a/cpu.max": "200000 100000"},
            2,
        ),
        (
            V2.format(group="/a\\134x2db.slice", point="/cg"),
            "0::/a\\x2db.slice/inner\n",
            {"cg/inner/cpu.max": "200000 100000"},
            2,
        ),
        # Mounts that show others' groups, or one below the own.
        (
            V2_HOME + V2.format(group="/other", point="/mnt/other"),
            "0::/me\n",
            {
                "sys/fs/cgroup/me/cpu.max": "800000 100000",
                "mnt/other/cpu.max": "100000 100000",
            },
            8,
        ),
        (
            V2_HOME + V2.format(group="/me/child", point="/mnt/child"),
            "0::/me\n",
            {
                "sys/fs/cgroup/me/cpu.max": "800000 100000",
                "mnt/child/cpu.max": "100000 100000",
            },
            8,
        ),
        # The names of groups may begin alike, or with two points.
        (
            V2.format(group="/foo", point="/cg") + V2.format(group="/", point="/all"),
            "0::/foobar\n",
            {"cg/cpu.max": "100000 100000", "all/foobar/cpu.max": "300000 100000"},
            3,
        ),
        (V2.format(group="/foo", point="/cg"), "0::/foobar\n", {"cg/cpu.max": "1000 1000"}, 0),
        (V2.format(group="/../..", point="/cg"), "0::/\n", {"cg/cpu.max": "3000 1000"}, 3),
        (V2_HOME, "0::/..foo\n", {"sys/fs/cgroup/..foo/cpu.max": "200000 100000"}, 2),
        # More cores than a number of threads has room for.
        (V2_HOME, "0::/a\n", {"sys/fs/cgroup/a/cpu.max": "4294967297000 1000"}, 2**32 - 1),
    ],
)
def test_quotas_of_control_groups(mounts, groups, quotas, cores, tmp_path):
    assert _core.quota_cores(a_system(tmp_path, mounts, groups, quotas)) == cores


@linux
@given(st.text(max_size=200), st.text(max_size=100), st.text(max_size=20))
def test_whatever_the_systems_files_hold(tmp_path_factory, mounts, groups, quota):
    root = tmp_path_factory.mktemp("system", numbered=True)
    files = {"sys/fs/cgroup/cpu.max": quota}
    text = (mounts + "\n" + V2_HOME).encode("utf-8", "replace").decode()
    groups = ("0::/\n" + groups).encode("utf-8", "replace").decode()
    files = {k: v.encode("utf-8", "replace").decode() for k, v in files.items()}
    assert _core.quota_cores(a_system(root, text, groups, files)) >= 0


UNLIMITED_V1 = str(2**63 - 4096)
V1_MEMORY = "31 23 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


@linux
@pytest.mark.parametrize(
    ("mounts", "groups", "limits", "there"),
    [
        (V2_HOME, "0::/a/b\n", {"sys/fs/cgroup/a/memory.max": "1000000"}, 1e6),
        (
            V2_HOME,
            "0::/a/b\n",
            {"sys/fs/cgroup/a/memory.max": "max", "sys/fs/cgroup/a/b/memory.max": "2000000"},
            2e6,
        ),
        (
            V1_HOME + V1_MEMORY,
            "4:memory:/a\n1:cpu,cpuacct:/b\n",
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "3000000",
                "sys/fs/cgroup/cpu/b/memory.limit_in_bytes": "1000000",
            },
            3e6,
        ),
        (V1_MEMORY, "4:memory:/\n", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "-5"}, None),
        (V2_HOME, "0::/a\n", {"sys/fs/cgroup/a/memory.max": "max"}, None),
        (V2_HOME, "0::/a\n", {"sys/fs/cgroup/a/memory.max": "inf"}, None),
        ("", "", {}, None),
    ],
)
def test_limits_of_memory(mounts, groups, limits, there, tmp_path):
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert machine.memory(a_system(tmp_path, mounts, groups, limits)) == (there or whole)


def in_a_group(group, code):
    """Return what a process in a real control group prints."""
    enter = f"import os; open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
    done = subprocess.run(
        [sys.executable, "-c", enter + code], capture_output=True, text=True, timeout=120,
        check=False, env={k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@contextlib.contextmanager
def a_real_group(controller):
    """Give a control group of the system, within another, and the version of its hierarchy."""
    homes = {1: Path("/sys/fs/cgroup", controller), 2: Path("/sys/fs/cgroup")}
    there = [version for version, home in homes.items() if (home / "cgroup.procs").exists()]
    if not there:
        pytest.skip("no control groups here")
    version, home = there[0], homes[there[0]]
    outer = home / f"fastrelu-{os.getpid()}"
    inner = outer / "inner"
    try:
        try:
            inner.mkdir(parents=True)
            if version == 2:
                (outer / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError as error:
            pytest.skip(f"control groups cannot be made here: {error}")
        yield inner, version
    finally:
        for made in (inner, outer):
            with contextlib.suppress(OSError):
                made.rmdir()


@linux
def test_a_quota_of_a_real_control_group_is_kept_and_taken_back():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    with a_real_group("cpu") as (group, version):
        file = "cpu.cfs_quota_us" if version == 1 else "cpu.max"
        none, little = ("-1", "66000") if version == 1 else ("max 100000", "66000 100000")
        code = f"""
import time, fastrelu
def threads():
    time.sleep(2.1)  # the quotas are looked at again
    return fastrelu.get_num_threads()
print(threads() > 1)
for folder in {str(group)!r}, {str(group.parent)!r}:
    open(os.path.join(folder, {file!r}), "w").write({little!r})
    print(threads())
    open(os.path.join(folder, {file!r}), "w").write({none!r})
print(threads() > 1)
"""
        assert in_a_group(group, code) == ["True", "1", "1", "True"]


@linux
def test_the_memory_of_a_real_control_group():
    code = "from fastrelu import machine; print(machine.memory())"
    with a_real_group("memory") as (group, version):
        file = "memory.limit_in_bytes" if version == 1 else "memory.max"
        for folder, limit in ((group.parent, 2**30), (group, 2**29)):
            (folder / file).write_text(str(limit))
            assert in_a_group(group, code) == [str(float(limit))]
