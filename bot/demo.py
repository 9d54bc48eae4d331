"""The demo: a believable province at 2020-04-24, in a database of its own."""

from datetime import datetime

from bot.settings import Clock, Database, Province, Settings

NOW = datetime.fromisoformat("2020-04-24T10:00:00+08:00")


def demo_settings(chosen: Settings) -> Settings:
    """The settings with the demo's clock, database and province; the real database is not touched."""
    folder = chosen.paths.data / "demo"
    return chosen.model_copy(
        update={
            "database": Database(url=f"sqlite:///{folder / 'countydesk.db'}"),
            "clock": Clock(now=NOW),
            "province": Province(
                name="示例省商务厅（样例数据）", report_channel="省商务厅举报监督电话 000-00000000（样例）"
            ),
        }
    )
