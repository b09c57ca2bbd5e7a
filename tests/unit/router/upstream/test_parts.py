"""The parts of a cluster, each alone: balancing, outliers, breaker, retry plan."""

import random
from collections import Counter

import pytest

from mesh.core.errors import DeadlineExceededError, MeshError, ModelUnavailableError, UnavailableError
from router.config import (
    Balancer,
    CircuitBreakerSettings,
    OutlierSettings,
    RetryBudgetSettings,
    RetrySettings,
)
from router.upstream.admission.breaker import CircuitBreaker
from router.upstream.admission.retry import RetryPlan
from router.upstream.calls import FailureKind, TryFailedError, Turn
from router.upstream.endpoints.balancer import make_balancer, pick_available
from router.upstream.endpoints.endpoint import Endpoint, HealthState
from router.upstream.endpoints.outlier import OutlierDetector
from tests.doubles.upstream import FakeTiming, FakeTransport

# The endpoint itself says when it may be asked again.
ANSWERS = (FailureKind.OVERLOADED,)


def endpoints(count: int, timing: FakeTiming) -> list[Endpoint]:
    made = []
    for number in range(count):
        detector = OutlierDetector(OutlierSettings(), timing.now)
        endpoint = Endpoint(f"e{number}", FakeTransport(f"e{number}"), detector, timing.now)
        endpoint.health = HealthState.HEALTHY
        made.append(endpoint)
    return made


class TestBalancer:
    def test_round_robin_takes_one_after_the_other(self) -> None:
        choice = make_balancer(Balancer.ROUND_ROBIN, random.Random(1))
        group = endpoints(3, FakeTiming())
        assert [choice.pick(group).address for _ in range(6)] == ["e0", "e1", "e2"] * 2

    def test_least_request_never_takes_the_busiest_of_three(self) -> None:
        choice = make_balancer(Balancer.LEAST_REQUEST, random.Random(1))
        group = endpoints(3, FakeTiming())
        group[0].active, group[1].active, group[2].active = 9, 5, 1
        picked = Counter(choice.pick(group).address for _ in range(300))
        assert picked["e0"] == 0
        assert picked["e2"] > picked["e1"] > 0

    def test_an_endpoint_to_avoid_is_taken_only_when_there_is_no_other(self) -> None:
        choice = make_balancer(Balancer.LEAST_REQUEST, random.Random(1))
        group = endpoints(2, FakeTiming())
        assert {pick_available(choice, group, {"e0"}).address for _ in range(20)} == {"e1"}  # type: ignore[union-attr]
        group[1].health = HealthState.UNHEALTHY
        assert pick_available(choice, group, {"e0"}) is group[0]
        group[0].draining = True
        assert pick_available(choice, group, set()) is None

    def test_another_zone_is_taken_when_ones_own_has_nobody_free(self) -> None:
        choice = make_balancer(Balancer.ROUND_ROBIN, random.Random(1))
        group = endpoints(3, FakeTiming())
        group[0].zone, group[1].zone = "west", "east"
        assert {pick_available(choice, group, (), "east").address for _ in range(9)} == {"e1"}  # type: ignore[union-attr]
        group[1].draining = True
        assert {pick_available(choice, group, (), "east").address for _ in range(9)} == {"e0", "e2"}  # type: ignore[union-attr]


class TestOutlier:
    def test_ejections_grow_and_shrink_again(self) -> None:
        timing = FakeTiming()
        clock = timing
        settings = OutlierSettings(base_ejection_seconds=30, interval_seconds=10, max_ejection_seconds=70)
        detector = OutlierDetector(settings, clock.now)
        lengths = []
        for _ in range(4):
            lengths.append(detector.eject())
            timing._now = detector.ejected_until
        assert lengths == [30, 60, 70, 70]
        timing._now += 35  # three quiet intervals: three steps back
        assert detector.eject() == 60

    def test_only_failures_in_a_row_count(self) -> None:
        detector = OutlierDetector(OutlierSettings(consecutive_failures=2), FakeTiming().now)
        assert not detector.failed()
        detector.succeeded()
        assert not detector.failed()
        assert detector.failed()

    def test_a_new_process_at_the_address_starts_afresh(self) -> None:
        detector = OutlierDetector(OutlierSettings(), FakeTiming().now)
        detector.eject()
        detector.restart()
        assert not detector.ejected


