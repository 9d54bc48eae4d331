"""The demo: a believable province at 2020-04-24, in a database of its own.

Divisions are public names; every person, figure and conversation is invented and marked as a sample.
"""

import uuid
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import yaml
from sqlalchemy.orm import Session, sessionmaker

from bot.messages import Inbound
from bot.settings import Clock, Database, Province, Settings
from bot.turns import TurnThread
from storage.conversations import recent_exchanges
from storage.db import transaction

NOW = datetime.fromisoformat("2020-04-24T10:00:00+08:00")


def sample() -> dict[str, Any]:  # Any: the sample file's mappings
    """The sample province: its name, its counties with their facts, and a morning's questions."""
    text = files("bot").joinpath("demo.yaml").read_text(encoding="utf-8")
    content: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)
    return content


def demo_settings(chosen: Settings) -> Settings:
    """The settings with the demo's clock, database and province; the real database is not touched."""
    folder = chosen.paths.data / "demo"
    province = sample()["province"]
    return chosen.model_copy(
        update={
            "database": Database(url=f"sqlite:///{folder / 'countydesk.db'}"),
            "clock": Clock(now=NOW),
            "security": chosen.security.model_copy(update={"audit_key_file": folder / "keys" / "audit.key"}),
            "province": Province(name=province["name"], report_channel=province["report_channel"]),
        }
    )


def counties() -> dict[str, dict[str, str]]:
    """Each sample county's facts as fact key → text."""
    return {county["name"]: county["facts"] for county in sample()["counties"]}


def seed(turns: TurnThread, sessions: sessionmaker[Session]) -> int:
    """Hold the sample conversations once; how many questions were asked."""
    asked = 0
    for talk in sample()["conversations"]:
        with transaction(sessions) as db:
            if recent_exchanges(db, "web", talk["address"], 1):
                continue
        for number, text in enumerate(talk["said"]):
            inbound = Inbound(
                channel="web",
                message_id=f"{talk['address']}:{uuid.uuid4().hex}",
                address=talk["address"],
                text=text,
                at=NOW - timedelta(minutes=60 - number),
            )
            turns.submit(inbound).result()
            asked += 1
    return asked
