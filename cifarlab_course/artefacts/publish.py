"""Make a run's record one that ships with the package, with the weights it speaks of.

With them goes what the network says of the test images, so that lessons needn't ask it again.

A run that is still going on, or was cut off, can be published too: the record says how many
epochs it has, and the weights are those of its last checkpoint.
"""

from pathlib import Path

import torch

from cifarlab import data, engine, records, runs


def publish(run: Path) -> Path:
    """Copy record and weights of the folder `run`, and keep its answers; the shipped record's path.

    Raises: ValueError if the folder holds no record or no checkpoint, if they disagree, or if the
    run was not of CIFAR-10 and scored on its test images.
    """
    record = records.load(run / "record.json")  # `run` may be called like a shipped one
    if not record.data.startswith("CIFAR-10"):
        raise ValueError(f"{run} learned from {record.data}, not CIFAR-10; such runs stay at home.")
    if record.scored_on != "test":
        raise ValueError(
            f"{run} was scored on {record.scored_on} images, to choose by; train anew."
        )
    if not (run / "checkpoint.pt").is_file():
        raise ValueError(f"{run} holds no checkpoint.pt; train with `cifarlab train` first.")
    saved = torch.load(run / "checkpoint.pt", weights_only=True, map_location="cpu")
    if len(saved["epochs"]) != len(record.history):
        raise ValueError(f"{run} is being written to just now; try again in a second.")
    network = record.recipe.create_network()
    # After the last epoch the average, or what was made of it, is the network itself.
    if "average" in saved["state"] and not record.finished:
        average = torch.optim.swa_utils.AveragedModel(network)
        average.load_state_dict(saved["state"]["average"])
        network = average.module
    else:
        network.load_state_dict(saved["state"]["network"])
    _, test = runs.splits()
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    answers, _ = engine.predict(network, data.batches(test, plain, 1000))
    target = records.SHIPPED / f"{record.name}.json"
    records.save_weights(network, target.with_suffix(".safetensors"))
    records.save(record, target)
    records.save_log_probabilities(record.name, answers)
    return target
