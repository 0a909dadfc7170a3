"""What rounding to 4, 8, 12 or 16 bits does to a model; writes docs/he-quantisation.md and its picture.

::

    python benches/quantisation_accuracy.py             # train, write the results, the picture, the page
    python benches/quantisation_accuracy.py --quick     # two seeds, four rounds: to see that it runs
    python benches/quantisation_accuracy.py --render    # only picture and page, from the results there are

Results: benches/results/quantisation_accuracy.json.  The model, the data and the training are those of
``sottovoce demo``; every client's update goes through ``he.Codec`` and the integers are added.  Encryption
adds exactly, so this is what an encrypted round gives; one round a width is encrypted and opened with
``he.kahe`` to show that.  Needs the ``demo`` extra.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np

from sottovoce import he
from sottovoce.cli import machine
from sottovoce.cli.demo import data, model, train
from sottovoce.cli.demo.run import CLIP
from sottovoce.he import kahe

SCHEMA = "sottovoce-quantisation/1"
SCRIPT = "benches/quantisation_accuracy.py"
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results" / "quantisation_accuracy.json"
PAGE = ROOT / "docs" / "he-quantisation.md"
PICTURE = ROOT / "docs" / "quantisation.png"

BITS = (4, 8, 12, 16)
ROUNDINGS = ("stochastic", "nearest")
CLIENTS = 20
ROUNDS = 12
SEEDS = tuple(range(8))
CONTEXT = bytes(32)
SUMMANDS = 1024  # of the sizes


# -- training ---------------------------------------------------------------------------------------
class Float32:
    """The weighted mean in plain float32."""

    def mean(self, updates):
        """Of arrays."""
        means = train.average({i: ([a.astype(np.float32) for a in d], n) for i, (d, n) in updates.items()})
        return [array.astype(np.float32) for array in means]


class Quantised:
    """The weighted mean through the codec: the integers of all clients are added, as encryption would.

    Attributes:
        errors: Of every round: root mean square distance from the float mean, in units of the clip.
    """

    def __init__(self, bits, rounding, max_examples):
        self.codec = he.Codec(CLIP, bits, CLIENTS, rounding)
        self.max_examples = max_examples
        self.errors = []

    def mean(self, updates):
        """Of arrays."""
        layout = he.ModelLayout.of(next(iter(updates.values()))[0])
        total = sum(self.integers(layout, *update) for update in updates.values())
        mean, _ = self.codec.dequantize(total, len(updates))
        exact = layout.flatten(train.average(updates))
        self.errors.append(float(np.sqrt(np.mean((mean - exact) ** 2))) / CLIP)
        return layout.unflatten(mean)

    def integers(self, layout, update, examples):
        """What the client encrypts."""
        return self.codec.quantize(layout.flatten(update), self.codec.weight(examples, self.max_examples))


def trained(seed, rounds, average):
    """Train from the start; returns the accuracy after every round."""
    digits = data.load(seed)
    shares = data.partition(digits.train_y, CLIENTS, seed)
    current = model.initial(seed)
    accuracies = []
    for index in range(rounds):
        updates = train.local_updates(current, digits, shares, SCHEDULE, round_index=index, seed=seed)
        current = train.step(current, average.mean(updates))
        accuracies.append(model.accuracy(current, digits.test_x, digits.test_y))
    return accuracies


SCHEDULE = train.Schedule()


def most_examples(seed):
    """Of one client."""
    digits = data.load(seed)
    return max(len(share) for share in data.partition(digits.train_y, CLIENTS, seed))


def run(seeds, rounds):
    """Train everything; returns the document."""
    runs = [
        {"bits": None, "rounding": None, "seed": seed, "accuracy": trained(seed, rounds, Float32())}
        for seed in seeds
    ]
    for seed in seeds:
        cap = most_examples(seed)
        for bits in BITS:
            for rounding in ROUNDINGS:
                average = Quantised(bits, rounding, cap)
                accuracies = trained(seed, rounds, average)
                print(f"seed {seed}, {bits} bits, {rounding}: {accuracies[-1]:.3f}", flush=True)
                runs.append(
                    {
                        "bits": bits,
                        "rounding": rounding,
                        "seed": seed,
                        "accuracy": accuracies,
                        "error": average.errors,
                    }
                )
    return {
        "schema": SCHEMA,
        "created": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine.card(),
        "clients": CLIENTS,
        "rounds": rounds,
        "clip": CLIP,
        "runs": runs,
        "encrypted": [encrypted(bits) for bits in BITS],
        "sizes": sizes(),
    }


def encrypted(bits):
    """One round of one seed through ``he.kahe``: the opened integers are the sum of the clients' integers.

    Raises:
        AssertionError: They are not.
    """
    seed = SEEDS[0]
    digits = data.load(seed)
    shares = data.partition(digits.train_y, CLIENTS, seed)
    updates = train.local_updates(model.initial(seed), digits, shares, SCHEDULE, round_index=0, seed=seed)
    average = Quantised(bits, "stochastic", most_examples(seed))
    layout = he.ModelLayout.of(updates[0][0])
    integers = [average.integers(layout, *update) for update in updates.values()]

    params = kahe.Params(he.DEFAULT_SET, layout.size + 1, bits, CLIENTS, 5)
    total = kahe.CiphertextSum(params, CONTEXT)
    answers = [kahe.ShareSum(params, j) for j in range(1, params.threshold + 1)]
    for client, values in enumerate(integers):
        key = kahe.OneTimeKey.generate(params, CONTEXT)
        total.add(key.encrypt(values))
        _, shares_of_key = key.share(client.to_bytes(16, "big"))
        for answer, share in zip(answers, shares_of_key, strict=False):
            answer.add(share)
    opened = kahe.open_sum(params, CONTEXT, total, answers, CLIENTS)
    if not np.array_equal(opened.values, sum(integers)):
        raise AssertionError(f"{bits} bits: the opened sum is not the sum of the integers")
    return {"bits": bits, "slots": layout.size + 1, "equal": True}


def sizes():
    """Bits -> bytes a parameter of the smallest named set, for 1024 clients."""
    found = []
    for bits in BITS:
        possible = []
        for name in he.SETS:
            try:
                params = kahe.Params(name, 1, bits, SUMMANDS, 5)
            except he.ParameterError:  # this set has no room for it
                continue
            possible.append((params.wire_bits / params.slots_per_coefficient / 8, name))
        n_bytes, name = min(possible)
        found.append({"bits": bits, "set": name, "bytes": n_bytes})
    return found


# -- figures ----------------------------------------------------------------------------------------
def final(document, bits, rounding):
    """Seed -> accuracy after the last round, in per cent."""
    return {
        one["seed"]: 100 * one["accuracy"][-1]
        for one in document["runs"]
        if (one["bits"], one["rounding"]) == (bits, rounding)
    }


def mean_and_deviation(values):
    """Of a list, the deviation that of a sample."""
    values = list(values)
    return statistics.mean(values), statistics.stdev(values)


def differences(document, bits, rounding):
    """Seed by seed: points of accuracy that rounding costs (negative) or gives."""
    plain, rounded = final(document, None, None), final(document, bits, rounding)
    return [rounded[seed] - plain[seed] for seed in plain]


def errors(document, bits, rounding):
    """Root mean square error of a mean, every round of every seed, in units of the clip."""
    return [
        error
        for one in document["runs"]
        if (one["bits"], one["rounding"]) == (bits, rounding)
        for error in one["error"]
    ]


# -- picture ----------------------------------------------------------------------------------------
COLOURS = {"stochastic": "#0072B2", "nearest": "#D55E00"}  # Okabe and Ito: told apart by everybody
MARKERS = {"stochastic": "o", "nearest": "s"}
GREY = "#666666"


def draw(document, path):
    """Accuracy and error of the mean against bits."""
    from matplotlib.figure import Figure

    # One above the other: a telephone that shows the whole width shows letters that can be read.
    figure = Figure(figsize=(5.2, 8.2), dpi=150, facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.12, h_pad=0.1)
    upper, lower = figure.subplots(2, 1)
    draw_accuracy(upper, document)
    draw_error(lower, document)
    seeds = len(final(document, None, None))
    figure.suptitle(
        f"Digits, federated: {document['clients']} clients, {document['rounds']} rounds,\n"
        f"clip {document['clip']:g}, {seeds} seeds",
        fontsize=11,
        fontweight="bold",
    )
    # Without the version of matplotlib in it the same results give the same file.
    figure.savefig(path, metadata={"Software": None})


def dress(axes, title, label):
    """What both panels have in common."""
    axes.set_title(title, loc="left", fontsize=10.5)
    axes.set_xlabel("bits a value (b)")
    axes.set_ylabel(label)
    axes.set_xticks(range(len(BITS)), [str(bits) for bits in BITS])
    axes.set_xlim(-0.45, len(BITS) - 0.55)
    axes.grid(axis="y", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def draw_accuracy(axes, document):
    """Above: with the float32 training as a band."""
    from matplotlib.ticker import MultipleLocator

    mean, deviation = mean_and_deviation(final(document, None, None).values())
    axes.axhspan(mean - deviation, mean + deviation, color=GREY, alpha=0.15, linewidth=0)
    axes.axhline(mean, color=GREY, linestyle="--", linewidth=1.2, label=f"float32 ({mean:.1f} %)")
    for rounding, shift in zip(ROUNDINGS, (-0.09, 0.09), strict=True):
        points = [mean_and_deviation(final(document, bits, rounding).values()) for bits in BITS]
        axes.errorbar(
            [i + shift for i in range(len(BITS))],
            [m for m, _ in points],
            [d for _, d in points],
            fmt=MARKERS[rounding],
            color=COLOURS[rounding],
            markersize=6,
            capsize=4,
            linewidth=1.5,
            label=f"{rounding} rounding",
        )
    dress(axes, "Mean and standard deviation over the seeds", "accuracy on the test images, %")
    axes.set_ylim(top=100)
    axes.yaxis.set_major_locator(MultipleLocator(5))
    axes.legend(loc="lower right", frameon=False, fontsize=9.5)


def draw_error(axes, document):
    """Below: on a logarithmic axis."""
    for rounding, shift in zip(ROUNDINGS, (-0.09, 0.09), strict=True):
        spans = [np.quantile(errors(document, bits, rounding), (0.0, 0.5, 1.0)) for bits in BITS]
        middle = np.array([span[1] for span in spans])
        reach = [[m - s[0] for s, m in zip(spans, middle, strict=True)], [s[2] - s[1] for s in spans]]
        axes.errorbar(
            [i + shift for i in range(len(BITS))],
            middle,
            reach,
            fmt=MARKERS[rounding],
            color=COLOURS[rounding],
            markersize=6,
            capsize=4,
            linewidth=1.5,
            label=f"{rounding} rounding",
        )
    axes.set_yscale("log")
    dress(axes, "Median and range over all rounds and seeds", "root mean square error of a mean / clip")
    axes.legend(loc="upper right", frameon=False, fontsize=9.5)


# -- page -------------------------------------------------------------------------------------------
INTRODUCTION = """\
Encryption adds integers exactly: what a model loses, it loses in the codec, when floats become integers of
`b` bits. This page trains the model of `sottovoce demo` with the mean of every round taken through
`he.Codec`, and beside it in float32. {clients} clients with unequal shares of the digits train for
{rounds} rounds; the clip is {clip:g}, the weights are the numbers of examples, and {seeds} seeds decide
split, shares, start and order."""

READING = """\
* **16 bits**, the default, and 12 cannot be told from float32: the error of a mean is far below what the
  order of the batches changes.
