# SPDX-License-Identifier: BSD-3-Clause
"""The core once more in plain Python and NumPy: written to be read, slow and right.

It gives the same bits as the compiled core; docs/arithmetic.md says why that is possible. Read it
beside lecture notes on backpropagation and SGD, in this order:

- `layers`: ReLU, the linear layer, and the chain rule back through them;
- `loss`, `losses`, `quantile_losses`: what is minimized, and its derivative with respect to the
  outputs;
- `minibatch`: the mean of the loss over a minibatch;
- `network`, `gradients`: parameters, forward, backward;
- `optimizers`: how a gradient changes the parameters;
- `trainer`: minibatches, steps and epochs;
- `sparse`: the first layer where most inputs are 0; `encoded`: where they come in runs;
- `blocks`: data that are streamed from files;
- `fma`, `elementary`, `random`: what all of this is built on, namely one exactly rounded operation,
  exp, log and tanh made of it, and random numbers.

The names are those of `fastrelu` itself. Arguments are not checked.
"""

from . import losses, optimizers
from .elementary import exp, log, log1p, tanh
from .fma import fma
from .gradients import Cache, Gradients
from .layers import linear_relu, relu, relu_backward
from .losses import *  # noqa: F403 - its __all__, of every loss
from .network import Network
from .optimizers import *  # noqa: F403 - its __all__, of every optimizer
from .trainer import Trainer

__all__ = [
    "Cache",
    "Gradients",
    "Network",
    "Trainer",
    "exp",
    "fma",
    "linear_relu",
    "log",
    "log1p",
    "relu",
    "relu_backward",
    "tanh",
]
__all__ += losses.__all__ + optimizers.__all__
