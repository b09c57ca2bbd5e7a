"""Settings from defaults, environment and file; and the sentences about what is wrong with them."""

import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from router.config import PRIVATE_NETWORKS, Protocol, RouterSettings
from router.config.file import ConfigError, check_config, config_dump, json_schema, load

ALIASES = {name for names in RouterSettings.aliased_names.values() for name in names}


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ALIASES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "router.yaml"


def problems(file: Path, text: str) -> list[str]:
    file.write_text(text, "utf-8")
    with pytest.raises(ConfigError) as refusal:
        check_config(file)
    return [problem.replace(str(file), "F") for problem in refusal.value.problems]


class TestDefaults:
    def test_no_file_is_needed(self) -> None:
        settings = load(None)
        assert settings.listeners.immich_ml.port == 3003
        assert settings.listeners.admin.host == "127.0.0.1"
        assert {name: c.endpoints for name, c in settings.all_clusters().items()} == {
            "ocr": ("127.0.0.1:50051",),
            "clip": ("127.0.0.1:50052",),
            "face": ("127.0.0.1:50053",),
        }
        assert [route.timeout_seconds for route in settings.all_routes()] == [285, 285, 285]

    def test_keep_alive_outlasts_immichs_and_only_private_networks_may_call(self) -> None:
        listener = load(None).listeners.immich_ml
        assert listener.keepalive_seconds > 4
        assert tuple(map(str, listener.allow)) == PRIVATE_NETWORKS

    def test_settings_are_frozen(self) -> None:
        with pytest.raises(ValidationError):
            load(None).drain_seconds = 1  # type: ignore[misc]


