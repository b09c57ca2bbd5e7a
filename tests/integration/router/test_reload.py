"""Configuration that changes while requests are under way."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.doubles.router import ALL, Front, front, quiet_listeners
from tests.doubles.services import Services, running_services
from tests.waiting import PATIENCE_SECONDS, until

OCR = '{"ocr":{"detection":{"modelName":"x"},"recognition":{"modelName":"x"}}}'


@pytest.fixture
async def stage(services: Services, tmp_path: Path) -> AsyncIterator[Front]:
    file = tmp_path / "router.yaml"
    write(file, services)
    async with front(services, file) as made:
        yield made


def write(file: Path, services: Services, **changes: Any) -> None:
    content = {"listeners": quiet_listeners(), **dict.fromkeys(ALL, services.address), **changes}
    file.write_text(yaml.safe_dump(content), "utf-8")


def file_of(stage: Front) -> Path:
    assert stage.router.status.config_file is not None
    return stage.router.status.config_file


async def test_requests_held_for_a_cluster_that_moves_go_to_its_new_place(stage: Front, services: Services) -> None:
    await services.set_serving(False)
    await until(lambda: not stage.router.status.can_serve)
    waiting = [asyncio.create_task(stage.predict(OCR, b"%d" % number)) for number in range(10)]
    await until(lambda: stage.router.clusters.clusters["ocr"].held_bytes() == 10)
    async with running_services() as moved:
        write(file_of(stage), moved)
        report = await stage.router.reloader.reload()
        assert report.problems == ()
        assert {found for found, _ in await asyncio.gather(*waiting)} == {200}
        assert len(moved.calls) == 10


async def test_calls_under_way_finish_where_they_are(stage: Front, services: Services) -> None:
    gate = asyncio.Event()

    async def wait(*_: Any) -> None:
        await gate.wait()

    services.behave = wait
    running = asyncio.create_task(stage.predict(OCR))
    await until(lambda: services.active == 1)
    async with running_services() as moved:
        write(file_of(stage), moved)
        await stage.router.reloader.reload()
        await asyncio.sleep(0.05)
        gate.set()
        assert (await running)[0] == 200
        assert moved.calls == []
        assert (await stage.predict(OCR))[0] == 200
        assert moved.calls == ["Recognize"]


async def test_clusters_that_did_not_change_keep_their_connections(stage: Front, services: Services) -> None:
    before = dict(stage.router.clusters.clusters)
    write(file_of(stage), services, clusters={"ocr": {"balancer": "round_robin"}})
    await stage.router.reloader.reload()
    after = stage.router.clusters.clusters
    assert after["clip"] is before["clip"]
    assert after["face"] is before["face"]
    assert after["ocr"] is not before["ocr"]


async def test_a_bad_file_keeps_the_old_configuration_and_says_so(stage: Front) -> None:
    file = file_of(stage)
    file.write_text("clusters:\n  ocr:\n    balancer: fast\n", "utf-8")
    before = stage.router.status.settings
    report = await stage.router.reloader.reload()
    assert "router.yaml:3:5: clusters.ocr.balancer" in report.problems[0]
    assert stage.router.status.settings is before
    assert stage.router.status.last_reload is report
    assert stage.count("router_config_reloads_total", result="failed") == 1
    assert (await stage.predict(OCR))[0] == 200


async def test_a_certificate_that_is_missing_keeps_the_old_configuration(stage: Front, services: Services) -> None:
    write(file_of(stage), services, upstream_tls={"ca_file": "/nowhere/ca.pem"})
    report = await stage.router.reloader.reload()
    assert "ca.pem" in report.problems[0]
    assert (await stage.predict(OCR))[0] == 200


async def test_what_needs_a_restart_is_named(stage: Front, services: Services) -> None:
    write(file_of(stage), services, listeners=quiet_listeners(max_body_bytes=5))
    report = await stage.router.reloader.reload()
    assert report.restart_needed == ("listeners",)


async def test_a_change_of_the_file_is_noticed(stage: Front, services: Services) -> None:
    quick = stage.router.status.settings.model_copy(update={"reload_interval_seconds": 0.01})
    stage.router.status.settings = quick
    changed = asyncio.Event()
    watching = asyncio.create_task(stage.router.reloader.watch(changed.set))
    await asyncio.sleep(0.05)
    assert not changed.is_set()
    write(file_of(stage), services, drain_seconds=3)
    await asyncio.wait_for(changed.wait(), PATIENCE_SECONDS)
    watching.cancel()
