# SPDX-License-Identifier: BSD-3-Clause
"""Kills, full and failing disks, and no memory: docs/reliability.md names these tests.

FASTRELU_FAULTS=9 tries nine places in each sweep instead of one, and every kind of run.
"""

import errno
import os
import signal
import subprocess
import sys
import traceback

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("click")
from command_tools import result_of, run

import fastrelu

PLACES = int(os.environ.get("FASTRELU_FAULTS", "1"))
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# Kills


def in_a_child(work):
    """How a forked process ended that did this work and nothing else."""
    child = os.fork()
    if child == 0:
        status = 99
        try:
            signal.alarm(100)
            status = work() or 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def spread(n, places):
    """Numbers from 1 to n, about so many."""
    return sorted({1 + round((n - 1) * (k + 0.6) / (places + 0.2)) for k in range(places)})


def write_rows(folder, rng):
    import pyarrow as pa
    from pyarrow import parquet

    X = rng.normal(size=(30_000, 4)).astype(np.float32)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    np.savez(folder / "rows.npz", X=X[:1000], y=y[:1000])
    table = pa.table({f"x{j}": X[:, j].astype(float) for j in range(4)} | {"y": y})
    parquet.write_table(table, folder / "many.parquet", row_group_size=3000)
    parquet.write_table(table[:500], folder / "few.parquet")


SMALL = ("--epochs", 4, "--hidden", 4, "--checkpoint-every", "1e", "--threads", 1)
RUNS = {
    "plain": ("rows.npz", *SMALL),
    "streamed": ("many.parquet", "--target", "y", "--memory", "2MB", *SMALL),
    "search": ("rows.npz", "--search", "--candidates", 3, *SMALL),
    "seeds": ("rows.npz", "--seeds", 3, *SMALL),
    "recipe": ("few.parquet", "--target", "y", "--preset", "fast", "--threads", 1),
}


@needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("name", RUNS if PLACES > 1 else ["streamed", "search"])
def test_a_killed_run_goes_on_to_the_same_bits(name, tmp_path, rng, monkeypatch):
    """Killed when a file is written and not yet renamed, or its folder not yet synchronised."""
    write_rows(tmp_path, rng)
    data, *flags = RUNS[name]
    real, left = os.fsync, [0]

    def fsync(handle):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    whole = run("train", tmp_path / data, *flags, "--out", tmp_path / "whole")
    assert whole.exit_code == 0, whole.output
    assert ("read in blocks of" in whole.output) == (name == "streamed")
    writes = -left[0]
    for place in spread(writes, PLACES):
        out = tmp_path / f"killed{place}"

        def work(place=place, out=out):
            left[0] = place
            return run("train", tmp_path / data, *flags, "--out", out).exit_code

        assert in_a_child(work) == -signal.SIGKILL
        left[0] = 0
        done = run("train", "--resume", out)
        assert done.exit_code == 0, done.output
        assert result_of(out) == result_of(tmp_path / "whole")


@needs_fork
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_killed_population_goes_on_to_the_same_bits(tmp_path, rng, monkeypatch):
    X = rng.normal(size=(2000, 3))
    configs = [{"layer_sizes": [3, n, n, 3], "seed": n, "dropout": 0.1} for n in (20, 30, 50)]
    path, real = tmp_path / "population", os.fsync

    def fit(population):
        return population.fit(X, X, 25, checkpoint=path, checkpoint_seconds=0)

    def fit_from_the_beginning():
        population = fastrelu.Population(configs)
        population.save_checkpoint(path)
        return fit(population)

    whole = fastrelu.Population(configs)
    fit(whole)
    # The third is at the latest that of the last file; how many there are between is the clock's.
    for place in range(3, 3 + 2 * PLACES, 2):
        left = [place]

        def fsync(handle, left=left):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        ended = in_a_child(lambda: fit_from_the_beginning() and 0)
        assert ended == -signal.SIGKILL or (place > 3 and ended == 0)
        monkeypatch.undo()
        again = fastrelu.Population.from_checkpoint(path)
        fit(again)
        for one, other in zip(whole.networks, again.networks, strict=True):
            assert one.parameters.tobytes() == other.parameters.tobytes()


# Disks


def savers():
    net = fastrelu.Network([3, 40, 2], seed=1)
    trainer = fastrelu.Trainer(net, optimizer="adam")
    trainer.step(np.ones((2, 3)), np.ones((2, 2)))
    population = fastrelu.Population([{"layer_sizes": [3, 40, 2]}] * 2)
    return {
        "save": net.save,
        "save_checkpoint": trainer.save_checkpoint,
        "population": population.save_checkpoint,
        "ensemble": fastrelu.Ensemble([net, net.copy()]).save,
        "to_c": net.to_c,
        "to_cpp": net.to_cpp,
        "to_milp": lambda path: net.to_milp(path, [[-1, 1]] * 3),
    }


