"""From scores of photos to the table and the plot that people read."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.ocr.evaluate import Score
from bench.ocr.kinds import KINDS


@dataclass(frozen=True)
class Result:
    """One photo, read by one reader.

    Attributes:
        kind: class of the photo.
        score: what was right and wrong.
        cpu_seconds: CPU time of reading it, from bytes to lines.
    """

    kind: str
    score: Score
    cpu_seconds: float


@dataclass(frozen=True)
class Summary:
    """One reader over the set.

    Attributes:
        cer: character error rate per class with text: edits over characters of all its photos.
        mean_cer: mean of these over the classes.
        words: Latin words read whole, over all.
        precision, recall: of boxes, at IoU >= 0.5 with the outlines.
        tau: Kendall's, mean over photos with two lines or more.
        false_positives: boxes per photo without text.
        wrong: wrong texts with a score over 0.8 per photo, by class.
        cpu_seconds: per photo.
        cpu_text, cpu_text_free: per photo of the classes with text and of those without; mean of classes.
    """

    cer: dict[str, float]
    mean_cer: float
    words: float
    precision: float
    recall: float
    tau: float
    false_positives: float
    wrong: dict[str, float]
    cpu_seconds: float
    cpu_text: float
    cpu_text_free: float

    def photos_per_second(self, text_free: float) -> float:
        """Photos that one core reads in a second, of a library of which this part has no text; 0 if not measured."""
        seconds = text_free * self.cpu_text_free + (1 - text_free) * self.cpu_text
        return 1 / seconds if self.cpu_text and self.cpu_text_free else 0.0


TARGETS = {"mean_cer": 0.010, "words": 0.98, "precision": 0.98, "recall": 0.98, "tau": 0.95, "false_positives": 0.1}


def summarise(results: Sequence[Result]) -> Summary:
    """Rates over all photos of a set."""
    by_kind: defaultdict[str, list[Score]] = defaultdict(list)
    for result in results:
        by_kind[result.kind].append(result.score)
    with_text = {kind: scores for kind, scores in by_kind.items() if any(score.labelled for score in scores)}
    cer = {kind: _rate([(s.errors, s.characters) for s in scores]) for kind, scores in with_text.items()}
    scores = [score for scores in with_text.values() for score in scores]
    empty = [score for kind, scores in by_kind.items() if kind not in with_text for score in scores]
    taus = [score.tau for score in scores if score.tau is not None]
    spent = {kind: _mean([one.cpu_seconds for one in results if one.kind == kind]) for kind in by_kind}
    return Summary(
        cer=cer,
        mean_cer=sum(cer.values()) / max(1, len(cer)),
        words=_rate([(s.right_words, s.words) for s in scores]),
        precision=_rate([(s.found, s.read) for s in scores]),
        recall=_rate([(s.found, s.labelled) for s in scores]),
        tau=sum(taus) / max(1, len(taus)),
        false_positives=sum(score.read for score in empty) / max(1, len(empty)),
        wrong={kind: _rate([(score.wrong, 1) for score in scores]) for kind, scores in by_kind.items()},
        cpu_seconds=sum(result.cpu_seconds for result in results) / max(1, len(results)),
        cpu_text=_mean([seconds for kind, seconds in spent.items() if kind in with_text]),
        cpu_text_free=_mean([seconds for kind, seconds in spent.items() if kind not in with_text]),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))


def _rate(parts: Sequence[tuple[int, int]]) -> float:
    return sum(part for part, _ in parts) / max(1, sum(whole for _, whole in parts))


def table(summaries: Mapping[str, Summary]) -> str:
    """A Markdown table: one row per class and measure, one column per reader, the target beside them."""
    names = list(summaries)
    rows = [["", *names, "target"], ["---"] + ["---:"] * (len(names) + 1)]
    for kind in KINDS:
        if kind.target is not None and any(kind.name in summary.cer for summary in summaries.values()):
            rates = [f"{summaries[name].cer.get(kind.name, float('nan')):.4f}" for name in names]
            rows.append([f"CER {kind.name}", *rates, f"{kind.target:g}"])
    rows.append(["**CER, mean of classes**", *(f"**{summaries[name].mean_cer:.4f}**" for name in names), "0.010"])
    for label, field, target in (
        ("Latin words whole", "words", "0.98"),
        ("detection precision", "precision", "0.98"),
        ("detection recall", "recall", "0.98"),
        ("order (Kendall tau)", "tau", "0.95"),
        ("false positives per text-free photo", "false_positives", "0.1"),
    ):
        rows.append([label, *(f"{getattr(summaries[name], field):.3f}" for name in names), target])
    for kind in KINDS:
        if any(summary.wrong.get(kind.name) for summary in summaries.values()):
            rates = [f"{summaries[name].wrong.get(kind.name, float('nan')):.2f}" for name in names]
            rows.append([f"wrong texts per photo, {kind.name}", *rates, "0.05"])
    rates = [f"**{sum(summaries[name].wrong.values()) / max(1, len(summaries[name].wrong)):.3f}**" for name in names]
    rows.append(["**wrong texts per photo, mean of classes**", *rates, "0.05"])
    rows.append(["CPU seconds per photo", *(f"{summaries[name].cpu_seconds:.2f}" for name in names), "0.8 of stock"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def save(summaries: Mapping[str, Summary], path: Path) -> None:
    """Stores summaries as JSON."""
    path.write_text(json.dumps({name: asdict(summary) for name, summary in summaries.items()}, indent=1))


def load(path: Path) -> dict[str, Summary]:
    """What `save` stored; nothing when there is no such file."""
    stored = json.loads(path.read_text()) if path.exists() else {}
    return {name: Summary(**summary) for name, summary in stored.items()}


def plot(summaries: Mapping[str, Summary], path: Path) -> None:
    """Character error rates by class, and CPU time, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    kinds = [kind.name for kind in KINDS if kind.target is not None]
    figure, (left, right) = plt.subplots(1, 2, figsize=(15, 6), width_ratios=(4, 1), layout="constrained")
    width = 0.8 / len(summaries)
    for place, (name, summary) in enumerate(summaries.items()):
        at = [index + place * width for index in range(len(kinds))]
        left.bar(at, [summary.cer.get(kind, 0) for kind in kinds], width, label=f"{name}: {summary.mean_cer:.3f}")
        right.bar(name, summary.cpu_seconds)
    left.set(ylabel="character error rate", title="Errors by class (mean in the legend)", ylim=(0, 0.5))
    left.set_xticks([index + 0.4 for index in range(len(kinds))], kinds, rotation=60, ha="right")
    left.legend()
    right.set(ylabel="seconds", title="CPU time per photo")
    right.tick_params(axis="x", rotation=60)
    figure.savefig(path, dpi=110)
    plt.close(figure)
