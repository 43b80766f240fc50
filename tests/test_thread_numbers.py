# SPDX-License-Identifier: BSD-3-Clause
"""How many threads there are: the environment, affinity, quotas, and others' limits."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastrelu
from fastrelu import _core

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")
V1 = "31 23 0:28 {group} {point} rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "40 23 0:37 {group} {point} rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
OTHER = "32 23 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\nbroken line\n"


def in_new_process(code, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False,
        env=kept | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


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


@linux
def test_affinity_narrowed_later_is_noticed():
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    found = in_new_process(
        """
import os, numpy as np, fastrelu
X, net = np.ones((4000, 64), "f4"), fastrelu.Network([64, 256, 256, 4])
net(X)
before, one = fastrelu.get_num_threads(), min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {one})
print(before > 1, fastrelu.get_num_threads())
fastrelu.set_num_threads(3)  # more than cores: they stay on those that the caller may use
net(X)
print({frozenset(os.sched_getaffinity(int(t))) for t in os.listdir("/proc/self/task")
       if open(f"/proc/self/task/{t}/comm").read()} == {frozenset({one})})
""",
        OPENBLAS_NUM_THREADS="1",
    )
    assert found == ["True", "1", "True"]


@pytest.mark.parametrize(
    ("environment", "threads"),
    [
        ({"OMP_NUM_THREADS": "3"}, "3"),
        ({"OMP_NUM_THREADS": "3,2"}, "3"),
        ({"OMP_NUM_THREADS": "3", "FASTRELU_NUM_THREADS": "5"}, "5"),
        ({"OMP_NUM_THREADS": "many"}, None),
        ({"OMP_NUM_THREADS": "0"}, None),
        ({"OMP_NUM_THREADS": ""}, None),
    ],
)
def test_the_environment(environment, threads):
    code = "import fastrelu; print(fastrelu.get_num_threads())"
    assert in_new_process(code, **environment) == ([threads] if threads else in_new_process(code))


LIMITS = """
{first}
{second}
net, X = fastrelu.Network([64, 256, 256, 4]), np.ones((4000, 64), "f4")
before = fastrelu.get_num_threads()
with threadpoolctl.threadpool_limits(1):
    print(fastrelu.get_num_threads(), end=" ")
    net(X)
    print(len(os.listdir("/proc/self/task")), end=" ")
with threadpoolctl.threadpool_limits(7, user_api="fastrelu"):
    print(fastrelu.get_num_threads(), end=" ")
with threadpoolctl.threadpool_limits(1, user_api="blas"):
    print(fastrelu.get_num_threads() == before, end=" ")
print(fastrelu.get_num_threads() == before, end=" ")
own = [info for info in threadpoolctl.threadpool_info() if info["internal_api"] == "fastrelu"]
print(len(own), own[0]["num_threads"] == before, own[0]["version"] == fastrelu.__version__)
"""


@linux
@pytest.mark.parametrize("order", [0, 1])
def test_threadpoolctl_limits_the_core(order):
    pytest.importorskip("threadpoolctl")
    lines = ["import os, numpy as np, fastrelu", "import threadpoolctl"]
    first, second = lines[order], lines[1 - order]
    found = in_new_process(LIMITS.format(first=first, second=second), OPENBLAS_NUM_THREADS="1")
    assert found == ["1", "1", "7", "True", "True", "1", "True", "True"]


AFFINITY_INSIDE = """
import os, fastrelu, threadpoolctl, time
cores = sorted(os.sched_getaffinity(0))[:2]
for first, then in ((cores, cores[:1]), (cores[:1], cores)):
    os.sched_setaffinity(0, first)
    with threadpoolctl.threadpool_limits(1):
        os.sched_setaffinity(0, then)
    print(fastrelu.get_num_threads(), end=" ")
"""


@linux
def test_cores_may_change_while_threadpoolctl_limits_the_core():
    pytest.importorskip("threadpoolctl")
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    assert in_new_process(AFFINITY_INSIDE) == ["1", "2"]


@linux
@pytest.mark.parametrize("name", ["FASTRELU_NUM_THREADS", "OMP_NUM_THREADS"])
@pytest.mark.parametrize("value", ["many", "1", "3"])
def test_the_environment_may_change_after_the_import(name, value):
    """A limit is kept, and what was said before is there again after it."""
    pytest.importorskip("threadpoolctl")
    found = in_new_process(f"""
import os, fastrelu, threadpoolctl
before = fastrelu.get_num_threads()
os.environ["{name}"] = "{value}"
with threadpoolctl.threadpool_limits(1):
    print(fastrelu.get_num_threads(), end=" ")
print(fastrelu.get_num_threads() == before)
""")
    assert found == ["1", "True"]


@linux
def test_a_bad_environment_does_not_end_what_limits_threads():
    """Seen first by threadpoolctl, whose calls of the core are plain C."""
    pytest.importorskip("threadpoolctl")
    found = in_new_process("""
import fastrelu, threadpoolctl
with threadpoolctl.threadpool_limits(1):
    print(fastrelu.get_num_threads(), end=" ")
try:
    fastrelu.get_num_threads()
except ValueError as error:
    print("FASTRELU_NUM_THREADS" in str(error))
""", FASTRELU_NUM_THREADS="many")  # fmt: skip
    assert found == ["1", "True"]


@linux
def test_without_threadpoolctl_nothing_changes():
    assert in_new_process("""
import fastrelu, sys
try:
    sys.path_hooks.clear(); sys.path_importer_cache.clear()
    import threadpoolctl
except ImportError:
    print("none", [f for f in sys.meta_path if type(f).__name__ == "_Watch"])
""") == ["none", "[]"]


def test_a_worker_of_loky_takes_one_thread():
    loky = pytest.importorskip("joblib.externals.loky")
    executor = loky.get_reusable_executor(max_workers=1, env={"OMP_NUM_THREADS": ""})
    assert executor.submit(fastrelu.get_num_threads).result() == 1
    executor.shutdown(wait=True)
    executor = loky.get_reusable_executor(max_workers=1, env={"FASTRELU_NUM_THREADS": "3"})
    assert executor.submit(fastrelu.get_num_threads).result() == 3
    executor.shutdown(wait=True)
