# SPDX-License-Identifier: BSD-3-Clause
"""How many threads there are: the environment, affinity, and others' limits."""

import os
import subprocess
import sys

import pytest

import fastrelu

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own")


def in_new_process(code, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False,
        env=kept | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


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
        ({"FASTRELU_NUM_THREADS": " 5\t"}, "5"),
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
