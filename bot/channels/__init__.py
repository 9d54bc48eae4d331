"""Channels: each translates its platform's messages into Inbound and replies back."""

from bot.messages import Reply


def plain(reply: Reply) -> str:
    """A reply as text alone: options numbered, links written out."""
    lines = [reply.text]
    lines += [f"{number}. {option.label}" for number, option in enumerate(reply.options, 1)]
    lines += [f"{link.label}：{link.url}" for link in reply.links]
    return "\n".join(lines)