def failing(number):
    def fails(*arguments, **options):
        raise OSError(number, os.strerror(number))

    return fails


class HalfADisk:
    """A file that takes no more than some bytes."""

    def __init__(self, file, number):
        self.file, self.number = file, number

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        self.file.write(data[:100])
        self.file.flush()
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("call", ["fdopen", "fsync", "replace", "chmod"])
@pytest.mark.parametrize("name", savers())
def test_a_failing_disk_leaves_the_old_file(name, call, tmp_path, monkeypatch):
    """Whatever it is that fails: the write, the synchronisation, the change of name."""
    path, save = tmp_path / "file", savers()[name]
    save(path)
    before, real = path.read_bytes(), getattr(os, call)
    for number in (errno.ENOSPC, errno.EIO, errno.EDQUOT):
        with monkeypatch.context() as patch:
            if call == "fdopen":
                patch.setattr(os, call, lambda *a, n=number, **k: HalfADisk(real(*a, **k), n))
            else:
                patch.setattr(os, call, failing(number))
            with pytest.raises(OSError, match=os.strerror(number)) as caught:
                save(path)
        assert caught.value.errno == number
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["file"]


@needs_fork
def test_a_file_of_a_limited_size(tmp_path):
    """The system's own refusal: a limit on the size of files, which is met in mid-write."""
    import resource

    path, net = tmp_path / "file", fastrelu.Network([30, 100, 2])
    net.save(path)
    before = path.read_bytes()

    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
        net.parameters[:] = 1
        try:
            net.save(path)
        except OSError as error:
            return error.errno
        return 0

    assert in_a_child(work) == errno.EFBIG
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


# Memory

# Each kind of work in a child of its own for each limit of the address space: it succeeds or raises
# MemoryError, and afterwards, with memory again, it gives the bits that it should.
SWEEP = """
import hashlib, os, resource, signal, sys
import numpy as np
from scipy import sparse
import fastrelu
from fastrelu import training
from fastrelu.app.data.readers import read
folder, places = sys.argv[1], int(sys.argv[2])
X = (np.arange(20000 * 30).reshape(20000, 30) % 97 / 64 - 0.75)  # of another dtype: copied
net = fastrelu.Network([30, 64, 64, 4], seed=3)
net.save(folder + "/net")
wide = fastrelu.Network([30, 600, 600, 4], seed=3)  # its file does not fit into what is left
np.savez(folder + "/rows.npz", X=X, y=X[:, 0])
with open(folder + "/rows.csv", "w") as file:
    file.write("a,b,y\\n" + "".join(f"{i / 7},word{i % 300},{i % 5}\\n" for i in range(20000)))

by_rows = sparse.csr_matrix((np.ones(10**5, "f"), np.arange(10**5) % 30, np.arange(10**5 + 1)))
by_columns = by_rows.tocsc()
by_rows.indices = np.repeat(by_rows.indices, 2)[::2]  # copied, as what does not lie in a row
positions, values = np.ones((10**5, 2), np.int32), np.zeros((10**5, 2), "f")

def fit():
    made = net.copy()
    fastrelu.Trainer(made, batch_size=512).fit(X, X[:, :4], 1)
    return made.parameters.tobytes()

def predict():
    return net(X).tobytes()

def gradients():
    return net.per_sample_gradients(X[:500], X[:500, :4]).tobytes()

def population():
    made = fastrelu.Population([{"layer_sizes": [30, 16, 1], "seed": k} for k in range(4)])
    made.fit(X, X[:, 0], 1)
    return b"".join(n.parameters.tobytes() for n in made.networks)

def load():
    return fastrelu.load(folder + "/net").parameters.tobytes()

def save():
    wide.save(folder + "/saved")
    with open(folder + "/saved", "rb") as file:
        return file.read()

def checkpoint():
    fitted = fastrelu.Trainer(wide, optimizer=fastrelu.Adam(1e-3))
    fitted.save_checkpoint(folder + "/checkpoint")
    with open(folder + "/checkpoint", "rb") as file:
        return file.read()

def sparse_rows():
    return net(by_rows).tobytes() + net(by_columns).tobytes()

def encoded_rows():
    rows = fastrelu.EncodedRows([3, 4], [True, True], positions, values)
    return fastrelu.Network([7, 5, 1], seed=1)(rows).tobytes()

def regions():
    small = fastrelu.Network([2, 40, 40, 1], seed=1)
    return small.linear_regions((-1, 1, -1, 1)).areas.tobytes()

def text():
    return repr(read([folder + "/rows.csv"]).n_rows).encode()

def arrays():
    table = read([folder + "/rows.npz"])
    return training.fit_inputs(table, np.arange(100)).transform(table, np.arange(20000)).tobytes()

WORK = (fit, predict, gradients, population, load, save, checkpoint, sparse_rows, encoded_rows,
        regions, text, arrays)
expected = {work: hashlib.sha256(work()).digest() for work in WORK}
warnings = __import__("warnings")
warnings.simplefilter("ignore")
refused = {work.__name__: 0 for work in WORK}
for work in WORK:
    for place in range(places):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            more = int(65536 * 512 ** (place / places))
            resource.setrlimit(resource.RLIMIT_AS, (used + more, hard))
            status = 3
            try:
                status = 0 if hashlib.sha256(work()).digest() == expected[work] else 1
            except MemoryError:
                status = 2
            except BaseException as error:
                resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
                import traceback
                traceback.print_exc()
                os._exit(3)
            resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
            if hashlib.sha256(work()).digest() != expected[work]:
                status = 4
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, 2):
            sys.exit(f"{work.__name__} with {place} of {places}: {status}")
        refused[work.__name__] += status == 2
print(refused)
"""