class TestEnvironment:
    def test_simple_names(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROUTER_OCR_ENDPOINTS", "a:1, b:2")
        monkeypatch.setenv("ROUTER_LISTENERS__IMMICH_ML__PORT", "3004")
        monkeypatch.setenv("ROUTER_LISTENERS__IMMICH_ML__ALLOW", "10.0.0.0/8")
        settings = load(None)
        assert settings.all_clusters()["ocr"].endpoints == ("a:1", "b:2")
        assert settings.listeners.immich_ml.port == 3004
        assert list(map(str, settings.listeners.immich_ml.allow)) == ["10.0.0.0/8"]
        assert settings.listeners.admin.port == 9901

    def test_names_of_the_seed_and_of_immich_ml(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("IMMICH_API", "http://immich-ml:3003")
        monkeypatch.setenv("MT_PHOTOS_API_KEY", "secret")
        monkeypatch.setenv("IMMICH_PORT", "3010")
        monkeypatch.setenv("CLIP_MODEL", "ViT-B-16")
        monkeypatch.setenv("IMMICH_LOG_LEVEL", "verbose")
        settings = load(None)
        assert settings.all_clusters()["immich"].protocol is Protocol.HTTP
        assert settings.all_routes()[-1].cluster == "immich"
        key = settings.listeners.mt_photos.api_key
        assert key is not None
        assert key.get_secret_value() == "secret"
        assert settings.listeners.immich_ml.port == 3010
        assert settings.clip_model == "ViT-B-16__cn-clip"

    def test_our_names_beat_theirs_and_the_environment_beats_the_file(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file.write_text("listeners: {immich_ml: {port: 1, max_body_bytes: 77}}\ndrain_seconds: 5\n", "utf-8")
        monkeypatch.setenv("IMMICH_PORT", "2")
        assert load(file).listeners.immich_ml.port == 2
        monkeypatch.setenv("ROUTER_LISTENERS__IMMICH_ML__PORT", "3")
        settings = load(file)
        assert settings.listeners.immich_ml.port == 3
        assert settings.listeners.immich_ml.max_body_bytes == 77
        assert settings.drain_seconds == 5

    @pytest.mark.parametrize(
        ("name", "value", "problem"),
        [
            ("ROUTER_DRAIN_SECONDS", "soon", r"^ROUTER_DRAIN_SECONDS: .*number"),
            ("IMMICH_PORT", "many", r"^IMMICH_PORT: .*integer"),
            ("ROUTER_CLUSTERS", '{"x": {"balancer": "dice"}}', r"^ROUTER_CLUSTERS\.x\.balancer: "),
            ("LOG_LEVEL", "loud", r"^LOG_LEVEL: unknown log level 'loud'"),
        ],
    )
    def test_a_wrong_value_names_the_variable(
        self, name: str, value: str, problem: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(name, value)
        with pytest.raises(ConfigError, match=problem):
            load(None)


class TestFile:
    def test_clusters_and_routes(self, file: Path) -> None:
        file.write_text(
            """
            clusters:
              clip: {balancer: round_robin}
              clip-canary: {endpoints: ["dns:///canary:50052"]}
            routes:
              - task: clip
                clusters: [{cluster: clip, weight: 95}, {cluster: clip-canary, weight: 5}]
                served_model: ViT-B-16__cn-clip
            """,
            "utf-8",
        )
        settings = check_config(file)
        assert settings.all_clusters()["clip"].endpoints == ("127.0.0.1:50052",)
        assert [route.task for route in settings.all_routes()] == ["clip", "clip", "facial-recognition", "ocr"]

    def test_what_it_says_of_a_service_that_is_not_installed_waits_for_that_service(self, file: Path) -> None:
        file.write_text(
            """
            ocr_endpoints: []
            clusters:
              ocr: {balancer: round_robin}
              spare: {endpoints: ["spare:50052"]}
            routes:
              - {task: ocr, cluster: ocr}
              - task: clip
                clusters: [{cluster: ocr, weight: 95}, {cluster: spare, weight: 5}]
                mirror: {cluster: ocr}
            """,
            "utf-8",
        )
        settings = check_config(file)
        assert set(settings.all_clusters()) == {"clip", "face", "spare"}
        own, *defaults = settings.all_routes()
        assert [target.cluster for target in own.targets] == ["spare"]
        assert own.mirror is None
        assert [route.task for route in defaults] == ["clip", "facial-recognition"]

    def test_an_empty_file_is_the_defaults(self, file: Path) -> None:
        file.write_text("", "utf-8")
        assert check_config(file) == load(None)

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("clusters:\n  clip:\n    balancer: fast\n", "F:3:5: clusters.clip.balancer: Input should be"),
            ("listeners:\n  immich_ml:\n    prt: 3\n", "F:3:5: listeners.immich_ml.prt: no such setting"),
            ("bogus: 1\n", "F:1:1: bogus: no such setting"),
            ("routes:\n  - task: ocr\n", "F:2:5: routes.0: a route needs either"),
            ("drain_seconds: 1\nroutes:\n  - {task: ocr, cluster: nowhere}\n", "F:3:5: routes.0: no cluster 'nowhere'"),
            ("clusters:\n  extra: {}\n", "F:2:3: clusters.extra: needs endpoints"),
            ("a: [1\n", "F:2:1: not YAML"),
            ("drain_seconds: 1\ndrain_seconds: 2\n", "F:2:1: drain_seconds: given twice"),
            ("- 1\n", "F:1:1: the file must be a mapping"),
            ("listeners: {immich_ml: {keepalive_seconds: 3}}\n", "F:1:25: listeners.immich_ml.keepalive_seconds:"),
            ("log_level: loud\n", "F:1:1: log_level: unknown log level"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_position(self, file: Path, text: str, problem: str) -> None:
        (found,) = problems(file, text)
        assert found.startswith(problem)

    def test_all_that_is_wrong_is_said_at_once(self, file: Path) -> None:
        assert len(problems(file, "a: 1\nb: 2\ndrain_seconds: x\n")) == 3

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: No such file"):
            load(tmp_path / "none.yaml")


class TestDump:
    def test_no_secret_is_shown(self, file: Path) -> None:
        file.write_text(
            """
            auth_token: hidden1
            immich_api: http://user:hidden2@immich:3003
            listeners:
              mt_photos: {api_key: hidden3}
              immich_ml: {secret_hosts: [hidden4.lan]}
            clusters:
              ocr: {auth_token: hidden5}
            """,
            "utf-8",
        )
        dump = config_dump(load(file))
        assert "hidden" not in str(dump)
        assert dump["immich_api"] == "http://**********@immich:3003"
        assert dump["clusters"]["ocr"]["auth_token"] == "**********"

    def test_it_shows_what_is_in_use(self) -> None:
        dump = config_dump(load(None))
        assert dump["clusters"]["clip"]["circuit_breakers"]["max_requests"] == 1024
        assert dump["routes"][0]["served_model"] == "ViT-B-16__cn-clip"


class TestSchema:
    def test_the_committed_schema_is_current(self) -> None:
        committed = Path(__file__).parents[3] / "docs" / "router.schema.json"
        assert json.loads(committed.read_text("utf-8")) == json_schema()

    def test_the_documented_example_is_valid(self) -> None:
        settings = check_config(Path(__file__).parents[3] / "docs" / "router.example.yaml")
        assert len(settings.routes) > 1

    def test_every_setting_is_described(self) -> None:
        schema = json_schema()
        nodes = {"": schema, **schema["$defs"]}
        undescribed = [
            f"{owner}.{key}"
            for owner, node in nodes.items()
            for key, field in node.get("properties", {}).items()
            # Groups of settings are described by what is in them.
            if "description" not in field and "$ref" not in str(field)
        ]
        assert undescribed == []


def test_yaml_of_the_example_names_its_schema() -> None:
    text = (Path(__file__).parents[3] / "docs" / "router.example.yaml").read_text("utf-8")
    assert text.startswith("# yaml-language-server: $schema=router.schema.json")
    assert yaml.safe_load(text)
