"""A family of models is known to every table of the command, the health check and the router that has one for each."""

import pytest

from mesh.cli.clients.connection import SERVICE_ADDRESSES
from mesh.cli.doctor.parts import SERVICES as EXAMINED
from mesh.cli.machine.plans import METRICS_PORTS
from mesh.cli.machine.settings import FAMILIES, SERVICES
from mesh.cli.supervisor.display import COLOURS
from mesh.cli.supervisor.probes import HEALTH_NAMES
from mesh.core import healthcheck
from mesh.core.settings.unknown import PREFIXES
from mesh.hub.catalogue import Family
from router.config.settings import DEFAULT_CLUSTERS
from router.dispatch.routes import TASKS
from router.upstream.transports import SERVICE_OF_TASK


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(FAMILIES, id="mesh.cli.machine.settings.FAMILIES"),
        pytest.param(METRICS_PORTS, id="mesh.cli.machine.plans.METRICS_PORTS"),
        pytest.param(HEALTH_NAMES, id="mesh.cli.supervisor.probes.HEALTH_NAMES"),
        pytest.param(SERVICE_ADDRESSES, id="mesh.cli.clients.connection.SERVICE_ADDRESSES"),
        pytest.param(EXAMINED, id="mesh.cli.doctor.parts.SERVICES"),
        pytest.param(DEFAULT_CLUSTERS, id="router.config.settings.DEFAULT_CLUSTERS"),
    ],
)
def test_each_service_is_in(table: object) -> None:
    assert isinstance(table, dict | tuple)
    assert set(table) == set(SERVICES)


def test_each_service_has_a_colour_and_its_settings_a_prefix() -> None:
    assert set(SERVICES) <= set(COLOURS)
    prefixes = {str(kind.model_config["env_prefix"]) for kind in SERVICES.values()}
    assert prefixes <= set(PREFIXES)
    assert prefixes == {f"{prefix}_" for prefix in healthcheck.PREFIXES}


def test_each_family_is_a_service_and_a_task_with_a_health_of_its_own() -> None:
    assert set(FAMILIES.values()) == set(Family)
    assert set(SERVICE_OF_TASK) == set(TASKS) == {family.value for family in Family}
