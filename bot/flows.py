"""Forms: a flow is a tuple of steps, and its only state is the answers given so far.

The next question is a pure function of the answers, so going back, resuming and correcting need no code of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.messages import Option, Reply, Turn

Answers = Mapping[str, Any]  # Any: JSON values, each of its step's kind


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The answer to another step than the open one: a correction, or what a search came down to.

    A step that takes several answers at once returns a tuple of them.
    """

    key: str
    value: Any  # Any: the JSON value of the answer


@dataclass(frozen=True, kw_only=True)
class Step:
    """One question. `parse` turns what was typed into a JSON value or raises Invalid; `when` says if it applies.

    `sets` is the key that the answer goes to where that is not the step's own. A `prose` step takes any sentence: what
    is a command is no answer to it, and what may be either is asked.

    Where the words or the choices depend on the earlier answers, `ask` and `options` are functions of them.
    """

    key: str
    ask: str | Callable[[Turn, Answers], str]
    parse: Callable[[Turn, str], Any]  # Any: the JSON value of the answer, Answered, or a tuple of these
    options: tuple[Option, ...] | Callable[[Turn, Answers], tuple[Option, ...]] = ()
    when: Callable[[Answers], bool] = lambda answers: True
    sets: str = ""
    prose: bool = False

    def asked(self, turn: Turn, answers: Answers) -> str:
        return self.ask(turn, answers) if callable(self.ask) else self.ask

    def offered(self, turn: Turn, answers: Answers) -> tuple[Option, ...]:
        return self.options(turn, answers) if callable(self.options) else self.options


@dataclass(frozen=True, kw_only=True)
class Flow:
    """A form: its steps in order, what is done with the answers, and what is known when it begins."""

    name: str
    title: str
    steps: tuple[Step, ...]
    done: Callable[[Turn, Answers], Reply]
    start: Callable[[Turn], Answers] = lambda turn: {}

    def next_step(self, answers: Answers) -> Step | None:
        """The first step that applies and is not answered yet."""
        return next((step for step in self.steps if step.key not in answers and step.when(answers)), None)

    def back(self, answers: Sequence[Any]) -> list[Any]:  # Any: pairs of key and answer, in the order given
        """The answers up to the last that a step gave; all of them where there is none but what the form began with."""
        given = {step.sets or step.key for step in self.steps}
        last = next((place for place, pair in reversed(list(enumerate(answers))) if pair[0] in given), len(answers))
        return list(answers[:last])

    def step(self, key: str) -> Step:
        return next(step for step in self.steps if step.key == key)
