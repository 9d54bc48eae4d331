"""/metrics for whoever watches the program from the same machine: deliveries, reminders, turns. Numbers only."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from fastapi import APIRouter, HTTPException, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from storage import reminders
from storage.db import reading
from storage.models import Delivery, Exchange, Occurrence

LOCALS = ("127.0.0.1", "::1")
RECENT = timedelta(minutes=5)


class _Numbers(Collector):
    """Reads the figures when they are asked for, so that every process tells the same."""

    def __init__(self, sessions: sessionmaker[Session], clock: Callable[[], datetime]) -> None:
        self._sessions, self._clock = sessions, clock

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._clock()
        with reading(self._sessions) as db:
            for name, table in (("deliveries", Delivery), ("reminders", Occurrence)):
                family = GaugeMetricFamily(f"countydesk_{name}", f"{name} by state", labels=["state"])
                for state, count in db.execute(select(table.state, func.count()).group_by(table.state)).all():
                    family.add_metric([state], count)
                yield family
            oldest = db.scalar(
                select(func.min(Delivery.not_before)).where(Delivery.state == "queued", Delivery.not_before <= now)
            )
            age_s = (now - oldest).total_seconds() if oldest else 0.0
            yield GaugeMetricFamily("countydesk_oldest_due_seconds", "how long the oldest due message waits", age_s)
            took = sorted(
                db.scalars(select(Exchange.took_ms).where(Exchange.at > now - RECENT, Exchange.route != "push"))
            )
            turns = GaugeMetricFamily("countydesk_turn_seconds", "turns of five minutes", labels=["quantile"])
            for quantile in (0.5, 0.95, 1.0) if took else ():
                turns.add_metric([str(quantile)], took[min(int(len(took) * quantile), len(took) - 1)] / 1000)
            yield turns
            beats = GaugeMetricFamily("countydesk_job_age_seconds", "since a job last ran", labels=["job"])
            for job, at in reminders.beats(db).items():
                beats.add_metric([job], (now - at).total_seconds())
            yield beats


def metrics(sessions: sessionmaker[Session], clock: Callable[[], datetime]) -> APIRouter:
    """The route, for callers on this machine that come through no proxy."""
    registry = CollectorRegistry()
    registry.register(_Numbers(sessions, clock))
    routes = APIRouter()

    @routes.get("/metrics")
    def shown(request: Request) -> Response:
        here = request.client is not None and request.client.host in LOCALS
        if not here or "x-forwarded-for" in request.headers or "forwarded" in request.headers:
            raise HTTPException(404)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes
