# SPDX-License-Identifier: BSD-3-Clause
"""Many networks trained in one call, each to the bits that it would have alone."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastrelu import _core, _shared
from fastrelu._arguments import MatrixLike, real_number, whole_number
from fastrelu._members import files
from fastrelu._members.member import Member, as_member
from fastrelu._members.progress import MembersProgress
from fastrelu._members.rows import MemberRows
from fastrelu._members.run import MemberRun, run_members
from fastrelu._uncopied import Uncopied
from fastrelu.history import Callback, History, checked_callbacks
from fastrelu.network import Network
from fastrelu.optimizers import LearningRate

if TYPE_CHECKING:
    from fastrelu.distributed.communicator import Communicator
    from fastrelu.ensemble import Ensemble

__all__ = ["Member", "Population"]


class Population(Uncopied):
    """Many networks that are trained in one call, on one copy of the data.

    Every member ends in the bits that `Trainer.fit` gives for it alone, on any number of threads
    and any instruction set. Small networks that are alike (activations, loss, optimizer, batch
    size; their widths may differ) are trained side by side, one in each lane of the processor's
    vectors; the others run one to a thread, the longest first.

    Parameters
    ----------
    configs : sequence of dict
        What each member is. The keys are the arguments of `Network` (``layer_sizes``, which is
        needed, ``activation``, ``bias``, ``dtype``, ``init``, ``scale`` and ``seed``, that of the
        weights) and of `Trainer` (``loss``, ``optimizer``, ``batch_size``, ``clip_norm``,
        ``dropout``, ``input_scale_rate``, ``n_shards`` and ``shuffle_seed``, the trainer's seed).
        Further keys:

        - ``rows``: the numbers of the rows that it is trained on, which may repeat (bootstraps), or
          a mask; None for all.
        - ``validation_rows``: the same for the rows that it is evaluated on after each epoch.
        - ``sample_weight``: weights of its own for all rows, (n,).
        - ``epochs``, ``patience``: instead of those given to `fit`.
        - ``sampling``: as for `Trainer.fit`.
        - ``name``: a str of its own.
    check_finite : bool
        Whether infinities and NaN in X, y and sample_weight are refused.

    Attributes
    ----------
    members : list of Member
        The members, with their networks and trainers.
    networks : list of Network
        Their networks.

    Raises
    ------
    TypeError, ValueError, MemoryError
        If a configuration is not as described; the message names the member and the key.

    Examples
    --------
    >>> import numpy as np
    >>> import fastrelu
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> y = np.abs(X[:, 0]) - X[:, 1]
    >>> population = fastrelu.Population(
    ...     [{"layer_sizes": [3, width, 1], "seed": s} for width in (4, 8) for s in range(3)]
    ... )
    >>> histories = population.fit(X, y, epochs=20)
    >>> len(population), population.predict(X).shape
    (6, (6, 200, 1))
    >>> net = fastrelu.Network([3, 8, 1], seed=2)
    >>> alone = fastrelu.Trainer(net).fit(X, y, epochs=20)
    >>> bool((population.networks[5].parameters == net.parameters).all())
    True
    """

    def __init__(self, configs: Sequence[Mapping[str, Any]], *, check_finite: bool = True) -> None:
        if isinstance(configs, (str, bytes, Mapping)) or not isinstance(configs, Iterable):
            raise TypeError(f"configs: expected a list of dicts, got {type(configs).__name__}")
        with _core.DefaultFloatingPoint():
            members = [as_member(i, c, bool(check_finite)) for i, c in enumerate(configs)]
        self._take(members, unfinished=False)

    def _take(self, members: list[Member], unfinished: bool) -> None:
        if not members:
            raise ValueError("configs: expected at least one, got none")
        names: dict[str, int] = {}
        for member in members:
            if member.name and names.setdefault(member.name, member.index) != member.index:
                raise ValueError(
                    f"{member}: name: expected one of its own, got that of "
                    f"configs[{names[member.name]}]"
                )
        self.members = members
        self._unfinished = unfinished
        self._fitting = threading.Lock()

    @property
    def networks(self) -> list[Network]:
        """The networks of the members."""
        return [member.network for member in self.members]

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        shapes = {tuple(net.layer_sizes) for net in self.networks}
        return f"<fastrelu.Population of {len(self)} networks of {len(shapes)} shapes>"

    def fit(
        self,
        X: MatrixLike,
        y: ArrayLike,
        epochs: int = 10,
        *,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Any, ...] | None = None,
        patience: int | None = None,
        callbacks: Iterable[Callback] = (),
        progress: bool = False,
        checkpoint: Any = None,
        checkpoint_seconds: float = 60.0,
        client: Any = None,
        comm: Any = None,
    ) -> list[History]:
        """Train all members, each for `epochs` epochs.

        A fit that Ctrl-C has ended leaves every member between two steps. The next call goes on
        with it, to the same bits: `epochs` then counts from where the interrupted fit began.

        Parameters
        ----------
        X : array_like, sparse matrix or EncodedRows, (n, d_in)
            Rows. An array of the networks' dtype, or of uint8, is read in place; do not change it
            during the fit.
        y : array_like
            Targets, as for `Trainer.fit`.
        epochs : int
            The number of epochs of each member, unless its configuration has one.
        sample_weight : array_like, (n,), optional
            Weights of the rows, >= 0 with a positive sum.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            The rows on which members without ``validation_rows`` are evaluated after each epoch.
        patience : int, optional
            A member ends when its validation loss has not fallen for so many epochs; it then has
            the parameters with which that loss was lowest, also if its last epoch ends it.
        callbacks : iterable of callables
            Each is called as ``callback(member, record)`` after each epoch of each member, with a
            `Member` and an `EpochRecord`, by any thread but one at a time. If one returns something
            true, the member ends.
        progress : bool
            Whether to report on standard error: a table on a terminal where the package rich is
            installed, elsewhere a line a second.
        checkpoint : path-like, optional
            A file to which a checkpoint is written every so often, and at the end.
        checkpoint_seconds : float
            The seconds between two of them.
        client : distributed.Client, optional
            A Dask cluster whose workers train the members: the data are sent once to each worker,
            and what a lost worker had is done again on another. The result has the same bits. The
            members come back in parts, so that `callbacks` cannot be called meanwhile.
        comm : mpi4py.MPI.Comm or Communicator, optional
            Ranks that all make this call, with the same configurations and all rows: each trains
            some of the members, all then have all, with the same bits. Without `callbacks`,
            `checkpoint` and `client`.

        Returns
        -------
        list of History
            The course of each member, over the whole fit.

        Raises
        ------
        TypeError, ValueError
            If an argument, or what a member's configuration says of the data, does not fit; nothing
            has changed then. The message names the member and the key.
        KeyboardInterrupt
            On Ctrl-C.
        RuntimeError
            If another thread is using one of the networks, or a fit is running.

        Warns
        -----
        RuntimeWarning
            If members have diverged: they have ended with their last finite parameters, and their
            `Member.diverged` says where; the others are not touched.

        Examples
        --------
        Five folds, each with early stopping on the rows that it leaves out:

        >>> import numpy as np
        >>> import fastrelu
        >>> X = np.random.default_rng(0).normal(size=(100, 2))
        >>> y = np.maximum(X[:, 0], X[:, 1])
        >>> fold = np.arange(100) % 5
        >>> population = fastrelu.Population(
        ...     [
        ...         {"layer_sizes": [2, 8, 1], "rows": fold != k, "validation_rows": fold == k}
        ...         for k in range(5)
        ...     ]
        ... )
        >>> histories = population.fit(X, y, epochs=200, patience=5)
        >>> [len(h) <= 200 and min(h.val_loss) < 0.2 for h in histories]
        [True, True, True, True, True]
        """
        epochs = whole_number("epochs", epochs, 0)
        patience = None if patience is None else whole_number("patience", patience, 1)
        calls = checked_callbacks(callbacks)
        if calls and client is not None:
            raise ValueError("callbacks: expected none with a client, got some")
        ranks = _shared.ranks_of_members(comm, calls, checkpoint, client)
        every = real_number("checkpoint_seconds", checkpoint_seconds, 0.0)
        with self._alone(), _core.DefaultFloatingPoint():
            rows = MemberRows(X, y, sample_weight, validation_data)
            for member in self.members:
                self._check_patience(member, patience, validation_data)
            turn = threading.Lock()
            runs = [MemberRun(member, rows, calls, patience, turn) for member in self.members]
            for run in runs:
                run.begin(epochs, self._unfinished)
            self._unfinished = True
            if ranks is not None:
                self._run_on_ranks(ranks, runs, X, epochs, progress)
            elif client is None:
                self._run(runs, progress, checkpoint, every)
            else:
                sent = X, y, sample_weight, validation_data
                self._run_on_workers(client, sent, (epochs, patience), progress, checkpoint, every)
            self._unfinished = False
            if checkpoint is not None:
                self.save_checkpoint(checkpoint)
        self._warn_of_divergence()
        return [member.course.history for member in self.members]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Refuse a second fit, which would change where the members of the first one end."""
        if not self._fitting.acquire(blocking=False):
            raise RuntimeError("population: a fit is running on it")
        try:
            yield
        finally:
            self._fitting.release()

    @staticmethod
    def _check_patience(member: Member, patience: int | None, validation_data: Any) -> None:
        waits = member.patience if member.patience is not None else patience
        if waits is not None and member.validation_rows is None and validation_data is None:
            raise ValueError(
                f"{member}: patience: expected validation_rows, or validation_data, to watch, "
                "got neither"
            )

    def _run(self, runs: list[MemberRun], progress: bool, checkpoint: Any, every: float) -> None:
        """Run the core until all members have ended, with pauses for checkpoints."""
        members = self.members
        bar = MembersProgress(members, sum(m.epochs_left for m in members)) if progress else None
        made, ended_before = 0, sum(m.epochs_left == 0 for m in members)
        finished = False
        try:
            while not finished:
                pause_at = time.monotonic() + every if checkpoint is not None else None
                ended = sum(m.epochs_left == 0 for m in members) - ended_before

                def on_poll(
                    now_made: int, now_ended: int, made: int = made, ended: int = ended
                ) -> bool:
                    if bar is not None:
                        bar(made + now_made, ended + now_ended)
                    return pause_at is not None and time.monotonic() >= pause_at  # noqa: B023

                asked = on_poll if bar is not None or pause_at is not None else None
                open_runs = [run for run in runs if run.member.epochs_left > 0]
                finished, of_runs = run_members(open_runs, asked)
                made += of_runs
                if not finished:
                    self.save_checkpoint(checkpoint)
        finally:
            if bar is not None:
                bar.close(made, sum(m.epochs_left == 0 for m in members) - ended_before)

    def _run_on_workers(
        self,
        client: Any,
        rows: tuple[Any, Any, Any, Any],
        task: tuple[int, int | None],
        progress: bool,
        checkpoint: Any,
        every: float,
    ) -> None:
        """Have the workers of a cluster train the members, with checkpoints as they come back."""
        from fastrelu._members.workers import Task, run_on_workers

        left = [member for member in self.members if member.epochs_left > 0]
        epochs = sum(member.epochs_left for member in left)
        bar = MembersProgress(self.members, epochs) if progress else None
        saved = time.monotonic()

        def ended() -> None:
            nonlocal saved
            if bar is not None:
                still = [member.epochs_left for member in left]
                bar(epochs - sum(still), still.count(0))
            if checkpoint is not None and time.monotonic() >= saved + every:
                self.save_checkpoint(checkpoint)
                saved = time.monotonic()

        try:
            if left:
                run_on_workers(client, left, rows, Task(*task), ended)
        finally:
            if bar is not None:
                bar.close(epochs, sum(member.epochs_left == 0 for member in left))

    def _run_on_ranks(
        self, comm: Communicator, runs: list[MemberRun], X: Any, epochs: int, progress: bool
    ) -> None:
        """Train this rank's share of the members, and take over what the others have made."""
        from fastrelu._members.ranks import run_on_ranks
        from fastrelu._members.workers import n_rows_of
        from fastrelu.distributed.communicator import together

        def train(own: Sequence[Member]) -> None:
            mine = {id(member) for member in own}
            some = [run for run in runs if id(run.member) in mine]
            with together(comm, (Exception,)):
                if some:
                    self._run(some, progress and comm.rank == 0, None, 0.0)

        left = [run.member for run in runs if run.member.epochs_left > 0]
        if left:
            run_on_ranks(comm, left, n_rows_of(X), epochs, train)

    def _warn_of_divergence(self) -> None:
        diverged = [member for member in self.members if member.diverged is not None]
        if diverged:
            names = ", ".join(str(member) for member in diverged[:5])
            more = f" and {len(diverged) - 5} more" if len(diverged) > 5 else ""
            warnings.warn(
                f"{len(diverged)} of {len(self)} members have diverged: {names}{more}; "
                f"{diverged[0]}: {diverged[0].diverged}",
                RuntimeWarning,
                stacklevel=3,
            )

    def predict(self, X: MatrixLike) -> NDArray[Any]:
        """Return the outputs of all members: classes' probabilities where a loss is for classes.

        Parameters
        ----------
        X : array_like, sparse matrix or EncodedRows, (n, d_in)
            Rows.

        Returns
        -------
        ndarray, (members, n, d_out)
            What `Network.predict_proba` gives for the loss of each member.

        Raises
        ------
        TypeError, ValueError
            If X does not fit, or the members have different numbers of outputs.

        Examples
        --------
        >>> import fastrelu
        >>> population = fastrelu.Population([{"layer_sizes": [2, 1], "seed": s} for s in (1, 2)])
        >>> population.predict([[0.0, 0.0]]).tolist()
        [[[0.0]], [[0.0]]]
        """
        outputs = {net.layer_sizes[-1] for net in self.networks}
        if len(outputs) > 1:
            raise ValueError(
                f"X: expected members with the same number of outputs, got {sorted(outputs)}; "
                "networks[i](X) gives those of one"
            )
        return np.stack([m.network.predict_proba(X, m.trainer.loss) for m in self.members])

    def ensemble(self) -> Ensemble:
        """Return the members as networks that predict together.

        Returns
        -------
        Ensemble
            Of the networks themselves: what trains them later changes it.

        Raises
        ------
        ValueError
            If the members differ in their inputs, outputs or losses.

        Examples
        --------
        >>> import fastrelu
        >>> population = fastrelu.Population([{"layer_sizes": [2, n, 1]} for n in (3, 4)])
        >>> population.ensemble()
        <fastrelu.Ensemble of 2 networks, 2 inputs, 1 outputs, squared_error>
        """
        from fastrelu.ensemble import Ensemble

        kinds = {repr(member.trainer.loss) for member in self.members}
        if len(kinds) > 1:
            raise ValueError(
                f"loss: expected members with one loss, got {', '.join(sorted(kinds))}"
            )
        return Ensemble(self.networks, self.members[0].trainer.loss)

    def save_checkpoint(self, path: Any) -> None:
        """Write a checkpoint, from which training goes on to the same bits, to a safetensors file.

        Parameters
        ----------
        path : path-like
            The file; an existing one is replaced only once the new one is complete.

        Raises
        ------
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> X, y = [[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]
        >>> population = fastrelu.Population([{"layer_sizes": [1, n, 1]} for n in (2, 3)])
        >>> histories = population.fit(X, y, epochs=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "population.safetensors")
        ...     population.save_checkpoint(path)
        ...     again = fastrelu.Population.from_checkpoint(path)
        >>> again.fit(X, y, epochs=1)[1].loss == population.fit(X, y, epochs=1)[1].loss
        True
        """
        files.write(path, self.members, self._unfinished)

    @classmethod
    def from_checkpoint(
        cls, path: Any, *, learning_rates: Mapping[int, LearningRate] | None = None
    ) -> Population:
        """Return the population that `save_checkpoint` wrote.

        Parameters
        ----------
        path : path-like
            The checkpoint.
        learning_rates : dict of int to float or callable, optional
            By the members' places, learning rates that are functions of your own, which a
            checkpoint cannot hold.

        Returns
        -------
        Population
            Its next fit goes on to the same bits as if there had been no interruption.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, it is not a checkpoint of a population, or a learning rate is
            missing.

        Examples
        --------
        See `save_checkpoint`. A learning rate that is a function of your own is given again:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import fastrelu
        >>> def rate(k):
        ...     return 0.1 / k
        >>> population = fastrelu.Population(
        ...     [{"layer_sizes": [2, 1], "optimizer": fastrelu.SGD(rate)}, {"layer_sizes": [2, 1]}]
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "population.safetensors")
        ...     population.save_checkpoint(path)
        ...     again = fastrelu.Population.from_checkpoint(path, learning_rates={0: rate})
        >>> again.members[0].trainer.optimizer.learning_rate is rate
        True
        """
        self = cls.__new__(cls)
        self._take(*files.read(path, dict(learning_rates or {})))
        return self