# What is freed goes back to the system, and no other thread's heap is there to take from.
MALLOC = {
    "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit of the address space")
def test_no_memory_is_a_memory_error(tmp_path):
    """Or it is enough: whatever is refused, a process goes on with the same bits."""
    done = subprocess.run(
        [sys.executable, "-c", SWEEP, str(tmp_path), str(4 * PLACES)],
        capture_output=True, text=True, timeout=3000, check=False,
        env=os.environ | MALLOC,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert sum(eval(done.stdout).values()) > 4, done.stdout


@pytest.mark.parametrize("name", savers())
def test_no_memory_of_the_system_in_a_save_is_a_memory_error(name, tmp_path, monkeypatch):
    """It was an OSError, as of a disk, whose number alone told what was lacking."""
    path, save = tmp_path / "file", savers()[name]
    save(path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", failing(errno.ENOMEM))
    with pytest.raises(MemoryError, match=r"path: there is not enough memory to write .*file"):
        save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("call", ["os.fsync", "tempfile.TemporaryFile", "os.open"])
def test_no_memory_of_the_system_ends_the_command_with_1(call, tmp_path, rng, monkeypatch):
    """It was said to be a file that cannot be written, with exit status 5."""
    write_rows(tmp_path, rng)
    monkeypatch.setattr(call, failing(errno.ENOMEM))
    result = run("train", tmp_path / "rows.npz", *SMALL, "--out", tmp_path / "out")
    assert result.exit_code == 1, result.output
    assert "memory" in result.stderr.splitlines()[-1]
    assert result.stderr.count("error: ") == 1


@pytest.mark.parametrize(
    ("told", "status"),
    [("malloc of size 8192 failed", 1), ("std::bad_alloc", 1), ("malloc of size 9" + "0" * 15, 3)],
)
def test_no_memory_for_a_parquet_file(told, status, tmp_path, rng, monkeypatch):
    """It was an error of the data whatever was asked for; a damaged size asks for more than any."""
    from fastrelu.training import DataError, read

    def no_memory(*arguments, **options):
        raise MemoryError(told)

    write_rows(tmp_path, rng)
    monkeypatch.setattr("pyarrow.parquet.ParquetFile.read", no_memory)
    with pytest.raises(DataError) as caught:
        read(tmp_path / "few.parquet")
    assert isinstance(caught.value, MemoryError) == (status == 1)
    result = run("train", tmp_path / "few.parquet", "--target", "y", *SMALL)
    assert result.exit_code == status, result.output
    assert "takes more memory than there is" in result.stderr.splitlines()[-1]


def test_no_memory_for_an_onnx_file_is_a_memory_error(tmp_path, monkeypatch):
    """protobuf says of it that it cannot serialize."""
    helper = pytest.importorskip("onnx").helper
    from google.protobuf.message import EncodeError

    def no_memory(*arguments, **options):
        raise EncodeError("Failed to serialize proto")

    monkeypatch.setattr(helper, "make_graph", no_memory)
    with pytest.raises(MemoryError, match="not enough memory for the ONNX file"):
        fastrelu.Network([2, 3, 1]).to_onnx(tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_a_panic_of_safetensors_is_a_memory_error(tmp_path, monkeypatch):
    """It panics where there is no memory for an array that it reads, which is no Exception."""

    class PanicException(BaseException):
        pass

    def panic(*arguments, **options):
        raise PanicException("PyObject pointer is null")

    fastrelu.Network([2, 3, 1]).save(tmp_path / "net")
    monkeypatch.setattr("safetensors.safe_open", panic)
    with pytest.raises(MemoryError, match=r"path: there is not enough memory for .*net"):
        fastrelu.load(tmp_path / "net")
