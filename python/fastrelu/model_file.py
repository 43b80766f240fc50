# SPDX-License-Identifier: BSD-3-Clause
"""Networks and checkpoints as safetensors files: plain arrays and text, never a pickle."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastrelu import whole_files
from fastrelu._arguments import path_text
from fastrelu.network import Network

__all__ = [
    "FORMAT_VERSION",
    "Arrays",
    "FileError",
    "load",
    "network_content",
    "network_from",
    "read",
    "save_network",
    "warn_unless_finite",
    "write",
]

FORMAT_VERSION = 1
Arrays = dict[str, NDArray[Any]]
# The format's names of what NumPy has, in the order in which safetensors writes arrays.
DTYPES = {
    "uint64": "U64", "int64": "I64", "float64": "F64", "complex64": "C64", "float32": "F32",
    "uint32": "U32", "int32": "I32", "float16": "F16", "uint16": "U16", "int16": "I16",
    "int8": "I8", "uint8": "U8", "bool": "BOOL",
}  # fmt: skip


class FileError(ValueError):
    """A file's content is not what it should be. `reason` says why; the text names the argument.

    Parameters
    ----------
    reason : str
        What is wrong.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"path: {reason}")
        self.reason = reason


def write(path: Any, arrays: Arrays, metadata: dict[str, str]) -> None:
    """Write arrays and metadata; an existing file is replaced only once the new one is whole.

    Parameters
    ----------
    path : path-like
        The file, in the safetensors format.
    arrays : dict of str to ndarray
        The arrays by their names.
    metadata : dict of str to str
        What else the file says; ``metadata["format"]`` is its kind.

    Raises
    ------
    ValueError
        If an array has a dtype that the format has not.
    OSError
        If it cannot be written.

    Notes
    -----
    The same content gives the same bytes.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from fastrelu import model_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "table.safetensors")
    ...     model_file.write(path, {"a": np.eye(2)}, {"format": "table", "format_version": "1"})
    ...     arrays, metadata = model_file.read(path, "table")
    >>> arrays["a"].tolist(), metadata["format"]
    ([[1.0, 0.0], [0.0, 1.0]], 'table')
    """
    whole_files.write_bytes(path, _serialized(arrays, metadata))