class TestBreaker:
    def test_requests_are_bounded_and_openings_counted_once(self) -> None:
        breaker = CircuitBreaker(CircuitBreakerSettings(max_requests=2), RetryBudgetSettings())
        breaker.enter(retry=False)
        assert breaker.admits(retry=False, pending=0)
        breaker.enter(retry=False)
        assert not breaker.admits(retry=False, pending=0)
        assert not breaker.admits(retry=False, pending=0)
        assert breaker.openings == 1
        breaker.leave(retry=False)
        assert breaker.admits(retry=False, pending=0)
        breaker.enter(retry=False)
        assert not breaker.admits(retry=False, pending=0)
        assert breaker.openings == 2

    @pytest.mark.parametrize(("active", "pending", "retries"), [(0, 0, 3), (10, 0, 3), (50, 50, 20), (1000, 1000, 5)])
    def test_retries_are_a_share_of_the_traffic_with_a_floor_and_a_limit(
        self, active: int, pending: int, retries: int
    ) -> None:
        limits = CircuitBreakerSettings(max_requests=5000, max_retries=5 if active == 1000 else 256)
        breaker = CircuitBreaker(limits, RetryBudgetSettings(percent=20, min_retries=3))
        breaker.active = active
        breaker.retries = retries - 1
        assert breaker.admits(retry=True, pending=pending)
        breaker.retries = retries
        assert not breaker.admits(retry=True, pending=pending)
        assert breaker.admits(retry=False, pending=pending)


class TestRetryPlan:
    def plan(self, **policy: float) -> RetryPlan:
        return RetryPlan(RetrySettings(**policy), random.Random(3))

    def test_pauses_grow_with_full_jitter_up_to_the_limit(self) -> None:
        plan = self.plan(backoff_base_ms=100, backoff_max_ms=800)
        failed = TryFailedError(FailureKind.UNAVAILABLE, UnavailableError("loading"))
        pauses = [plan.after(failed, "a", 100) for _ in range(200)]
        assert all(pause <= 0.1 * 2**number for number, pause in enumerate(pauses[:4]))
        assert max(pauses) <= 0.8
        assert max(pauses[4:]) > 0.6
        assert min(pauses[4:]) < 0.1

    def test_passing_trouble_never_uses_up_the_tries(self) -> None:
        plan = self.plan(max_retries=0)
        for kind in (FailureKind.OVERLOADED, FailureKind.UNREACHABLE, FailureKind.DIED, FailureKind.HUNG):
            for _ in range(50):
                plan.after(TryFailedError(kind, UnavailableError("x")), "a", 100)

    @pytest.mark.parametrize("kind", [kind for kind in FailureKind if kind not in (FailureKind.CLIENT, *ANSWERS)])
    def test_the_tries_of_a_call_are_bounded_by_its_deadline_whatever_fails(self, kind: FailureKind) -> None:
        plan, left, tries = self.plan(max_retries=10_000), 240.0, 0
        while left > 0:
            tries += 1
            try:
                left -= plan.after(TryFailedError(kind, UnavailableError("x")), "a", left) or 0.0
            except UnavailableError:
                break
        assert tries < 150

    def test_all_failures_share_one_series_of_pauses(self) -> None:
        plan = self.plan(backoff_base_ms=100, backoff_max_ms=100_000, max_retries=100)
        for kind in (FailureKind.UNREACHABLE, FailureKind.UNAVAILABLE, FailureKind.BROKEN, FailureKind.HUNG) * 3:
            plan.after(TryFailedError(kind, UnavailableError("x")), "a", 1000)
        pauses = [plan.after(TryFailedError(FailureKind.UNREACHABLE, UnavailableError("x")), "a", 1000)]
        assert max(pauses) > 1

    def test_a_model_that_cannot_be_had_is_looked_for_once_at_each_endpoint(self) -> None:
        plan = self.plan()
        failed = TryFailedError(FailureKind.MODEL_UNAVAILABLE, ModelUnavailableError("no hub", 7))
        assert plan.after(failed, "a", 100, ["a", "b"]) < 1
        with pytest.raises(ModelUnavailableError, match="no hub") as raised:
            plan.after(failed, "b", 100, ["a", "b"])
        assert raised.value.retry_after_seconds == 7

    def test_probations_become_rare(self) -> None:
        plan = self.plan()
        died = TryFailedError(FailureKind.DIED, UnavailableError("x"))
        pauses = [plan.after(died, "a", 1000) for _ in range(8)]
        assert pauses[0] <= 0.5
        assert pauses[-1] >= 20
        assert plan.probations == 7

    def test_what_no_endpoint_worked_on_is_no_retry(self) -> None:
        plan = self.plan()
        counted = []
        for kind in (FailureKind.UNREACHABLE, FailureKind.HUNG, FailureKind.DIED):
            plan.after(TryFailedError(kind, UnavailableError("x")), "a", 100)
            counted.append(plan.turn)
        assert counted == [Turn.FIRST, Turn.RETRY, Turn.PROBATION]
        assert plan.avoid == {"a"}

    def test_a_deadline_that_passed_is_told_with_what_stood_in_the_way(self) -> None:
        with pytest.raises(DeadlineExceededError):
            raise self.plan().too_late()
        plan = self.plan()
        with pytest.raises(UnavailableError, match="loading"):
            plan.after(TryFailedError(FailureKind.UNAVAILABLE, UnavailableError("loading")), "a", 0)
        plan = self.plan(max_retries=5)
        with pytest.raises(DeadlineExceededError, match="broken"):
            plan.after(TryFailedError(FailureKind.BROKEN, MeshError("broken")), "a", 0)
