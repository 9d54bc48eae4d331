"""What comes other than as words: pictures and files to keep, events, and what cannot be used here."""

from datetime import timedelta

from bot.dialogue import Route
from bot.messages import Link, Reply, Turn
from bot.texts import say
from storage import conversations, deliveries, files, people, uploads

TOGETHER = timedelta(minutes=10)  # pictures sent within this time are counted as one batch


def received(turn: Turn) -> Reply:
    """Keep a picture or a file of somebody who is bound; say what works instead of anything else."""
    kind = turn.inbound.kind
    if kind == "voice":
        return Reply(text=say("inbox.no_speech"), route="inbox.voice")
    if kind not in ("image", "file"):
        return Reply(text=say("inbox.only_text"), route="inbox.other")
    photo = kind == "image"
    if turn.user is None:
        return Reply(text=say("inbox.not_bound", photo=photo, count=len(turn.inbound.media)), route="inbox.not_bound")
    channel, address = turn.inbound.channel, turn.inbound.address
    if refusal := _too_much(turn):
        return Reply(text=refusal, route="inbox.full")
    for media in turn.inbound.media:
        files.receive(
            turn.db,
            channel=channel,
            address=address,
            person_id=turn.user.id,
            body_id=turn.user.body_id,
            media_id=media.id,
            name=media.name,
            mime=media.mime,
            now=turn.now,
            sha256=media.sha256,
            size=media.size,
        )
    together, _ = files.sent_since(turn.db, channel, address, turn.now - TOGETHER)
    count = len(turn.inbound.media)
    fetched = all(media.sha256 for media in turn.inbound.media)
    text = say("inbox.took", photo=photo, count=count, together=together, fetched=fetched)
    return Reply(text=text, route="inbox.took")


def _too_much(turn: Turn) -> str:
    """Why no more is taken: what a link or a day holds is reached. Empty when it is not."""
    channel, address = turn.inbound.channel, turn.inbound.address
    size = sum(media.size for media in turn.inbound.media)
    if link_at := turn.given.get("link_at"):
        count, bytes_sent = files.sent_since(turn.db, channel, address, link_at)
        if count >= uploads.MOST_FILES or bytes_sent + size > uploads.MOST_BYTES:
            return say("inbox.link_full", most=uploads.MOST_FILES, megabytes=uploads.MOST_BYTES // 1_000_000)
    _, bytes_sent = files.sent_since(turn.db, channel, address, turn.now - timedelta(days=1))
    if bytes_sent + size > uploads.MOST_BYTES_A_DAY:
        return say("inbox.day_full", megabytes=uploads.MOST_BYTES_A_DAY // 1_000_000)
    return ""


def upload(turn: Turn) -> Reply:
    """A page for sending several files at once, or those that the channel does not take."""
    assert turn.user is not None  # a member's route
    base = turn.given.get("base_url", "")
    if not base and turn.inbound.channel != "web":
        return Reply(text=say("inbox.no_page"), route="inbox.upload")
    token = uploads.make(turn.db, turn.inbound.channel, turn.inbound.address, turn.user.id, turn.now)
    minutes = uploads.LASTS.seconds // 60
    link = Link(label="上传文件", url=f"{base}/f/up/{token}")
    return Reply(text=say("inbox.upload", minutes=minutes), links=(link,), route="inbox.upload")


def sent(turn: Turn) -> Reply:
    """`sent ID RESULT`: the platform reports what became of a message that it had accepted."""
    _, platform_id, result = turn.text.split(" ", 2)
    if result != "success":
        deliveries.reported(turn.db, turn.inbound.channel, platform_id, result)
    return Reply(text="", route="inbox.sent")


def result(turn: Turn) -> Reply:
    """The reply that was not ready in time, while the asker is the same and has every role that they had."""
    before = conversations.last_exchange(
        turn.db, turn.inbound.channel, turn.inbound.address, ("result", "event", "inbox.sent", conversations.PUSH)
    )
    asker = turn.user.id if turn.user else None
    if before is None or before.person_id not in (None, asker) or asker and people.lost(turn.db, asker, before.at):
        return Reply(text=say("inbox.no_result"), route="result")
    stored = Reply.from_json(conversations.reply(turn.db, before))
    return Reply(
        text=stored.text, options=stored.options, links=stored.links, kind=stored.kind, rest=stored.rest, route="result"
    )


EVENTS = {"sent": sent}
ROUTES = [
    Route(name="result", pattern=r"结果", run=result, examples=("结果",)),
    Route(name="upload", pattern=r"上传|上传文件|传文件|上传链接", run=upload, member=True, examples=("上传文件",)),
]