def _serialized(arrays: Arrays, metadata: dict[str, str]) -> bytes:
    """Return a safetensors file, with the bytes that safetensors itself gives arrays.

    Its own `serialize` ends the process where there is no memory for them.
    """
    order = list(DTYPES)
    unknown = {array.dtype.name for array in arrays.values()} - set(order)
    if unknown:
        raise ValueError(f"arrays: expected dtypes among {', '.join(order)}, got {unknown.pop()}")
    header: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))}
    parts, place = [], 0
    for name, array in sorted(
        arrays.items(), key=lambda item: (order.index(item[1].dtype.name), item[0])
    ):
        plain = array.astype(array.dtype.newbyteorder("<"), order="C", copy=False)
        header[name] = {
            "dtype": DTYPES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [place, place + plain.nbytes],
        }
        place += plain.nbytes
        parts.append(plain.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # the format's own padding
    return b"".join((len(text).to_bytes(8, "little"), text, *parts))


def read(path: Any, kind: str, *others: str) -> tuple[Arrays, dict[str, str]]:
    """Return the arrays and metadata of a file that `write` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    kind, *others : str
        The kinds of file that are expected: its ``metadata["format"]`` has to be one of them.

    Returns
    -------
    arrays : dict of str to ndarray
        The arrays by their names.
    metadata : dict of str to str
        What else the file says.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    FileError
        If it is not a safetensors file, of another kind, or written by a later fastrelu.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastrelu
    >>> from fastrelu import model_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "net.safetensors")
    ...     fastrelu.Network([2, 1]).save(path)
    ...     arrays, metadata = model_file.read(path, "fastrelu.network")
    >>> sorted(arrays), metadata["layer_sizes"]
    (['biases.0', 'weights.0'], '[2, 1]')
    """
    from safetensors import SafetensorError, safe_open

    name = path_text(path)
    if not os.path.isfile(name):
        raise FileNotFoundError(f"path: no such file: {name!r}")
    try:
        with safe_open(name, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            arrays = {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise FileError(f"{name!r} is not a safetensors file ({error})") from error
    except (AttributeError, TypeError) as error:  # which one follows from the type
        raise FileError(f"{name!r} has a tensor of a type that NumPy has not ({error})") from error
    except BaseException as error:
        # safetensors' Rust panics, which is no Exception, where it gets no memory for an array.
        if type(error).__name__ != "PanicException":
            raise
        raise MemoryError(f"path: there is not enough memory for {name!r} ({error})") from None
    if metadata.get("format") not in (kind, *others):
        other = ""
        if metadata.get("format") == "fastrelu.ensemble":
            loads = "training.load_model" if "pipeline" in metadata else "Ensemble.load"
            other = f"; fastrelu.{loads} loads its networks together"
        raise FileError(
            f"expected a {kind} file, got format {metadata.get('format')!r} in {name!r}{other}"
        )
    version = metadata.get("format_version", "")
    if not version.isdigit() or int(version) > FORMAT_VERSION:
        raise FileError(
            f"{name!r} has format version {version!r}, written by a later "
            f"fastrelu; this one reads up to {FORMAT_VERSION}"
        )
    return arrays, metadata


def network_content(net: Network) -> tuple[Arrays, dict[str, str]]:
    """Return a network as what a file holds of it.

    Parameters
    ----------
    net : Network
        The network.

    Returns
    -------
    arrays : dict of str to ndarray
        Copies of its weights and biases: ``"weights.0"``, ``"biases.0"``, ...
    metadata : dict of str to str
        Its layer sizes, activations, dtype, scale, whether it has biases, and the format's version.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import model_file
    >>> arrays, metadata = model_file.network_content(fastrelu.Network([2, 3, 1]))
    >>> list(arrays), metadata["dtype"]
    (['weights.0', 'weights.1', 'biases.0', 'biases.1'], 'float32')
    """
    with net._reading():
        arrays: Arrays = {f"weights.{k}": w.copy() for k, w in enumerate(net.weights)}
        arrays |= {f"biases.{k}": b.copy() for k, b in enumerate(net.biases)}
    metadata = {
        "format_version": str(FORMAT_VERSION),
        "layer_sizes": json.dumps(net.layer_sizes),
        "activations": json.dumps(net.activations),
        "dtype": net.dtype.name,
        "bias": json.dumps(net.bias),
        "scale": net.scale.hex(),
    }
    return arrays, metadata


def network_from(arrays: Arrays, metadata: dict[str, str]) -> Network:
    """Return the network that `network_content` described.

    Parameters
    ----------
    arrays, metadata : dict
        The results of `network_content`; anything else in them is not looked at.

    Returns
    -------
    Network
        A new network with the same bits.

    Raises
    ------
    FileError
        If something is missing or does not fit.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import model_file
    >>> net = fastrelu.Network([2, 3, 1], seed=4)
    >>> again = model_file.network_from(*model_file.network_content(net))
    >>> bool((again.parameters == net.parameters).all())
    True
    """
    with _damaged("the model file"):
        sizes, bias = json.loads(metadata["layer_sizes"]), json.loads(metadata["bias"])
        if not isinstance(sizes, list) or type(bias) is not bool:
            raise ValueError("layer_sizes or bias is of another kind")
        parts = _parts(arrays, sizes, bias, metadata["dtype"])
        net = Network(
            sizes,
            bias=bias,
            dtype=metadata["dtype"],
            activation=json.loads(metadata["activations"]),
            scale=float.fromhex(metadata["scale"]),
        )
        for view, part in zip([*net.weights, *net.biases], parts, strict=True):
            view[...] = part
    return net


def _parts(arrays: Arrays, sizes: list[Any], bias: bool, dtype: str) -> list[NDArray[Any]]:
    """Return the arrays of a network of these sizes, looked at before memory is taken."""
    if len(sizes) - 1 > len(arrays):
        raise FileError(f"{len(sizes) - 1} layers, but {len(arrays)} arrays")
    shapes: dict[str, tuple[Any, ...]] = {
        f"weights.{k}": shape for k, shape in enumerate(pairwise(sizes))
    }
    if bias:
        shapes |= {f"biases.{k}": (size,) for k, size in enumerate(sizes[1:])}
    for name, shape in shapes.items():
        part = arrays[name]
        if part.shape != shape or part.dtype.name != dtype:
            raise FileError(f"expected {name} to be {dtype}{shape}, got {part.dtype}{part.shape}")
    return [arrays[name] for name in shapes]


@contextmanager
def _damaged(what: str) -> Iterator[None]:
    """Turn whatever a file's content leads to into FileError; memory may run out all the same."""
    try:
        yield
    except (FileError, MemoryError):
        raise
    except Exception as error:  # RecursionError, OverflowError, "Unable to cast", ...
        raise FileError(f"{what} is damaged ({_shown(error)})") from error


def _shown(error: Exception) -> str:
    text = repr(error)
    return text if len(text) <= 200 else text[:200] + "..."


def save_network(net: Network, path: Any) -> None:
    """Write a network to a safetensors file; ``net.save(path)`` calls this.

    Parameters
    ----------
    net : Network
        The network.
    path : path-like
        The file; an existing one is replaced only once the new one is whole.

    Raises
    ------
    OSError
        If it cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastrelu
    >>> from fastrelu import model_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model_file.save_network(fastrelu.Network([2, 1]), Path(folder, "net.safetensors"))
    ...     fastrelu.load(Path(folder, "net.safetensors")).layer_sizes
    [2, 1]
    """
    arrays, metadata = network_content(net)
    write(path, arrays, {"format": "fastrelu.network", **metadata})


def load(path: Any) -> Network:
    """Return the network that ``net.save(path)`` wrote.

    Parameters
    ----------
    path : path-like
        A safetensors file.

    Returns
    -------
    Network
        Its parameters have the bits of those saved.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, or it is not a network of this or an earlier format version.

    Warns
    -----
    RuntimeWarning
        If parameters are NaN or infinite; they are loaded all the same.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import fastrelu
    >>> net = fastrelu.Network([2, 3, 1], seed=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "net.safetensors")
    ...     net.save(path)
    ...     other = fastrelu.load(path)
    >>> bool((other.parameters == net.parameters).all())
    True
    """
    try:
        net = network_from(*read(path, "fastrelu.network"))
    except FileError as error:
        raise ValueError(str(error)) from error
    warn_unless_finite(path, net)
    return net


def warn_unless_finite(path: Any, net: Network) -> None:
    """Warn if a file's network has parameters that are no finite numbers.

    Parameters
    ----------
    path : path-like
        The file, for the message.
    net : Network
        The network that was read from it.

    Warns
    -----
    RuntimeWarning
        If some are NaN or infinite: what such a network computes is of no use.

    Examples
    --------
    >>> import fastrelu
    >>> from fastrelu import model_file
    >>> model_file.warn_unless_finite("net.safetensors", fastrelu.Network([2, 1]))
    """
    bad = net.n_parameters - int(np.isfinite(net.parameters).sum())
    if bad:
        warnings.warn(
            f"path: {bad} of the {net.n_parameters} parameters in {os.fspath(path)!r} are not "
            "finite numbers: its training has diverged, or the file is damaged",
            RuntimeWarning,
            stacklevel=3,
        )
