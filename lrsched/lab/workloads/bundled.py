"""The data that scikit-learn brings along."""

from typing import Any

import numpy as np


def arrays(name: str, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """The inputs and targets of the data set that `load_` name loads, in an order shuffled with a fixed seed."""
    try:
        from sklearn import datasets
    except ImportError:
        raise ImportError(
            f"the {name} data come with scikit-learn, which is not installed: python -m pip install 'lrsched-jax[lab]'"
        ) from None
    load: Any = getattr(datasets, f"load_{name}")
    inputs, targets = map(np.asarray, load(return_X_y=True, **options))
    order = np.random.default_rng(0).permutation(len(targets))
    return inputs[order], targets[order]
