"""WeChat over real HTTP: followers on one side, the API server on the other, the running product between."""

from collections.abc import Iterator

import pytest

from bot.channels import wechat_api
from bot.channels.wechat import Wechat
from tests.channels.wechat.support import HOOK, keys
from tests.conftest import JUNE
from tests.fakes.server import Site, running
from tests.fakes.wechat import APP, SECRET, Follower, WechatServer


@pytest.fixture(scope="package")
def fake() -> Iterator[WechatServer]:
    made = WechatServer()
    yield made
    made.close()


@pytest.fixture(scope="package")
def desk(fake: WechatServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("wechat"), **keys(fake)) as site:
        yield site


@pytest.fixture
def me(fake: WechatServer, desk: Site) -> Iterator[Follower]:
    """Somebody new."""
    fake.faults.clear()
    follower = Follower(hook=desk.url + HOOK)
    yield follower
    follower.http.close()


@pytest.fixture
def channel(fake: WechatServer, desk: Site) -> Wechat:
    fake.faults.clear()
    found = desk.channels["wechat"]
    assert isinstance(found, Wechat)
    return found


@pytest.fixture
def fresh() -> Iterator[tuple[WechatServer, wechat_api.Api]]:
    server = WechatServer()
    api = wechat_api.Api(grant=wechat_api.stable_token(APP, SECRET), api_base=server.base, clock=lambda: JUNE)
    yield server, api
    api.close()
    server.close()
