"""The money of a demonstration year: 下达, 拨付, 使用, reported with a date; the two rates and the 90 % lines.

No notice writes what a rate divides by. Both are taken of the central funds allocated (下达), because both conditions
speak of those: 资金拨付率达到90%以上 (demonstration-2020 四¶3), 中央财政资金使用90%以上 (商办建函〔2020〕144号 四(二)).
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from storage import audit
from storage.models import Fund
from storage.scope import viewer_of

LINE = Decimal("0.9")  # 90%以上, which includes 90 %
TAKEN_BACK_WITHIN = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What is reported: three amounts in 万元 and the day they hold for."""

    allocated: Decimal
    disbursed: Decimal
    used: Decimal
    as_of: date

    @property
    def disbursement_rate(self) -> Decimal | None:
        return rate(self.disbursed, self.allocated)

    @property
    def use_rate(self) -> Decimal | None:
        return rate(self.used, self.allocated)

    @property
    def disbursed_short(self) -> Decimal:
        """What must still be paid out to reach 90 %, in 万元; nought when it is reached."""
        return max(self.allocated * LINE - self.disbursed, Decimal(0))

    @property
    def used_short(self) -> Decimal:
        """What must still be used to reach 90 %, in 万元; nought when it is reached."""
        return max(self.allocated * LINE - self.used, Decimal(0))

    def as_json(self) -> dict[str, str]:
        """The sums as the audit keeps them."""
        amounts = {"allocated": self.allocated, "disbursed": self.disbursed, "used": self.used}
        return {name: f"{amount.normalize():f}" for name, amount in amounts.items()} | {"as_of": str(self.as_of)}


def rate(part: Decimal, allocated: Decimal) -> Decimal | None:
    """A share of what was allocated, cut to hundredths of a percent so that 89.999 % never shows as 90 %.

    None when nothing was allocated.
    """
    return (part / allocated).quantize(Decimal("0.0001"), ROUND_FLOOR) if allocated else None


def strange(reported: Sums) -> list[str]:
    """What does not fit: more paid out than allocated (`disbursed`), more used than paid out (`used`), no allocation."""
    doubts = {
        "allocated": not reported.allocated,
        "disbursed": reported.disbursed > reported.allocated,
        "used": reported.used > reported.disbursed,
    }
    return [name for name, holds in doubts.items() if holds]


def sums(fund: Fund) -> Sums:
    """The sums of a stored report."""
    return Sums(allocated=fund.allocated, disbursed=fund.disbursed, used=fund.used, as_of=fund.as_of)


def _held(body_id: int, batch_year: int) -> Select[Fund]:
    wanted = select(Fund).where(Fund.body_id == body_id, Fund.batch_year == batch_year, Fund.withdrawn_at.is_(None))
    return wanted.order_by(Fund.as_of.desc(), Fund.id.desc())


def history(db: Session, body_id: int, batch_year: int) -> list[Fund]:
    """Every report of a demonstration year that was not taken back; the one that holds comes first."""
    return list(db.scalars(_held(body_id, batch_year)))


def newest(db: Session, body_id: int, batch_year: int) -> Fund | None:
    """The report that holds: the newest day's, and of that day the last."""
    return db.scalars(_held(body_id, batch_year).limit(1)).first()


def on_day(db: Session, body_id: int, batch_year: int, as_of: date) -> Fund | None:
    """The report that holds for one day; what the next report of that day corrects."""
    return db.scalars(_held(body_id, batch_year).where(Fund.as_of == as_of).limit(1)).first()


def report(
    db: Session,
    body_id: int,
    batch_year: int,
    reported: Sums,
    *,
    source: str,
    now: datetime,
    role: str,
    reason: str = "",
) -> Fund | None:
    """Store a report; None when the day's report says the same already."""
    before = on_day(db, body_id, batch_year, reported.as_of)
    if before is not None and sums(before) == reported:
        return None
    fund = Fund(
        body_id=body_id,
        batch_year=batch_year,
        allocated=reported.allocated,
        disbursed=reported.disbursed,
        used=reported.used,
        as_of=reported.as_of,
        source=source,
        person_id=viewer_of(db).person_id,
        at=now,
    )
    db.add(fund)
    db.flush()
    audit.record(
        db,
        "fund.report",
        f"fund:{fund.id}",
        now=now,
        role=role,
        body_id=body_id,
        before=sums(before).as_json() if before else None,
        after=sums(fund).as_json() | {"batch_year": batch_year, "source": source},
        reason=reason,
    )
    return fund


def last_by(db: Session, person_id: int, now: datetime) -> Fund | None:
    """The last report of a person that can still be taken back; None after a day."""
    wanted = select(Fund).where(
        Fund.person_id == person_id, Fund.withdrawn_at.is_(None), Fund.at >= now - TAKEN_BACK_WITHIN
    )
    return db.scalars(wanted.order_by(Fund.id.desc()).limit(1)).first()


def withdraw(db: Session, fund: Fund, now: datetime, role: str) -> None:
    """Take a report back; its row stays, and the report before it holds again."""
    fund.withdrawn_at = now
    audit.record(
        db, "fund.withdraw", f"fund:{fund.id}", now=now, role=role, body_id=fund.body_id, before=sums(fund).as_json()
    )
    db.flush()
