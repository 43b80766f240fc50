# SPDX-License-Identifier: BSD-3-Clause
"""Train and run ReLU networks on CPUs, fast, and the same to the last bit everywhere."""

from fastrelu import losses, reference, schedules
from fastrelu.kernels import linear_relu, relu, relu_backward
from fastrelu.model_file import load
from fastrelu.network import Cache, Gradients, Network
from fastrelu.optimizers import SGD, Adam, AdamW
from fastrelu.settings import __version__, get_num_threads, set_num_threads, show_config
from fastrelu.trainer import History, Trainer

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Cache",
    "Gradients",
    "History",
    "Network",
    "Trainer",
    "__version__",
    "get_num_threads",
    "linear_relu",
    "load",
    "losses",
    "reference",
    "relu",
    "relu_backward",
    "schedules",
    "set_num_threads",
    "show_config",
]
