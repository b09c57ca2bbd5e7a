"""The run as a Markdown table and a plot."""

# ruff: noqa: E501 - tables read best as lines

from pathlib import Path
from typing import Any


def write_report(results: dict[str, Any], out: Path) -> str:
    """Write search.md and search.png; the text."""
    text = "\n\n".join(
        part for part in (_quality(results), _hybrid(results), _costs(results), _growth(results)) if part
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
            if kind != "failed":
                rows.append((
                    engine, kind, str(summary["queries"]), f"{summary['precision']:.3f}", f"{summary['recall']:.3f}",
                    f"{summary['ndcg']:.3f}", f"{summary['median_ms']:.1f}", f"{summary['p95_ms']:.1f}",
                ))  # fmt: skip
    return rows


HEAD = ("engine", "class", "queries", "precision@10", "recall@50", "nDCG@10", "median ms", "p95 ms")


def _quality(results: dict[str, Any]) -> str:
    return _table(HEAD, _rows(results["quality"])) if results["quality"] else ""


def _hybrid(results: dict[str, Any]) -> str:
    return "Hybrid\n\n" + _table(HEAD, _rows(results["hybrid"])) if results["hybrid"] else ""


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
            f"{update['median']:.1f} ms median, {update['p95']:.1f} ms p95 ({update['median_without']:.1f} ms without triggers)",
        )
    )
    return _table(("cost", "measured"), rows)


def _growth(results: dict[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [
        (
            f"{int(size):,}",
            f"{found['median_ms']:.1f}",
            f"{found['p95_ms']:.1f}",
            f"{sum(found['bytes'].values()) / 2**20:.0f} MiB",
            f"{found['backfill']['seconds']:.0f} s",
        )
        for size, found in results["growth"].items()
    ]
    return (
        "Growth\n\n" + _table(("photos", "median ms", "p95 ms", "documents and indexes", "backfill"), rows)
        if rows
        else ""
    )


def _plot(results: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 5))
    for engine, kinds in results["quality"].items():
        names = [kind for kind in kinds if kind not in ("failed", "all")]
        left.plot([kinds[kind]["precision"] for kind in names], names, "o", label=engine)
    left.set(xlabel="precision@10", title=f"{results['photos']:,} photos", xlim=(-0.03, 1.03))
    left.legend()
    left.grid(alpha=0.3)
    sizes = [int(size) for size in results["growth"]]
    if sizes:
        found = list(results["growth"].values())
        right.loglog(sizes, [one["median_ms"] for one in found], "o-", label="median, ms")
        right.loglog(sizes, [one["p95_ms"] for one in found], "o-", label="p95, ms")
        right.loglog(
            sizes, [sum(one["bytes"].values()) / 2**20 for one in found], "s--", label="documents and indexes, MiB"
        )
        right.set(xlabel="photos", title="Growth of the text side")
        right.legend()
        right.grid(alpha=0.3, which="both")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
