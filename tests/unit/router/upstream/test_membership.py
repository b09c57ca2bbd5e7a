"""Discovery and health: who is a member, and who is fit."""

from pathlib import Path

import pytest

from router.config import ClusterSettings, HealthCheckSettings
from router.upstream.endpoints.address import Address
from router.upstream.endpoints.discovery import EndpointDiscovery, system_resolver
from router.upstream.endpoints.endpoint import HealthState, Probe
from router.upstream.endpoints.endpoint_slices import ApiServer
from router.upstream.endpoints.health import QUIET_SECONDS
from router.upstream.endpoints.membership import Membership
from tests.doubles.upstream import Blocked, FakeEndpoints, FakeTiming, Stand, settle


class FakeDns:
    """Answers what it is told, or fails."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.fails = False

    async def __call__(self, host: str, port: int) -> list[str]:
        if self.fails:
            raise OSError("no such name")
        return [f"{address}:{port}" for address in self.addresses]


class Members:
    """A membership on fake DNS."""

    def __init__(self, dns: FakeDns, endpoint: str = "dns:///ocr:50051") -> None:
        self.timing = FakeTiming()
        self.endpoints = FakeEndpoints()
        settings = ClusterSettings(endpoints=(endpoint,), dns_refresh_seconds=5)
        self.members = Membership("c", settings, self.endpoints.open, self.timing, lambda: None, dns)

    def addresses(self) -> list[str]:
        return [endpoint.address for endpoint in self.members.endpoints]


async def test_every_address_behind_a_name_is_an_endpoint_and_new_ones_join_within_seconds() -> None:
    dns = FakeDns("10.0.0.1", "10.0.0.2")
    stand = Members(dns)
    await stand.members.start()
    assert stand.addresses() == ["10.0.0.1:50051", "10.0.0.2:50051"]
    dns.addresses.append("10.0.0.3")
    await stand.timing.advance(6)
    assert stand.addresses() == ["10.0.0.1:50051", "10.0.0.2:50051", "10.0.0.3:50051"]
    assert stand.members.endpoints[2].health is HealthState.HEALTHY
    await stand.members.close()
    assert all(transport.closed for transport in stand.endpoints.by_address.values())


async def test_an_address_that_is_gone_gets_nothing_new_and_closes_after_its_last_call() -> None:
    dns = FakeDns("10.0.0.1", "10.0.0.2")
    stand = Members(dns)
    await stand.members.start()
    leaving = stand.members.endpoints[0]
    leaving.active = 1
    dns.addresses.remove("10.0.0.1")
    await stand.timing.advance(6)
    assert leaving.state == "draining"
    assert not leaving.available
    leaving.active = 0
    stand.members.settled(leaving)
    await settle()
    assert stand.addresses() == ["10.0.0.2:50051"]
    assert stand.endpoints["10.0.0.1:50051"].closed
    await stand.members.close()


async def test_closing_while_an_address_leaves_closes_that_connection_too() -> None:
    stand = Members(FakeDns("10.0.0.1", "10.0.0.2"))
    await stand.members.start()
    await settle()
    stand.members.update([Address("10.0.0.2:50051")])
    await stand.members.close()
    assert all(transport.closed for transport in stand.endpoints.by_address.values())


async def test_an_address_that_comes_back_while_draining_stays() -> None:
    dns = FakeDns("10.0.0.1")
    stand = Members(dns)
    await stand.members.start()
    stand.members.endpoints[0].active = 1
    dns.addresses.clear()
    await stand.timing.advance(6)
    dns.addresses.append("10.0.0.1")
    await stand.timing.advance(6)
    assert not stand.members.endpoints[0].draining
    await stand.members.close()


async def test_a_name_that_cannot_be_resolved_keeps_the_addresses_it_had() -> None:
    dns = FakeDns("10.0.0.1")
    stand = Members(dns)
    await stand.members.start()
    dns.fails = True
    await stand.timing.advance(30)
    assert stand.addresses() == ["10.0.0.1:50051"]
    await stand.members.close()


async def test_a_name_unknown_at_the_start_is_found_later() -> None:
    dns = FakeDns("10.0.0.1")
    dns.fails = True
    stand = Members(dns)
    await stand.members.start()
    assert stand.addresses() == []
    dns.fails = False
    await stand.timing.advance(6)
    assert stand.addresses() == ["10.0.0.1:50051"]
    await stand.members.close()


async def test_the_certificates_name_is_the_one_that_was_resolved() -> None:
    found = await EndpointDiscovery(["dns:///ocr:1", "plain:2"], FakeDns("10.0.0.1")).resolve()
    assert found == [Address("10.0.0.1:1", "ocr"), Address("plain:2", "")]


async def test_the_system_resolves_localhost() -> None:
    assert "127.0.0.1:50051" in await system_resolver("localhost", 50051)


@pytest.mark.parametrize("probe", [Probe.NOT_SERVING, Probe.UNREACHABLE])
async def test_what_an_endpoint_says_of_itself_counts_at_once(probe: Probe) -> None:
    async with Stand() as stand:
        stand.endpoints["a:1"].health = probe
        await stand.timing.advance(2.1)
        assert stand.endpoint("a:1").health is HealthState.UNHEALTHY
        stand.endpoints["a:1"].health = Probe.SERVING
        await stand.timing.advance(0.6)
        assert stand.endpoint("a:1").health is HealthState.HEALTHY


async def test_silence_counts_after_the_threshold() -> None:
    health = HealthCheckSettings(unhealthy_threshold=3, interval_seconds=2, unhealthy_interval_seconds=0.5)
    async with Stand(health_check=health) as stand:
        stand.endpoints["a:1"].health = Probe.TIMEOUT
        await stand.timing.advance(2.6)
        assert stand.endpoint("a:1").health is HealthState.HEALTHY
        assert not stand.endpoint("a:1").hung
        await stand.timing.advance(0.6)
        assert stand.endpoint("a:1").health is HealthState.UNHEALTHY
        assert stand.endpoint("a:1").hung


async def test_recovery_takes_as_many_good_checks_as_configured() -> None:
    async with Stand(health_check=HealthCheckSettings(healthy_threshold=3)) as stand:
        assert stand.endpoint("a:1").health is HealthState.UNKNOWN
        await stand.timing.advance(0.6)
        assert stand.endpoint("a:1").health is HealthState.UNKNOWN
        await stand.timing.advance(0.5)
        assert stand.endpoint("a:1").health is HealthState.HEALTHY


async def test_a_watch_with_news_is_heard_at_once_and_its_zones_are_known(tmp_path: Path) -> None:
    timing, endpoints = FakeTiming(), FakeEndpoints()
    settings = ClusterSettings(endpoints=("kubernetes:///ocr.immich:50051",), dns_refresh_seconds=5)
    nowhere = ApiServer("http://127.0.0.1:9", tmp_path)  # without a token nothing is ever asked
    members = Membership("c", settings, endpoints.open, timing, lambda: None, FakeDns(), lambda: nowhere)
    await members.start()
    assert members.endpoints == []
    (watch,) = members._discovery._watches.values()
    watch.addresses = [Address("10.0.0.1:50051", "ocr.immich.svc", "west")]
    watch.changed()
    await settle()
    assert [(one.address, one.zone) for one in members.endpoints] == [("10.0.0.1:50051", "west")]
    watch.addresses = []
    watch.changed()
    await settle()
    assert members.endpoints == []
    await members.close()


async def test_who_is_asked_nothing_is_checked_less_often_until_a_request_comes() -> None:
    async with Stand(health_check=HealthCheckSettings(interval_seconds=2)) as stand:
        await stand.timing.advance(QUIET_SECONDS + 2)
        transport = stand.endpoints["a:1"]
        before = transport.probes
        await stand.timing.advance(40)
        assert transport.probes - before == 4
        # The first request finds out at once what has become of it meanwhile, and the usual checks follow.
        transport.behave = blocked = Blocked()
        call = stand.send()
        await settle()
        assert transport.probes - before == 5
        await stand.timing.advance(QUIET_SECONDS + 10)  # a call that takes long is a use
        assert transport.probes - before == 25
        blocked.release()
        await call


async def test_a_connection_that_breaks_is_looked_into_at_once() -> None:
    async with Stand() as stand:
        await stand.timing.advance(QUIET_SECONDS + 5)
        transport = stand.endpoints["a:1"]
        transport.health = Probe.UNREACHABLE
        transport.lost()
        await settle()
        assert stand.endpoint("a:1").health is HealthState.UNHEALTHY


async def test_who_would_not_be_missed_is_checked_as_often_as_ever() -> None:
    async with Stand(health_check=HealthCheckSettings(interval_seconds=2)) as stand:
        transport = stand.endpoints["a:1"]
        transport.tells_loss = False
        await stand.timing.advance(QUIET_SECONDS + 2)
        before = transport.probes
        await stand.timing.advance(40)
        assert transport.probes - before == 20
