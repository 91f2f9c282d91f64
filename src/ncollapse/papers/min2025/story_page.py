"""The page of the three acts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from ncollapse.papers.min2025 import page
from ncollapse.papers.min2025.network import Run
from ncollapse.papers.min2025.story import Story, distances
from ncollapse.report import Fact, Page, Section, Table, number, percent
from ncollapse.report.images import illustrate
from ncollapse.report.style import class_colours, class_markers

_FLOOR = 1e-16
"""What a logarithmic axis shows in place of an exact zero."""


def build_story(story: Story) -> Page:
    """Everything that the story says, with its figures drawn."""
    every = page.build_page(story.every)
    first = [] if story.held is None else [_held(story.held), _bent(story)]
    return replace(
        every,
        lead=_lead(story),
        facts=[*_held_facts(story), *every.facts[:3]],
        verdicts=() if story.held is None else story.held.verdicts,
        sections=[*first, _all(story), *every.sections],
        record={**every.record, **story.to_dict()},
        source="min2025 (Min, Zhu and Vidal, 2025), on the digits of the first act",
    )


def _lead(story: Story) -> str:
    width = story.every.trajectory.parameters["hidden"].shape[0]
    share = percent(story.every.separability.violating_share)
    opening = (
        f"A two-layer ReLU network of {width} neurons, trained by exact gradient flow from almost "
        "zero. The theory says where it must end before it starts, for inputs that point together "
        "within a class and apart across classes. "
    )
    if story.held is None:
        return opening + (
            f"Of all the digits {share} of the pairs do not, and the distances show how much "
            f"survives. No digits were chosen for which all do: {story.why_not}."
        )
    return opening + (
        f"Real digits can be chosen so that all of them do, and then every claim holds to the "
        f"digits measured. Let others in, and the claims give way one by one; of all the digits "
        f"{share} of the pairs break the assumption, and what survives is the low dimension."
    )


def _held_facts(story: Story) -> list[Fact]:
    if story.held is None:
        return []
    verdicts, data = story.held.verdicts, story.held.data
    holding = sum(verdict.status == "holds" for verdict in verdicts)
    return [
        Fact(
            "claims that hold where the assumption does",
            f"{holding} of {len(verdicts)}",
            f"on {data.counts[0]} real digits a class without a pair that violates it",
        )
    ]


def _held(run: Run) -> Section:
    far = distances(run)
    rows = [[name, number(value)] for name, value in far.items()]
    return Section(
        "Act one: digits for which the theorem is true",
        f"From all digits of these classes, centred by the mean of their class means, "
        f"{run.data.counts[0]} a class were chosen such that every inner product is positive "
        "within a class and negative across. The flow went to log(1/L) = "
        f"{number(run.trajectory.log_inverse_loss[-1])}. The verdicts above are this run's; these "
        "are its distances from the limit, 0 being the theorem.",
        tables=[Table(["claim", "distance"], rows)],
    )


def _bent(story: Story) -> Section:
    runs = story.curve
    shares = [100 * run.separability.violating_share for run in runs]
    table = [distances(run) for run in runs]
    names = list(table[0])

    def draw(figure: Figure) -> None:
        axis = figure.subplots()
        looks = zip(names, class_colours(len(names)), class_markers(len(names)), strict=True)
        for name, colour, marker in looks:
            values = [(x, row[name]) for x, row in zip(shares, table, strict=True)]
            known = [(x, max(y, _FLOOR)) for x, y in values if y is not None]
            axis.plot(*zip(*known, strict=True), color=colour, marker=marker, label=name)
        axis.set_yscale("log")
        axis.set_xlabel("pairs that violate the assumption, %")
        axis.set_ylabel("distance from the claim")
        axis.legend(loc="lower right")
        axis.grid(True)

    rows: list[list[Any]] = [
        [percent(share / 100), *(number(row[name], 2) for name in names)]
        for share, row in zip(shares, table, strict=True)
    ]
    return Section(
        "Act two: the assumption bent",
        "A growing share of the chosen digits is exchanged for digits that were left out. The "
        "last point is all the digits of act three. Masses and directions are of neurons grouped "
        "by their output weights, since the exact groups of the theorem are soon empty.",
        [
            illustrate(
                "bent-assumption",
                "How each claim gives way",
                "Distance from each claim at the end of the run, over the share of pairs of inputs "
                "whose inner product has the wrong sign. Lower is closer.",
                "Five curves that rise with the share of pairs that violate the assumption.",
                (9.0, 5.0),
                draw,
            )
        ],
        [Table(["violating pairs", *names], rows)],
    )


def _all(story: Story) -> Section:
    run, certificate = story.every, story.certificate
    inputs, least = run.input_rank_error, float(run.feature_rank_error.min())
    dead = len(run.alignment.dead_samples)
    text = (
        f"What survives: {percent(inputs, 2)} of the inputs lie outside {run.data.num_classes} "
        f"dimensions, and of the features {percent(least, 2)} when the network is at its best. "
        f"The assumption is violated by {percent(run.separability.violating_share)} of the pairs, "
        "so none of the claims is said to hold here. "
    )
    if dead:
        text += (
            f"The cause is {'one dead sample' if dead == 1 else f'{dead} dead samples'}: every "
            "neuron is off there, the loss stays, and the features drift out again. "
        )
    if certificate is not None:
        words = {
            "feasible": "Collapse was possible all the same: a certificate, proven in exact "
            "arithmetic, gives a direction for every class that is positive and equal on it and "
            "negative on the others. The flow did not find them.",
            "infeasible": "Collapse was not possible either, with a proof.",
        }
        text += words.get(certificate.verdict, f"Collapse was undecided: {certificate.reason}.")
    rows = [
        [v.statement, number(v.measured, 3), number(v.expected, 3), v.reason]
        for v in run.verdicts
        if v.assumption
    ]
    return Section(
        "Act three: all the digits",
        text,
        tables=[
            Table(
                ["claim", "measured", "expected", "distance"],
                rows,
                "Each claim that needs the assumption, neurons grouped by exact sign patterns.",
                words=(3,),
            )
        ],
    )
