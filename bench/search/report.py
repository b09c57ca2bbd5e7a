"""The run as a Markdown table and a plot."""

# ruff: noqa: E501 - tables read best as lines

from pathlib import Path
from typing import Any


def write_report(results: dict[str, Any], out: Path) -> str:
    """Write search.md and search.png; the text."""
    text = "\n\n".join(
        part
        for part in (
            _quality(results),
            _hard(results),
            _hybrid(results),
            _missing(results),
            _costs(results),
            _growth(results),
        )
        if part
    )
    (out / "search.md").write_text(text + "\n")
    _plot(results, out / "search.png")
    return text


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _rows(found: dict[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for engine, kinds in found.items():
        for kind, summary in kinds.items():
            rows.append((
                engine, kind, str(summary["queries"]), str(summary.get("failed", 0)), f"{summary['precision']:.3f}", f"{summary['recall']:.3f}",
                f"{summary['ndcg']:.3f}", *_latency(summary),
            ))  # fmt: skip
    return rows


def _latency(summary: dict[str, Any]) -> tuple[str, ...]:
    names = ("median_ms", "p95_ms", "p99_ms", "first_median_ms", "first_p95_ms")
    return tuple(_milliseconds(summary[name]) if name in summary else "" for name in names)


def _milliseconds(value: float | None) -> str:
    return "all failed" if value is None else f"{value:.1f}"


LATENCY = ("median ms", "p95 ms", "p99 ms", "from disk: median", "from disk: p95")
HEAD = ("engine", "class", "queries", "failed", "precision@10", "recall@50", "nDCG@10", *LATENCY)


def _quality(results: dict[str, Any]) -> str:
    return _table(HEAD, _rows(results["quality"])) if results.get("quality") else ""


def _hard(results: dict[str, Any]) -> str:
    if "hard" not in results:
        return ""
    found = results["hard"]
    return f"Hard classes, {found['photos']} photos\n\n" + _table(HEAD, _rows({"mesh": found["classes"]}))


def _hybrid(results: dict[str, Any]) -> str:
    return "Hybrid\n\n" + _table(HEAD, _rows(results["hybrid"])) if results.get("hybrid") else ""


def _missing(results: dict[str, Any]) -> str:
    if "stock_missing" not in results or "stock" in results.get("quality", {}):
        return ""
    return f"Stock Immich is not compared: {results['stock_missing']}."


def _costs(results: dict[str, Any]) -> str:
    if "bytes" not in results:
        return ""
    rows: list[tuple[str, ...]] = [(name, f"{size / 2**20:.1f} MiB") for name, size in sorted(results["bytes"].items())]
    rows.append(
        ("backfill", f"{results['backfill']['seconds']:.1f} s for {results['backfill']['documents']} documents")
    )
    rows.append(("all indexes anew", f"{results['index_seconds']:.1f} s"))
    update = results["update_ms"]
    rows.append(
        (
            "one photo's OCR update",
            (
                f"{update['median']:.1f} ms median, {update['p95']:.1f} ms p95; first time {update['first_median']:.1f} and "
                f"{update['first_p95']:.1f} ms; without triggers {update['median_without']:.1f} ms"
            ),
        )
    )
    return _table(("cost", "measured"), rows)


def _growth(results: dict[str, Any]) -> str:
    if not results.get("growth"):
        return ""
    sizes = results["growth"].items()
    costs: list[tuple[str, ...]] = [
        (
            f"{int(size):,}",
            *_latency(found["classes"]["all"]),
            str(sum(summary.get("failed", 0) for kind, summary in found["classes"].items() if kind != "all")),
            f"{sum(found['bytes'].values()) / 2**20:.0f} MiB",
            f"{found['backfill']['seconds']:.0f} s",
        )
        for size, found in sizes
    ]
    kinds = [kind for kind in next(iter(results["growth"].values()))["classes"] if kind != "all"]
    classes: list[tuple[str, ...]] = [
        (
            kind,
            *(
                f"{_milliseconds(found['classes'][kind]['median_ms'])} / {_milliseconds(found['classes'][kind]['p95_ms'])}"
                for _, found in sizes
            ),
        )
        for kind in kinds
    ]
    return "\n\n".join(
        (
            "Growth of the text side",
            _table(("photos", *LATENCY, "failed", "documents and indexes", "backfill"), costs),
            _table(("median / p95 ms", *(f"{int(size):,}" for size, _ in sizes)), classes),
        )
    )


def _plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    drawn = [draw for part, draw in (("quality", _plot_quality), ("growth", _plot_growth)) if results.get(part)]
    if not drawn:
        return
    figure, axes = pyplot.subplots(1, len(drawn), figsize=(7 * len(drawn), 6), squeeze=False)
    for draw, one in zip(drawn, axes[0], strict=True):
        draw(results, one)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _plot_quality(results: dict[str, Any], axes: Any) -> None:
    """Precision per class of every engine."""
    for engine, kinds in results["quality"].items():
        names = [kind for kind in kinds if kind != "all"]
        axes.plot([kinds[kind]["precision"] for kind in names], names, "o", label=engine)
    axes.set(xlabel="precision@10", title=f"{results['photos']:,} photos", xlim=(-0.03, 1.03))
    axes.legend()
    axes.grid(alpha=0.3)


def _plot_growth(results: dict[str, Any], axes: Any) -> None:
    """All classes together in black, the median of each in a colour, sizes dashed."""
    sizes = [int(size) for size in results["growth"]]
    found = list(results["growth"].values())
    for name, style, label in (
        ("median_ms", "ko-", "median"),
        ("p95_ms", "k^-", "p95"),
        ("first_p95_ms", "k^:", "p95 from disk"),
    ):
        times = [one["classes"]["all"][name] for one in found]
        axes.loglog(sizes, times, style, linewidth=2, label=f"all: {label}, ms")
    for kind in found[0]["classes"]:
        if kind != "all":
            times = [one["classes"][kind]["median_ms"] for one in found]
            axes.loglog(sizes, times, ".-", linewidth=1, label=f"{kind}: median, ms")
    megabytes = [sum(one["bytes"].values()) / 2**20 for one in found]
    axes.loglog(sizes, megabytes, "s--", color="grey", label="documents and indexes, MiB")
    axes.set(xlabel="photos", title="Growth of the text side")
    axes.legend(fontsize=7)
    axes.grid(alpha=0.3, which="both")
