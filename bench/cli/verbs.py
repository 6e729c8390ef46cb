"""The verbs of `latentbench` in the order of use, with one line each, and the page that lists them.

The list is literal, so that `latentbench --help` imports no verb. A test compares every line with
the docstring of its verb.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

OTHERS = "From other packages"


class Verb(NamedTuple):
    """A row of the list: the first sentence of the verb's docstring, and "module:function". A verb
    without a target comes through the entry points.
    """

    summary: str
    target: str | None = None


class Group(NamedTuple):
    """Verbs under headings, and the text above them on the help page."""

    help: str
    sections: Mapping[str, Mapping[str, Verb]]

    def verbs(self) -> dict[str, Verb]:
        return {name: verb for part in self.sections.values() for name, verb in part.items()}


REFERENCE = Group(
    """Usage: latentbench reference VERB [ARGUMENTS]

A reference holds what is measured on real images, computed once: features, moments, thresholds.

Examples:
  latentbench reference list
  latentbench reference build mnist --data-root data/
  latentbench reference build birds --train a/ --test b/ --extractor inception
  latentbench reference export birds --out birds.npz
  latentbench reference verify birds""",
    {
        "Verbs": {
            "list": Verb(
                "List the references to score against.", "bench.cli.reference:list_references"
            ),
            "build": Verb(
                "Build a reference from a data set, or from folders of real images.",
                "bench.cli.reference:build",
            ),
            "export": Verb(
                "Write mean and covariance as a file that other programs read.",
                "bench.cli.reference:export",
            ),
            "verify": Verb(
                "Check that references are undamaged and fit the installed extractors.",
                "bench.cli.reference:verify",
            ),
        }
    },
)
EMBEDDINGS = Group(
    "",  # the page is that of the verb itself, which names the others
    {
        "Verbs": {
            "train": Verb("Train word vectors on a text.", "bench.cli.embeddings:train"),
        }
    },
)
GROUPS = {"reference": REFERENCE, "embeddings": EMBEDDINGS}

ROOT = Group(
    """Usage: latentbench VERB [ARGUMENTS]

Benchmark generative image models: train them, sample them, check and score their images.

Examples:
  latentbench demo                                try it, no data needed
  latentbench audit samples/ --spec mnist-10k     every problem in one pass, with its fix
  latentbench score samples/ --reference mnist    prints a table, writes a record
  latentbench score samples/ --reference real/    FID and more, against a folder of images
  latentbench score a.zip b/ c.npz --json         several at once, one JSON line each
  latentbench report latentbench-results/         one page: text, tables, plots, findings
  latentbench compare old.json new.json           did the model get worse? for CI
  latentbench VERB --help                         examples and options of one verb""",
    {
        "Check and score images": {
            "demo": Verb("Generate digits, audit them and score them."),
            "check": Verb(
                "Check one submission: is it valid, how good is it, and what to fix first.",
                "bench.cli.check:check",
            ),
            "audit": Verb(
                "Find every problem of a submission in one pass, with its fix.",
                "bench.cli.audit:audit",
            ),
            "score": Verb("Score submissions against a reference.", "bench.cli.score:score"),
            "report": Verb(
                "Turn score records into a page, a summary, a picture or a table.",
                "bench.cli.report:report",
            ),
            "compare": Verb(
                "Tell whether a new score record is worse than an old one.",
                "bench.cli.compare:compare",
            ),
            "rank": Verb("Rank the submissions of a class on one page.", "bench.cli.rank:rank"),
            "platform": Verb(
                "Write a bundle that scores submissions on a course platform.",
                "bench.cli.platform:platform",
            ),
            "anomaly": Verb("Evaluate anomaly detectors.", "bench.cli.anomaly:anomaly"),
            "latent": Verb(
                "Measure latent spaces: interpolation, arithmetic, traversal and more.",
                "bench.cli.latent:latent",
            ),
            "embeddings": Verb(
                "Measure tables of word vectors: analogies and translation.",
                "bench.cli.embeddings:embeddings",
            ),
        },
        "Train models": {
            "train": Verb("Train a generative model from a recipe."),
            "sample": Verb("Write samples of a trained model as PNG files."),
            "ablate": Verb("Measure which training tricks help, by how much and how surely."),
            "recipes": Verb("List the recipes, tricks and losses."),
        },
        "References and lists": {
            "reference": Verb("List, build, export and verify references."),
            "metrics": Verb("List the metrics.", "bench.cli.lists:metrics"),
            "extractors": Verb("List the feature extractors.", "bench.cli.lists:extractors"),
            "detectors": Verb("List the anomaly detectors.", "bench.cli.lists:detectors"),
        },
        "Maintenance, and studies of the metrics": {
            "cache": Verb("Show the size of the cache, or empty it.", "bench.cli.lists:cache"),
            "study": Verb(
                "Repeat a published study of the metrics themselves.", "bench.cli.study:study"
            ),
            "ladder": Verb(
                "Damage real images step by step and see which metrics respond.",
                "bench.cli.ladder:ladder",
            ),
        },
    },
)
FOOTER = """
Options:
  -h, --help   Show this page; after a verb, that verb's page.
  --version    Print the version.

Exit codes: 0 success, 1 invalid submission or regression, 2 interrupted, 3 internal error,
4 wrong usage, 5 nothing found.
"""


def page(group: Group, others: Mapping[str, Verb] | None = None) -> str:
    """Return the help page of a group; `others` are the verbs of other packages."""
    sections = {**group.sections, **({OTHERS: others} if others else {})}
    width = max(len(name) for part in sections.values() for name in part)
    lines = [group.help]
    for heading, verbs in sections.items():
        lines += ["", f"{heading}:", *_rows(verbs, width)]
    return "\n".join([*lines, ""]) + (FOOTER if group is ROOT else "")


def _rows(verbs: Mapping[str, Verb], width: int) -> Iterator[str]:
    for name, verb in verbs.items():
        yield f"  {name:<{width}}  {verb.summary}".rstrip()
