"""An imported notice supersedes a clause of one in force once a second person confirms it and says so."""

from datetime import date
from pathlib import Path

import pytest

from knowledge.importing.draft import confirm, draft_of, store
from knowledge.model import KnowledgeError
from knowledge.notices import load_notices
from knowledge.validity import spans

OLD = """示例省商务厅关于服务站点月报的通知
示商电发〔2021〕8号
各县商务主管部门：
一、各县应于每月5日前报送上月服务站点月报表。
二、通过省电商信息系统填报服务站点月报表。
示例省商务厅
2021年2月1日
"""
NEW = """示例省商务厅关于调整服务站点月报时间的通知
示商电发〔2022〕20号
各县商务主管部门：
一、各县应于每月10日前报送上月服务站点月报表。
二、本通知自印发之日起施行，《示例省商务厅关于服务站点月报的通知》（示商电发〔2021〕8号）第一条同时废止。
示例省商务厅
2022年5月10日
"""


def test_a_confirmed_import_supersedes_a_clause(tmp_path: Path) -> None:
    shipped, folder = tmp_path / "shipped", tmp_path / "notices"
    shipped.mkdir()
    for text in (OLD, NEW):
        draft = draft_of(text)
        path = store(draft, folder, load_notices(folder), "粘贴", "甲")
    assert [one for one in draft.warnings if "--supersedes" in one and one.startswith("二：")]
    known = {"shipped": shipped, "folder": folder, "on": date(2022, 5, 11), "by": "乙"}
    of = (path.stem, "示商电发〔2022〕20号", "与印发件核对")
    with pytest.raises(KnowledgeError, match="没有条款“九”"):
        confirm(*of, supersedes="8-2021#九", **known)  # type: ignore[arg-type]  # passed on
    assert not any(span.by for span in spans(load_notices(folder)).values())
    confirm(*of, supersedes="示商电发〔2021〕8号#一 by 一", **known)  # type: ignore[arg-type]  # passed on
    ended = {place: span for place, span in spans(load_notices(folder)).items() if span.until}
    assert list(ended) == [("8-2021", "一")]
    assert ended["8-2021", "一"].until == date(2022, 5, 10)
    assert ended["8-2021", "一"].by == ("20-2022", "一")
