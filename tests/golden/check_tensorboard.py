"""Checks that TensorBoard reads a run's event file and finds in it what the run's metrics say.

usage: python check_tensorboard.py RUN_DIR    (exit status 1 when a value differs)

Run with tensorboard 2.20.
"""

import json
import math
import pathlib
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

run = pathlib.Path(sys.argv[1])
metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
board = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
board.Reload()
KEYS = {"train/loss": "loss", "train/grad_norm": "grad_norm", "train/lr": "lr", "train/tokens_per_second": "tokens_per_second"}
KEYS |= {"validation/loss": "validation_loss", "validation/bits_per_byte": "validation_bits_per_byte"}
wrong = 0
for tag in board.Tags()["scalars"]:
    found = {event.step: (event.value, event.wall_time) for event in board.Scalars(tag)}
    for metric in metrics:
        expected = metric.get("tasks", {}).get(tag.removeprefix("tasks/")) if tag.startswith("tasks/") else metric.get(KEYS.get(tag, tag))
        value, at = found.get(metric["step"], (None, None))
        if tag == "train/spike":
            expected = 1.0 if "spike" in metric else None
        same = (value is None) == (expected is None)
        same = same and (value is None or math.isclose(value, expected, rel_tol=1e-6) and abs(at * 1000 - metric["at_ms"]) < 2)
        if not same:
            wrong += 1
            print(f"{tag} at step {metric['step']}: {value} and not {expected}")
    print(f"{tag}: {len(found)} values")
print(f"{len(metrics)} steps, {wrong} differences")
sys.exit(1 if wrong or not metrics else 0)
