from pathlib import Path

import pytest
from pydantic import SecretStr

from mesh.core.rpc.tokens import FORMER_SECONDS, BearerToken
from mesh.core.rpc.watched_files import WatchedFiles
from tests.clock import FakeClock


def read(path: Path) -> str:
    text = path.read_text()
    if text == "broken":
        raise OSError("not whole")
    return text


def test_changed_files_are_read_again_once_a_second_at_most(tmp_path: Path) -> None:
    path, clock = tmp_path / "file", FakeClock(100.0)
    path.write_text("one")
    files = WatchedFiles([path], lambda: read(path), clock)
    path.write_text("second")
    assert files.current() == "one"
    assert files.current(look=True) == "second"
    path.write_text("third one")
    clock.now += 1
    assert files.current() == "third one"


@pytest.mark.parametrize("harm", ["missing", "broken"])
def test_the_former_content_stays_while_the_new_is_of_no_use(tmp_path: Path, harm: str) -> None:
    path, clock = tmp_path / "file", FakeClock(100.0)
    path.write_text("one")
    files = WatchedFiles([path], lambda: read(path), clock)
    path.unlink() if harm == "missing" else path.write_text("broken")
    clock.now += 1
    assert files.current() == "one"
    path.write_text("healed")
    clock.now += 1
    assert files.current() == "healed"


def test_files_that_change_while_they_are_read_are_read_again(tmp_path: Path) -> None:
    path, clock = tmp_path / "file", FakeClock(100.0)
    path.write_text("one")
    writes = iter(["", "newest"])

    def slowly() -> str:
        text = path.read_text()
        if later := next(writes, ""):
            path.write_text(later)
        return text

    files = WatchedFiles([path], slowly, clock)
    path.write_text("newer")
    assert files.current(look=True) == "one", "what was read is already old"
    assert files.current(look=True) == "newest"


def test_a_link_that_is_moved_is_a_change(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    link, spare = tmp_path / "link", tmp_path / "spare"
    link.symlink_to("a")
    files = WatchedFiles([link], lambda: read(link), FakeClock(100.0))
    spare.symlink_to("b")
    spare.replace(link)  # as Kubernetes swaps a volume's content
    assert files.current(look=True) == "b"


def test_the_first_reading_must_succeed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="file"):
        WatchedFiles([tmp_path / "file"], lambda: read(tmp_path / "file"))
    (tmp_path / "file").write_text("\n \n")
    with pytest.raises(OSError, match="holds no token"):
        BearerToken.of(None, tmp_path / "file")


def test_a_fixed_token() -> None:
    assert BearerToken.of(None) is None
    token = BearerToken.of(SecretStr("s3cret"))
    assert token is not None
    assert token.header() == ("authorization", "Bearer s3cret")
    assert token.accepts("Bearer s3cret")
    assert not any(map(token.accepts, ("Bearer s3cre", "Bearer", "s3cret", "", "Bearer \u00e9")))


def test_a_token_in_a_file_changes_without_a_refusal(tmp_path: Path) -> None:
    file, clock = tmp_path / "token", FakeClock(100.0)
    file.write_text("old\n")
    shown, demanded = (BearerToken(WatchedFiles([file], lambda: tuple(file.read_text().split()))) for _ in range(2))
    demanded._clock = clock
    assert demanded.accepts("Bearer old")
    file.write_text("newer\n")
    assert demanded.accepts("Bearer newer"), "the service looks at once when it does not know a token"
    assert demanded.accepts("Bearer old"), "a caller whose file comes later"
    clock.now += FORMER_SECONDS
    assert not demanded.accepts("Bearer old")
    assert shown.current() in {"old", "newer"}
    file.write_text("newer\nnewest\n")
    assert demanded.accepts("Bearer newest"), "each line is accepted"
    assert demanded.accepts("Bearer newer")
