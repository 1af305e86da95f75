"""Milliseconds of a private step of Opacus on one masked layer; run in an environment that has it."""

import json
import sys
import time

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer


def main() -> None:
    """Print a JSON object: batch size to median milliseconds."""
    asked = json.loads(sys.argv[1])
    sizes, width = asked["sizes"], sum(asked["sizes"])
    random = np.random.default_rng(0)
    found = {}
    for batch in asked["batches"]:
        cells = [torch.tensor(random.integers(size, size=batch)) for size in sizes]
        rows = torch.cat([torch.nn.functional.one_hot(c, s) for c, s in zip(cells, sizes)], dim=1).float()  # noqa: B905
        model = GradSampleModule(torch.nn.Linear(width, width))
        optimizer = DPOptimizer(
            torch.optim.Adam(model.parameters(), lr=0.03),
            noise_multiplier=2.0,
            max_grad_norm=7.5,
            expected_batch_size=batch,
        )
        times: list[float] = []
        while sum(times) < asked["seconds"] or len(times) < 4:
            began = time.perf_counter()
            optimizer.zero_grad()
            parts = torch.split(model(rows), sizes, dim=1)
            losses = [torch.nn.functional.cross_entropy(p, c, reduction="sum") for p, c in zip(parts, cells)]  # noqa: B905
            (sum(losses) / batch).backward()
            optimizer.step()
            times.append(time.perf_counter() - began)
        found[batch] = 1e3 * float(np.median(times[2:]))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