* **Each bit halves the error**, as does halving the clip: a step is `c / G` with `G = 2^(b-1) - 1`. A clip
  that is wider than it must be wastes bits, and changes shrink while a model learns.
* **Stochastic rounding** is wrong by more in a single value (its variance is up to a quarter of a squared
  step, that of nearest rounding mostly a twelfth), but right in expectation, so the errors of clients and
  rounds cancel: 4 bits are enough for this model. Nearest rounding loses what is below half a step for good,
  in every client and every round alike.
* **Few bits make few weights.** A weight is an integer up to `G`: with 4 bits there are seven, and a client
  with a tenth of the largest share weighs a seventh of it.
* **Size follows the bits slowly.** A slot also holds the carries of 1024 clients, ten bits whatever `b` is,
  and the noise: half the bits are far from half the bytes."""


def render(document):
    """The page; every figure in its tables is from ``document``."""
    card = document["machine"]
    seeds = len(final(document, None, None))
    mean, deviation = mean_and_deviation(final(document, None, None).values())
    found = card["dependencies"]
    lines = [
        "# Bits a value, and what they do to a model",
        "",
        f"<!-- Written by {SCRIPT} from {RESULTS.relative_to(ROOT)}; do not edit. -->",
        "",
        *INTRODUCTION.format(
            clients=document["clients"], rounds=document["rounds"], clip=document["clip"], seeds=seeds
        ).splitlines(),
        "",
        "![Accuracy and error of the mean against bits a value](quantisation.png)",
        "",
        "| bits a value | rounding | accuracy, % | points against float32 | error of a mean / clip |",
        "| --- | --- | --- | --- | --- |",
        f"| float32 | - | {mean:.1f} ± {deviation:.1f} | - | - |",
    ]
    for bits in BITS:
        for rounding in ROUNDINGS:
            at = "{:.1f} ± {:.1f}".format(*mean_and_deviation(final(document, bits, rounding).values()))
            against = "{:+.2f} ± {:.2f}".format(*mean_and_deviation(differences(document, bits, rounding)))
            error = statistics.median(errors(document, bits, rounding))
            lines.append(f"| {bits} | {rounding} | {at} | {against} | {error:.1e} |")
    lines += [
        "",
        "Means and standard deviations over the seeds; points are taken seed by seed. The error is the root",
        "mean square distance of a round's mean from that of the same updates in float64, the median of all.",
        "",
        *READING.splitlines(),
        "",
        "| bits a value | smallest set for 1024 clients (`he.kahe`) | bytes a parameter |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {one['bits']} | `{one['set']}` | {one['bytes']:.2f} |" for one in document["sizes"]]
    widths = ", ".join(str(one["bits"]) for one in document["encrypted"] if one["equal"])
    lines += [
        "",
        f"That encryption changes nothing was shown for {widths} bits: a round of all clients was encrypted",
        "with `he.kahe` and opened, and the opened integers were the sum of the clients' integers.",
        "",
        f"Computed {document['created']} by `python {SCRIPT}` ({card['python']}, numpy {found['numpy']}).",
        "Stochastic rounding uses the system's generator: another run gives other figures within the",
        "deviations.",
    ]
    return "\n".join([*lines, ""])


def main(arguments=None):
    """Train (unless told not to) and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds, four rounds; writes nothing")
    parser.add_argument("--render", action="store_true", help="do not train")
    options = parser.parse_args(arguments)
    if options.quick:
        print(render(run(SEEDS[:2], 4)))
        return
    if options.render:
        document = json.loads(RESULTS.read_text(encoding="utf-8"))
        document["sizes"] = sizes()  # nothing is measured for them
    else:
        document = run(SEEDS, ROUNDS)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draw(document, PICTURE)
    PAGE.write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    main()
