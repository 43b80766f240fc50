# SPDX-License-Identifier: BSD-3-Clause
"""Processes that each look at a part of text files know what one that looks at all of them does."""

import io
import math
import os
import pickle
import threading
from collections import Counter

import pytest
from distributed_cases import raised

pytest.importorskip("pyarrow")
pytest.importorskip("click")
from data_files import write
from test_shared_runs import learned, settings_of
from test_streaming_text import content

from fastrelu.app.data.readers import ColumnChoice, read
from fastrelu.app.data.readers.files import Source
from fastrelu.app.data.stream import stream_of
from fastrelu.app.data.stream.text import TextStream, ends_of
from fastrelu.app.errors import DataError
from fastrelu.app.run.prepare import column_choice, prepare
from fastrelu.app.run.shared_rows import prepare_shared
from fastrelu.distributed import RankError, run_threads

BLOCK, HEAD, N = 200, 300, 120
MEMORY = 10**6


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of some lines, and heads that are not the whole of a small file."""
    for name in ("LEAST_BLOCK", "BLOCK"):
        monkeypatch.setattr(f"fastrelu.app.data.stream.text.{name}", BLOCK)
    for module in ("files", "text.files"):
        monkeypatch.setattr(f"fastrelu.app.data.readers.{module}.HEAD", HEAD)


def lines(header, row, n=N, end="\n", first=0):
    return end.join([header, *(row(i) for i in range(first, first + n))]) + end


def number(i):
    return f"{math.sin(i):.4f}"


def plain(i):
    return f"{number(i)},{i % 7},{i % 3}"


#: One file's text, or several, with the target y.
FILES = {
    "breaks in quotes": content(N),
    "carriage returns": content(N).replace("\n", "\r\n"),
    "old line ends": lines("x,c,y", plain, end="\r"),
    "decimal comma": lines("x;y", lambda i: f"{number(i).replace('.', ',')};{i % 3}"),
    "order of dates told late": lines("d,y", lambda i: f"{25 if i == N - 1 else i % 9 + 1:02d}/"
                                      f"{i % 12 + 1:02d}/2024,{i % 3}"),
    "few numbers, a text last": lines("x,c,y", lambda i: f"{i},{['', '5'][i == 3]},{i % 3}")
                                + "1,red,1\n",
    "numbers, then words": lines("x,c,y", lambda i: f"{i},{i / 8 if i < 40 else 'abc'[i % 3]},1"),
    "codes told late": lines("x,c,y", lambda i: f"{i},{i + 10 if i < N - 1 else '01'},{i % 3}"),
    "missing words": lines("x,c,y", lambda i: f"{['NA', number(i), '', '-', 'None'][i % 5]},"
                           f"{['red', 'NA', 'blue', '-'][i % 4]},{i % 3}"),
    "comments": lines("x,c,y", lambda i: plain(i) + ("\n# said here" if i % 11 == 4 else "")),
    "quotes inside": lines("x,c,y", lambda i: f'{i},5" pipe {i % 3},{i % 3}'),
    "padded": lines("x, c, y", lambda i: f'{i}, "a, {i % 4}" , {i % 3}'),
    "spaces": lines("x c y", lambda i: f"{number(i):>12}   {i % 4:4d}  {i % 3}"),
    "rows that are numbered": [lines(",x,y", lambda i: f"{i},{number(i)},{i % 3}")] * 2,
    "a mark, no last line end": "\ufeff" + lines("x,c,y", plain).rstrip(),
    "a long record": lines("x,c,y", lambda i: f'{i},"{"long " * (300 if i == 70 else 1)}",{i % 3}'),
    "several": [content(N, k) for k in range(3)],
    "several, sizes apart": [content(3), content(2 * N, 1), content(4, 2), content(2, 3)],
    "only a header beside": [lines("x,c,y", plain), "x,c,y\n", lines("x,c,y", plain, first=N)],
    "columns in another order": [lines("x,c,y", plain), lines("y,c,x", lambda i: f"{i % 3},1,2")],
    "no whole record for most": lines("x,c,y", plain, 9),
}  # fmt: skip
#: Text that is refused, by what is said of it.
REFUSED = {
    "line 122: expected 3 fields, as in the header, got 2": lines("x,c,y", plain) + "1,2\n",
    "line 122: target 'y': expected a number, got 'nan'": lines("x,c,y", plain) + "1,2,nan\n",
    "line 122: column 'x': expected a number, as in 120": lines("x,c,y", plain) + "oops,2,1\n",
    "line 123: not UTF-8 text": lines("x,c,y", plain).encode() + b"1,2,1\n1,\xff,1\n",
    "line 122: a NUL byte": lines("x,c,y", plain) + "1,\0,1\n",
    "line 122: not CSV: the quotes do not match": lines("x,c,y", plain) + '1,"2,1\n',
    "line 60: column 'd': expected a date": lines("d,y", lambda i: f"2024-{1 + 12 * (i == 58):02d}-"
                                                  f"{i % 28 + 1:02d},{i % 3}"),
    "line 120: column 'c': expected a number, as in 118": lines("x,c,y", lambda i: f"{i},"
                                                                f"{i if i < 118 else 'red'},1"),
    "'c' is text, but numeric in": [lines("x,c,y", plain), lines("x,c,y", lambda i: f"{i},red,1")],
    "1.csv: line 31: expected 3 fields": [lines("x,c,y", plain), lines("x,c,y", plain, 29) + "1\n"],
}  # fmt: skip


def written(folder, texts):
    texts = texts if isinstance(texts, list) else [texts]
    return [write(folder / f"{k}.csv", each) for k, each in enumerate(texts)]


def facts(stream):
    rows = [(each.rows.first, each.rows.n, each.rows.starts) for each in stream.text.files]
    strange = [sorted(each.rows.strange) for each in stream.text.files]
    columns = [
        (column.plain, column.nan_row, column.files, column.evidence)
        for column in stream.text.columns.values()
    ]
    reading = stream.reading.describe()
    return stream.n_rows, stream.chunks, stream.notes, stream.names, reading, rows, strange, columns


@pytest.mark.parametrize("label", FILES)
def test_what_one_process_knows(tmp_path, label):
    paths = written(tmp_path, FILES[label])
    choice = ColumnChoice("y")
    whole = read(paths, choice)
    one = facts(stream_of(paths, choice, MEMORY))
    assert (one[0], one[2], one[4]) == (whole.n_rows, whole.notes, whole.reading.describe())
    for size in (2, 3, 4, 9):
        every = run_threads(size, lambda comm: facts(stream_of(paths, choice, MEMORY, comm)))
        assert every == [one] * size


@pytest.mark.parametrize("says", REFUSED)
def test_the_error_of_one_process(tmp_path, says):
    paths = written(tmp_path, REFUSED[says])
    choice = ColumnChoice("y")
    with pytest.raises(DataError) as one:
        read(paths, choice)
    assert says in str(one.value)
    for size in (2, 4):
        found = raised(lambda comm: stream_of(paths, choice, MEMORY, comm), size)
        assert [(type(each), str(each)) for each in found] == [(DataError, str(one.value))] * size


def test_a_file_that_one_process_cannot_read_is_told_with_its_rank(tmp_path, monkeypatch):
    paths = written(tmp_path, [lines("x,c,y", plain)] * 2)
    begin = TextStream._gather_along

    def look(stream, comm):
        if comm.rank == 1:
            file = stream.text.files[1]
            monkeypatch.setattr(file.source, "_plain", lambda: open(tmp_path / "nowhere", "rb"))
        begin(stream, comm)

    monkeypatch.setattr(TextStream, "_gather_along", look)
    found = raised(lambda comm: stream_of(paths, ColumnChoice("y"), MEMORY, comm), 2)
    assert isinstance(found[0], RankError) and "rank 1: " in str(found[0])
    assert isinstance(found[1], DataError) and "1.csv: no such file" in str(found[1])


@pytest.mark.parametrize("what", ["list", "size", "hash of the beginning"])
def test_other_files_on_another_process_are_told(tmp_path, what):
    """They look at other folders here, as on another machine."""
    here, there = tmp_path / "here", tmp_path / "there"
    texts = [lines("x,c,y", plain)] * 2
    others = {
        "list": texts[:1],
        "size": [texts[0], lines("x,c,y", plain, N - 1)],
        "hash of the beginning": [lines("x,d,y", plain)] * 2,
    }
    streams = []
    for folder, some in ((here, texts), (there, others[what])):
        folder.mkdir()
        streams.append(TextStream(written(folder, some), ColumnChoice("y"), MEMORY))
        for file in streams[-1].text.files:
            file.source.path = os.path.basename(file.source.path)
    for each in raised(lambda comm: streams[comm.rank].look(comm), 2):
        assert isinstance(each, DataError)
        assert f"the processes of mpiexec have read different data: the {what}" in str(each)


def test_models_are_those_of_one_process(tmp_path):
    paths = written(tmp_path, [content(N, k) for k in range(2)])
    settings = settings_of(str(tmp_path / "*.csv"), {"target": "y", "weights": "w"})
    alone = learned(prepare(read(paths, column_choice(settings)), settings))
    for size in (2, 3, 4):
        every = run_threads(size, lambda comm: learned(prepare_shared(comm, settings)))
        assert every == [alone] * size


class Spy(io.BufferedReader):
    """A file that notes how much each thread reads of it."""

    def __init__(self, path, noted):
        super().__init__(io.FileIO(path))
        self.path, self.noted = path, noted

    def read(self, size=-1):
        data = super().read(size)
        self.noted.setdefault(threading.get_ident(), Counter())[self.path] += len(data)
        return data


def bytes_of_ranks(size, work, monkeypatch):
    """The bytes that each of some ranks reads of each file."""
    noted = {}
    monkeypatch.setattr(Source, "_plain", lambda source: Spy(source.path, noted))

    def run(comm):
        noted[threading.get_ident()] = Counter()
        comm.gather(None)  # all threads are there: no number is that of two
        work(comm)
        comm.gather(None)
        return noted[threading.get_ident()]

    return run_threads(size, run)


HEADS = 3 * HEAD + 20  # of a file: for its format, for its kind of text, and for the dialect


@pytest.mark.parametrize("size", [2, 3, 4])
def test_each_process_reads_its_part_alone(tmp_path, monkeypatch, size):
    paths = written(tmp_path, [lines("x,c,y", plain, 4000, first=k) for k in range(2)])
    lengths = [os.path.getsize(path) for path in paths]
    total, choice = sum(lengths), ColumnChoice("y")
    look = bytes_of_ranks(size, lambda comm: stream_of(paths, choice, MEMORY, comm), monkeypatch)
    for rank, read_of in enumerate(look):
        assert sum(read_of.values()) <= total / size + len(paths) * HEADS + 2 * BLOCK
        begins, ends = total * rank / size, total * (rank + 1) / size
        for path, first, length in zip(paths, (0, lengths[0]), lengths, strict=True):
            there = first < ends and begins < first + length
            assert there or read_of[path] <= HEADS
    assert sum(map(Counter.total, look)) >= total
    settings = settings_of(str(tmp_path / "*.csv"), {"target": "y"})
    every = bytes_of_ranks(size, lambda comm: prepare_shared(comm, settings), monkeypatch)
    for read_of in every:  # once to know what the columns are, once for the values
        assert sum(read_of.values()) <= 2 * total / size + len(paths) * HEADS + 5 * BLOCK


def test_bounds_of_the_parts():
    assert ends_of([10, 20, 30], 1, 0) == [math.inf] * 3
    assert [ends_of([10, 20, 30], 3, k) for k in range(3)] == [
        [math.inf, 10, 0], [math.inf, math.inf, 10], [math.inf] * 3
    ]  # fmt: skip
    assert ends_of([3], 5, 0) == [1] and ends_of([3], 5, 3) == [math.inf]


def test_what_is_passed_along_is_small(tmp_path):
    """Many different texts, and many blocks."""
    row = lambda i: f"id{i},{i}/7 of {i},{number(i)},{i % 3}"  # noqa: E731
    paths = written(tmp_path, lines("id,odd,x,y", row, 3000))
    stream = TextStream(paths, ColumnChoice("y"), MEMORY, keep=False)
    for column in stream.text.columns.values():
        column.keep = False
    progress = stream.text.begin(stream.text.columns)
    stream.text.go_on(progress, 1 << 14, None, [math.inf])
    assert progress.n_rows == 3000 and len(pickle.dumps(progress)) < 10_000
