# SPDX-License-Identifier: BSD-3-Clause
"""What a training asks of those who take part in it: the communicator, and its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

__all__ = ["Communicator", "OverlappingCommunicator", "RankError", "as_communicator"]

T = TypeVar("T")


class RankError(RuntimeError):
    """Another rank of a training has failed or stopped, so that this one cannot go on.

    Parameters
    ----------
    text : str
        What has happened there.
    rank : int
        Where.
    exit_code : int
        The exit status of a program that ends because of it.
    """

    def __init__(self, text: str, rank: int, exit_code: int = 1) -> None:
        super().__init__(text)
        self.rank, self.exit_code = rank, exit_code


class Communicator(Protocol):
    """Ranks 0 to size - 1, each a process (or a thread) with a run of the shards.

    All methods are collective: every rank calls the same ones in the same order.

    One that exchanges gradients behind the backward pass has more: `OverlappingCommunicator`.

    Attributes
    ----------
    rank : int
        The number of this rank.
    size : int
        The number of ranks.
    """

    @property
    def rank(self) -> int:
        """The number of this rank."""
        ...

    @property
    def size(self) -> int:
        """The number of ranks."""
        ...

    def broadcast(self, value: T) -> T:
        """Return rank 0's value, on every rank; it can be pickled."""
        ...

    def gather(self, value: T) -> list[T]:
        """Return the value of every rank, in the order of ranks, on every rank."""
        ...

    def trade(self, values: Sequence[T]) -> list[T]:
        """Give each rank the value at its place, and return what each rank has given this one."""
        ...

    def gather_numbers(self, values: NDArray[Any], counts: Sequence[int]) -> None:
        """Complete the numbers of all ranks.

        Parameters
        ----------
        values : ndarray of float64, (sum(counts),)
            ``counts[r]`` numbers of each rank r, one rank after another. This rank's are there;
            the others' are put there.
        counts : sequence of int
            The same on every rank.
        """
        ...

    def sum_in_order(
        self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any], notes: NDArray[Any]
    ) -> None:
        """Sum the parts of all ranks, those of rank 0 first.

        Parameters
        ----------
        parts : ndarray of float32 or float64, (counts[rank], n)
            This rank's parts, in their order.
        counts : sequence of int
            The number of each rank's parts, the same on every rank; their sum is at least 1.
        total : ndarray, (n,)
            Becomes the first part, then that plus the second, and so on: the same bits on every
            rank, whatever `counts`.
        notes : ndarray of float64, (size, k)
            Row `rank` is this rank's; the others' are put there.
        """
        ...


class OverlappingCommunicator(Communicator, Protocol):
    """A communicator to which a step gives segments of its gradient as soon as they are there.

    The next `sum_in_order` is of the segment that is left, and returns when all are summed. A
    communicator without these, or whose `segment_bytes` is 0, is given the whole gradient at once.

    Attributes
    ----------
    segment_bytes : int
        The least size of a segment of one part, the same on every rank; the last may be smaller.
    """

    @property
    def segment_bytes(self) -> int:
        """The least size of a segment."""
        ...

    def begin_sum(self, parts: NDArray[Any], counts: Sequence[int], total: NDArray[Any]) -> None:
        """Begin to sum a segment, and return at once.

        Parameters
        ----------
        parts, counts, total
            As for `sum_in_order`, in use until that has returned or `abandon` has.
        """
        ...

    def abandon(self) -> None:
        """Give up the sums that have begun, after an error; not collective.

        When it returns, their arrays are no longer in use.
        """
        ...


def as_communicator(comm: Any) -> Communicator | None:
    """Return a communicator, or None where one process has all shards.

    Parameters
    ----------
    comm : None, Communicator or mpi4py.MPI.Comm
        What the user has given. The first call for one of MPI's is collective.

    Returns
    -------
    Communicator or None
        That, or one that uses it.

    Raises
    ------
    TypeError
        If it is none of these.

    Examples
    --------
    >>> from fastrelu.distributed import as_communicator
    >>> as_communicator(None) is None
    True
    """
    if comm is None:
        return None
    if type(comm).__module__.partition(".")[0] == "mpi4py":
        from fastrelu.distributed.mpi import MpiCommunicator

        found: Communicator = MpiCommunicator.of(comm)
    elif all(hasattr(comm, name) for name in ("rank", "size", "gather_numbers", "sum_in_order")):
        found = comm
    else:
        raise TypeError(
            "comm: expected None, a communicator of mpi4py such as MPI.COMM_WORLD, or a "
            f"fastrelu.distributed.Communicator, got {comm!r}"
        )
    return found if found.size > 1 else None


def differences(comm: Communicator, what: Mapping[str, Any]) -> str | None:
    """Return, on every rank, the first of these values that is not the same on all of them."""
    first, *others = comm.gather(dict(what))
    for rank, other in enumerate(others, 1):
        for name in {**first, **other}:
            if first.get(name) != other.get(name):
                return (
                    f"{name} is {_short(first.get(name))} on rank 0 and {_short(other.get(name))} "
                    f"on rank {rank}"
                )
    return None


def require_same(comm: Communicator, what: Mapping[str, Any]) -> None:
    """Raise ValueError on every rank, with what differs, unless all ranks have the same values."""
    found = differences(comm, what)
    if found is not None:
        raise ValueError(f"comm: expected the same on every rank, but {found}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else text[:100] + "..."


@contextmanager
def together(comm: Communicator, kinds: tuple[type[Exception], ...]) -> Iterator[None]:
    """Raise on every rank what the body has raised on one, so that none waits for it."""
    error: Exception | None = None
    try:
        yield
    except kinds as raised:
        error = raised
    found = comm.gather(None if error is None else _told(error))
    if error is not None:
        raise error
    for rank, other in enumerate(found):
        if other is not None:
            raise RankError(f"rank {rank}: {other[0]}", rank, other[1])


def traded(comm: Communicator, make: Callable[[], Sequence[T]]) -> list[T]:
    """Trade what `make` returns; what it raises on one rank is raised on every rank.

    It is `together` and `Communicator.trade` in one exchange, for those that are often.
    """
    error: BaseException | None = None
    given: list[tuple[tuple[str, int] | None, Any]]
    try:
        given = [(None, value) for value in make()]
    except (Exception, KeyboardInterrupt) as raised:
        error = raised
        given = [(_told(error), None)] * comm.size
    got = comm.trade(given)
    if error is not None:
        raise error
    for rank, (told, _) in enumerate(got):
        if told is not None:
            raise RankError(f"rank {rank}: {told[0]}", rank, told[1])
    return [value for _, value in got]


def _told(error: BaseException) -> tuple[str, int]:
    """Return what another rank says of an error, and the exit status of its program."""
    code = getattr(error, "exit_code", None)
    return (f"{type(error).__name__}: {error}", 1) if code is None else (str(error), int(code))
