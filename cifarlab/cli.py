"""The command line: parse, and print what the package does.

`cifarlab data | train | evaluate | records | receptive-field`

Each command imports what it needs when it is called: PyTorch takes seconds, `--help` none.
"""

import argparse
import dataclasses
import fnmatch
import importlib
import inspect
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cifarlab.schema import Epoch

if TYPE_CHECKING:
    from torch import nn

    from cifarlab import receptive_field

# Words of the help, which must not load PyTorch to know them; a test compares.
RECIPES = ("accurate", "baseline", "fast", "quick", "teacher")
NETWORKS = ("fast", "skipnet")
PRECISIONS = ("fp32", "bf16", "fp16")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, or 2 with one line on what to do differently."""
    options = parser().parse_args(arguments)
    try:
        options.command(options)
    except (ValueError, OSError) as error:
        print("cifarlab:", *str(error).split(), file=sys.stderr)  # one line, whatever it was
        return 2
    except KeyboardInterrupt:
        told = "stopped; behind its last finished epoch, --resume goes on with a run."
        print("cifarlab:", told, file=sys.stderr)
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="cifarlab", description="Train and examine small nets.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(command=run)
        added.add_argument("--json", action="store_true", help="print JSON, for programs")
        return added

    command("data", show_data, "Find or download CIFAR-10, check it, and say where it lies.")

    train = command("train", run_training, "Train a recipe; write its record and weights.")
    train.add_argument("recipe", help=f"one of: {', '.join(RECIPES)}")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--epochs", type=int, help="instead of the recipe's own")
    train.add_argument(
        "--change",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="another field of the recipe, such as augmentation=cutout; may be repeated",
    )
    train.add_argument(
        "--data", choices=["cifar10", "synthetic"], default="cifar10", help="what to learn"
    )
    train.add_argument(
        "--validation",
        action="store_true",
        help="learn from 45,000 images and score on the other 5,000: for choosing",
    )
    train.add_argument("--out", type=Path, help="folder of the run (runs/RECIPE-seedSEED)")
    train.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint")
    train.add_argument("--workers", type=int, default=0, help="processes that prepare images")
    train.add_argument("--device", help="cpu, cuda, cuda:1 ...")
    train.add_argument("--precision", choices=PRECISIONS)

    evaluate = command("evaluate", run_evaluation, "Score a record's network anew.")
    evaluate.add_argument("record", help="a name of `cifarlab records`, or a run's folder")
    evaluate.add_argument("--device", help="cpu, cuda, cuda:1 ...")
    evaluate.add_argument("--precision", choices=PRECISIONS)

    command("records", list_records, "List the records that ship with the package.")

    field = command("receptive-field", show_fields, "Say how far the units of each layer see.")
    field.add_argument(
        "network", help=f"MODULE:NAME of what makes it, or one of: {', '.join(NETWORKS)}"
    )
    field.add_argument("--input", default="32", help="pixels of the image: 224, or 480x640")
    field.add_argument(
        "--layer",
        action="append",
        default=[],
        help="only this, or what a pattern such as 'layer*' matches; may be repeated",
    )
    field.add_argument("--channels", type=int, help="of the image, if the layers don't tell")
    field.add_argument(
        "--depth", type=int, help="only layers of so many names, such as 2 for layer1.0"
    )
    field.add_argument(
        "--with",
        action="append",
        default=[],
        dest="options",
        metavar="[NAME=]VALUE",
        help="an argument for what makes the network; may be repeated",
    )
    field.add_argument(
        "--format", choices=["text", "markdown", "csv"], default="text", help="of the table"
    )
    field.add_argument(
        "--through-gates",
        action="store_true",
        help="look through squeeze-and-excitation and the like",
    )
    field.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="also draw the growth of the field, as .svg, .pdf or .png",
    )
    return top


def show(options: argparse.Namespace, facts: dict, text: str) -> None:
    """Print `facts` as one line of JSON where asked, else `text`."""
    print(json.dumps(facts) if options.json else text, flush=True)


def show_data(options: argparse.Namespace) -> None:
    """`cifarlab data`"""
    from cifarlab import data

    folder = data.find()
    show(options, {"folder": str(folder), "sound": True}, f"CIFAR-10 is sound, in {folder}")


def run_training(options: argparse.Namespace) -> None:
    """`cifarlab train`: read the options, and tell what `runs.train` does."""
    from cifarlab import _arguments as arguments
    from cifarlab import data, engine, numerics, recipes, records, runs

    changes = dict(map(read_change, options.change))
    if options.epochs is not None:
        changes["epochs"] = options.epochs
    recipe = recipes.get(options.recipe, **changes)
    arguments.whole("--seed", options.seed, 0, engine.LARGEST_SEED)
    arguments.whole("--workers", options.workers, 0, data.MOST_WORKERS)
    chosen = numerics.fastest(options.device, options.precision)
    out = options.out or Path("runs") / f"{recipe.name}-seed{options.seed}"
    runs.check_folder(out, options.resume)  # before the images are read, or downloaded
    epochs = runs.train(
        recipe,
        out,
        *runs.splits(synthetic=options.data == "synthetic", validation=options.validation),
        seed=options.seed,
        scored_on="validation" if options.validation else "test",
        resume=options.resume,
        workers=options.workers,
        numerics=chosen,
    )
    for epoch in epochs:
        show(options, dataclasses.asdict(epoch), describe(epoch, recipe.epochs))
    record = records.load(out / "record.json")  # `out` may be called like a shipped one
    show(
        options,
        {"record": str(out / "record.json"), f"{record.scored_on}_accuracy": record.accuracy},
        f"{record.accuracy:.2f} % of the {record.scored_on} images after the last epoch "
        f"({record.data}); the record is {out / 'record.json'}",
    )


def read_change(text: str) -> tuple[str, object]:
    """A field of a recipe and its value: a number, `true`, `null` or a list as in JSON, or a name.

    Raises: ValueError if there is no "=".
    """
    field, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--change {text}; write FIELD=VALUE, such as augmentation=cutout.")
    try:
        return field, json.loads(value)
    except ValueError:
        return field, value


def describe(epoch: Epoch, epochs: int) -> str:
    """One clear line for one epoch."""
    held_out = f"  held out {epoch.held_out.accuracy:6.2f} %" if epoch.held_out else ""
    return (
        f"epoch {epoch.number:2d}/{epochs}  loss {epoch.train.loss:.4f}  "
        f"train {epoch.train.accuracy:6.2f} %{held_out}  "
        f"{epoch.seconds:.0f} s + {epoch.evaluation_seconds:.0f} s"
    )


def run_evaluation(options: argparse.Namespace) -> None:
    """`cifarlab evaluate`: on the images that the record was scored on."""
    from cifarlab import data, engine, numerics, records, runs

    record = records.load(options.record)
    network = records.load_network(options.record)
    held_out = runs.held_out_of(record)
    plain = data.pipeline(mean=record.recipe.mean, std=record.recipe.std)
    chosen = numerics.fastest(options.device, options.precision)
    score = engine.evaluate(network, data.batches(held_out, plain, 1000), chosen)
    before = "" if record.accuracy is None else f"; the record says {record.accuracy:.2f} %"
    show(
        options,
        {
            f"{record.scored_on}_accuracy": score.accuracy,
            "loss": score.loss,
            "record": record.accuracy,
        },
        f"{score.accuracy:.2f} % of {len(held_out)} {record.scored_on} images "
        f"({held_out.source}), loss {score.loss:.4f}{before}",
    )


def list_records(options: argparse.Namespace) -> None:
    """`cifarlab records`"""
    from cifarlab import records

    for name in records.names():
        record = records.load(name)
        accuracy = "unfinished" if record.accuracy is None else f"{record.accuracy:.2f} %"
        show(
            options,
            {"name": name, f"{record.scored_on}_accuracy": record.accuracy},
            f"{name:24} {accuracy:>10}  {record.parameters:,} parameters, "
            f"{len(record.history)} of {record.recipe.epochs} epochs",
        )


def show_fields(options: argparse.Namespace) -> None:
    """`cifarlab receptive-field`: the table, or a line for each of the layers asked for."""
    from cifarlab import _arguments as arguments
    from cifarlab import receptive_field

    if not re.fullmatch(r"\d+(x\d+)?", options.input):
        raise ValueError(f"--input {options.input}; write 224, or 480x640 for height x width.")
    height, _, width = options.input.partition("x")
    refusal = None
    try:
        analysis = receptive_field.analyze(
            find_network(options.network, options.options),
            (int(height), int(width or height)),
            channels=options.channels,
            through_gates=options.through_gates,
        )
    except receptive_field.Refused as error:  # what came before it is known
        analysis, refusal = error.analysis, error
        if options.layer or not analysis.table():
            raise
    table = analysis.table()
    if options.depth is not None:
        arguments.whole("--depth", options.depth, 1)
        rows = [row for row in table if row.layer.partition(": ")[0].count(".") < options.depth]
        table = receptive_field.Table(rows)
    fields = [pair for layer in options.layer for pair in fields_of(analysis, layer)]
    if options.plot:
        draw_growth(table, options)
    if options.json:
        print(json.dumps(document(analysis, fields, None if options.layer else table)))
    elif options.layer:
        for layer, field in fields:
            seen = field.box(*field.centre, clipped=True)
            print(f"{layer}: {field}; unit {field.centre} sees {seen}")
    else:
        forms = {"text": table.__str__, "markdown": table.markdown, "csv": table.csv}
        print(forms[options.format]())
        if options.format == "text":
            for line in closing(analysis, options.through_gates):
                print(line)
    if refusal:
        raise ValueError(f"the table ends before {refusal}")


def closing(analysis: "receptive_field.Analysis", through_gates: bool) -> list[str]:
    """What most people ask for: the last map, and whether its middle sees all of the image."""
    last = analysis.last_map
    if last is None:
        return []
    seen = last.box(*last.centre, clipped=True)
    everything = (0, 0, *(size - 1 for size in analysis.size))
    extent = "the whole image" if seen == everything else f"{seen}"
    lines = [f"last map: {last}; its middle unit, {last.centre}, sees {extent}"]
    if last.stride == (0, 0) and not through_gates:
        lines.append("where the jump is 0, all units see all; --through-gates looks past gates")
    return lines


def document(
    analysis: "receptive_field.Analysis",
    fields: Sequence[tuple[str, "receptive_field.Field"]],
    table: "receptive_field.Table | None",
) -> dict:
    """All that the command says, for programs: `table`, or the `fields` of the layers asked for.

    Two numbers are those along y and along x.
    """

    def facts(field: "receptive_field.Field") -> dict:
        geometry = {name: getattr(field, name) for name in ("units", "size", "stride", "start")}
        seen = field.box(*field.centre, clipped=True)
        return {
            **geometry,
            "exact": field.exact,
            "unit": field.centre,
            "sees": seen and seen._asdict(),
        }

    if table is None:
        layers = [{"layer": layer, **facts(field)} for layer, field in fields]
    else:
        layers = [row._asdict() for row in table]
    last = analysis.last_map
    return {
        "input": analysis.size,
        "missing": analysis.missing,
        "last_map": last and facts(last),
        "layers": layers,
    }


def draw_growth(table: "receptive_field.Table", options: argparse.Namespace) -> None:
    """The size of the field, layer by layer, as a picture.

    Raises: ValueError if the file's name is of no kind of picture, or no layer's units are alike.
    """
    if options.plot.suffix not in (".svg", ".pdf", ".png"):
        raise ValueError(f"--plot {options.plot}; write a name that ends in .svg, .pdf or .png.")
    if not any(row.size[0] for row in table):
        raise ValueError("--plot: there is no layer whose units all see as much as each other.")
    from cifarlab import plots

    plot = plots.field_growth({options.network: table}, image=int(options.input.partition("x")[0]))
    plot.lay_out(plot.WIDTHS[1])
    plot.savefig(options.plot)


def fields_of(analysis: "receptive_field.Analysis", layer: str) -> list[tuple]:
    """Names and fields of the layers of this name, or that match this pattern.

    Raises: ValueError if there is no such layer, or it gives several maps.
    """
    from cifarlab import receptive_field

    if any(sign in layer for sign in "*?["):
        names = fnmatch.filter(analysis.names, layer)
        fields = [(name, analysis[name]) for name in names]
        fields = [(n, field) for n, field in fields if isinstance(field, receptive_field.Field)]
        if fields:
            return fields
        raise ValueError(
            f"no layer matches {layer!r}; some that ran: {', '.join(analysis.names[:5])}"
        )
    try:
        field = analysis[layer]
    except KeyError as error:
        raise ValueError(error.args[0]) from error
    if not isinstance(field, receptive_field.Field):
        raise ValueError(f"{layer} gives several maps; name a layer inside it.")
    return [(layer, field)]


def find_network(name: str, options: Sequence[str] = ()) -> "nn.Module":
    """A network by its name here, or what `module:name` means to Python: one, or what makes one.

    `options` are its arguments, as NAME=VALUE or VALUE.

    Raises: ValueError if there is no such thing, or it makes no network of these arguments.
    """
    from torch import nn

    from cifarlab import model

    if ":" not in name:
        return model.create(name)
    module, _, attribute = name.partition(":")
    values = [value_of(option) for option in options if "=" not in option]
    settings = {
        key: value_of(value) for key, equals, value in (o.partition("=") for o in options) if equals
    }
    folder = os.getcwd()  # where a learner's own file lies
    sys.path.insert(0, folder)
    try:
        make = getattr(importlib.import_module(module.removesuffix(".py")), attribute)
        if isinstance(make, nn.Module):
            return make
        # Only the layers matter, so torchvision and others need not fetch weights.
        parameters = inspect.signature(make).parameters
        for weights in ("weights_backbone", "encoder_weights"):
            if weights in parameters:
                settings.setdefault(weights, None)
        network = make(*values, **settings)
    except (Exception, SystemExit) as error:  # whatever somebody's own file may raise
        hint = "; give arguments by --with" if isinstance(error, TypeError) else ""
        raise ValueError(
            f"{name} makes no network: {type(error).__name__}: {error}{hint}"
        ) from error
    finally:
        sys.path.remove(folder)  # that file may have put others before it
    if not isinstance(network, nn.Module):
        raise ValueError(f"{name} makes a {type(network).__name__}, not a torch.nn.Module.")
    return network


def value_of(text: str) -> object:
    """A value as Python or JSON writes it; anything else is a name."""
    words = {"True": True, "False": False, "None": None}
    if text in words:
        return words[text]
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    sys.exit(main())
