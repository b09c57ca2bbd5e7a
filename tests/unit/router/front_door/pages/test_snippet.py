"""What a result shows of its lines at a glance."""

from router.front_door.search.ranked import SNIPPET, snippet


def test_lines_are_joined_and_cut() -> None:
    assert snippet(["增值税发票", "金额"]) == "增值税发票 … 金额"
    assert snippet([]) == ""
    long = snippet(["a" * 300])
    assert (len(long), long[-1]) == (SNIPPET, "…")
