"""The settings' documentation is made of the settings' classes."""

from collections.abc import Mapping
from typing import ClassVar

import pytest
from pydantic import Field, SecretStr

from docs import settings_table
from docs.settings_table import Row
from mesh.core.settings import Frozen


class Inner(Frozen):
    """A group."""

    port: int = Field(1, description="A port.")
    key: SecretStr | None = Field(SecretStr("hidden"), description="A | secret of <someone>.")


class Outer(Frozen):
    """Groups, a mapping of groups, and a list of groups."""

    names: ClassVar[Mapping[str, tuple[str, ...]]] = {"inner.port": ("PORT",)}
    inner: Inner = Inner(port=2)
    maybe: Inner | None = Field(None, description="Nothing by default.")
    many: dict[str, Inner] = Field({}, description="By name.")
    listed: tuple[Inner, ...] = Field((), description="In the file only.")


def test_rows_show_path_aliases_and_the_default_that_holds_there() -> None:
    rows = list(settings_table.rows(Outer, Outer.names))
    assert rows[0] == Row("INNER__PORT", ("PORT",), "2", "A port.")
    assert [row.path for row in rows] == [
        *("INNER__PORT", "INNER__KEY", "MAYBE__PORT", "MAYBE__KEY", "MANY__<NAME>__PORT", "MANY__<NAME>__KEY")
    ]
    assert rows[2].default == "1"


def test_no_secret_is_written_and_cells_stay_cells() -> None:
    text = "\n".join(row.markdown("X_") for row in settings_table.rows(Outer, {}))
    assert "hidden" not in text
    assert "A \\| secret of &lt;someone>." in text


def test_lists_are_told_apart() -> None:
    text = "\n".join(settings_table.file_only(Outer))
    assert "### `listed[]`, in the router's file only" in text
    assert "| `port` | `1` | A port. |" in text


def test_what_all_groups_share_is_told_once() -> None:
    shared, own = Row("HOST", (), "0", "Shared."), Row("PORT", (), "1", "Own.")
    common, rest = settings_table.split_common({"a": [shared, own], "b": [shared]})
    assert common == [shared]
    assert rest == {"a": [own], "b": []}


def test_every_setting_of_the_code_is_in_the_document() -> None:
    """Rendering refuses a setting without a description, and reaches all of them."""
    text = settings_table.render()
    for name in ("`<SERVICE>_DEVICE`<br>`MESH_DEVICE`<br>`DEVICE`", "`OCR_MAX_RESOLUTION`", "`API_AUTH_KEY`"):
        assert name in text


def test_the_short_table_names_settings_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"X_": [Row("PORT", ("SHARED",), "1", "A port.")]}
    monkeypatch.setattr(settings_table, "PEOPLE_SET", {"Doors": ("SHARED",)})
    assert list(settings_table.people_set(rows))[2] == "| Doors | `SHARED` | `1` | A port. |"
    monkeypatch.setattr(settings_table, "PEOPLE_SET", {"Doors": ("X_PROT",)})
    with pytest.raises(SystemExit, match="X_PROT"):
        list(settings_table.people_set(rows))
