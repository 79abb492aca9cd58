"""Reads the words of a line or the keywords of a call into values, collecting every mistake on the way.

Our own reader rather than `argparse`: it must find every mistake and not the first, take ``-n +10`` and ``lr=1e-3``,
and never end the process. What an option means stands in `table`; what excludes what, in `clashes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import Mistake, Mistakes, SweepError, suggest
from ..trial import Objective
from . import defaults, overrides, specs, table
from .clashes import clashes


class Reader:
    """Collects values and mistakes. `on_line` decides how messages spell an option: ``--timeout`` or ``timeout=``."""

    def __init__(self, namespace: Mapping[str, Any], *, on_line: bool) -> None:
        self.namespace, self.on_line = namespace, on_line
        self.values: dict[str, Any] = {}
        self.objectives: list[Objective] = []
        self.pins: dict[str, str] = {}
        self.mistakes: list[Mistake] = []
        self._given: set[str] = set()
        self._stray: list[str] = []
        self._target_tried = False

    def wrong(self, message: str, fix: str = "") -> None:
        self.mistakes.append(Mistake(message, fix=fix))

    def spell(self, name: str) -> str:
        """Give an option's name as this kind of input spells it."""
        return f"--{name}" if self.on_line else f"{name.replace('-', '_')}="

    # -- a line -------------------------------------------------------------------------------------------------------

    def words(self, given: list[str]) -> None:
        """Read the words of a line."""
        rest = list(given)
        while rest:
            word = rest.pop(0)
            if _is_option(word):
                self._option_word(word, rest)
            elif re.match(r"[^\W\d]\w*=", word):
                self._pin(word)
            else:
                self._bare(word)

    def _option_word(self, word: str, rest: list[str]) -> None:
        if word.startswith("--"):
            spelled, equals, value = word.partition("=")
        else:
            spelled, equals, value = word[:2], word[2:3], word[2:].removeprefix("=")
        option = table.BY_SPELLING.get(spelled)
        if option is None:
            self._unknown(spelled)
            if not equals and rest and not _is_option(rest[0]) and "=" not in rest[0]:
                rest.pop(0)
        elif option.is_flag:
            self._flag(option, spelled, True if not equals else value)
        elif equals:
            self.give(option, spelled, value)
        elif not rest or _is_option(rest[0]):
            self._note(option)
            self.wrong(f"{spelled} needs a value: {spelled} {option.metavar}")
        else:
            self.give(option, spelled, rest.pop(0))

    def _unknown(self, spelled: str) -> None:
        if spelled.removeprefix("--") in table.PLANNED:
            self.wrong(f"{spelled} is not in this release")
            return
        allowed = [s for s in table.BY_SPELLING if s.startswith("--")]
        said = suggest(spelled, allowed)
        self._target_tried |= "mean '--min'" in said or "mean '--max'" in said
        self.wrong(f"{spelled} is no option.{said}", fix="%%sweep? explains each one")

    def _pin(self, word: str) -> None:
        name, _, text = word.partition("=")
        if not text:
            self.wrong(f"{word} has no value", fix=f"write {name}=VALUE without spaces, quoted if it holds some")
        elif name in self.pins:
            self.wrong(f"{name} is given twice: {name}={self.pins[name]} and {word}")
        else:
            self.pins[name] = text

    def _bare(self, word: str) -> None:
        if "name" in self.values or word.startswith("="):
            self._stray.append(word)
        else:
            self._name(word)

    def _strays(self) -> None:
        """Note the words that are neither the name nor an option nor name=value, as one mistake."""
        options = [f"--{word}" for word in (self.values.get("name"), *self._stray) if word in table.BY_FIELD]
        if options and self._stray:
            fix = f"did you mean {options[0]}?"
        elif any("=" in word for word in self._stray):
            fix = "write name=value without spaces around '='"
        else:
            fix = "the line has one name; quote a value that holds spaces"
        if self._stray:
            self.wrong(f"can't place {' '.join(map(repr, self._stray))}", fix=fix)
        self._target_tried |= bool(self._stray) and bool({"--min", "--max"} & set(options))

    def _name(self, word: str) -> None:
        self.values["name"] = word
        try:
            table.name(word)
        except SweepError as error:
            self.wrong(str(error))

    # -- a call -------------------------------------------------------------------------------------------------------

    def keywords(self, given: Mapping[str, Any]) -> None:
        """Read the keywords of a call."""
        for keyword, value in given.items():
            option = table.BY_FIELD.get("trials" if keyword == "n" else keyword)
            if value is None:
                continue
            if keyword == "name":
                self._name(str(value))
            elif option is None or option.on_line_only:
                self._unknown_keyword(keyword)
            elif option.is_flag:
                self._flag(option, f"{keyword}=", value)
            else:
                for item in value if option.several and isinstance(value, (list, tuple)) else (value,):
                    self._give_value(option, f"{keyword}=", item)

    def _give_value(self, option: table.Option, spelled: str, value: Any) -> None:
        if isinstance(value, (str, int, float)) and not isinstance(value, bool):
            self.give(option, spelled, str(value))
        elif option.name == "on" and (address := specs.address_of(value)) is not None:
            self.give(option, spelled, address)
        elif hasattr(value, "item"):
            self._give_value(option, spelled, value.item())  # a numpy number
        else:
            self.wrong(f"{spelled} wants a text or a number, got {value!r}")

    def _unknown_keyword(self, keyword: str) -> None:
        if keyword.replace("_", "-") in table.PLANNED:
            self.wrong(f"{keyword}= is not in this release")
            return
        if keyword in table.BY_FIELD:
            self.wrong(f"{keyword}= is an option of the %%sweep line only")
            return
        allowed = ["name", "n", *(o.field for o in table.OPTIONS if not o.on_line_only)]
        self.wrong(f"{keyword}= is no option.{suggest(keyword, allowed)}")

    # -- both ---------------------------------------------------------------------------------------------------------

    def _flag(self, option: table.Option, spelled: str, value: Any) -> None:
        if not isinstance(value, bool):
            self.wrong(f"{spelled} takes no value, got {value!r}" if self.on_line else f"{spelled} wants True or False")
        elif value and self._note(option):
            self.wrong(f"{spelled} is given twice")
        elif value:
            self.values[option.field] = True

    def _note(self, option: table.Option) -> bool:
        """Remember that the option was given, rightly or not; tell whether it was before and may not be again."""
        again = option.field in self._given and not option.several
        self._given.add(option.field)
        self._target_tried |= option.name in ("min", "max")
        return again

    def give(self, option: table.Option, spelled: str, text: str) -> None:
        """Take the text of an option in."""
        if self._note(option):
            self.wrong(f"{spelled} is given twice")
            return
        try:
            value = option.parser(self._expanded(option, text))
        except SweepError as error:
            said = str(error)
            self.wrong(said if said.startswith("--") else f"{spelled} {said}")
            return
        if option.name in ("min", "max"):
            self._objective(value, option.name)
        elif option.name == "trials":
            self.values["trials"], self.values["added"] = value
        elif option.several:
            new = value if isinstance(value, tuple) else (value,)
            self.values[option.field] = (*self.values.get(option.field, ()), *new)
        else:
            self.values[option.field] = value

    def _expanded(self, option: table.Option, text: str) -> str:
        """Give the value of ``{expression}``; a text of any other form is taken as written.

        A Dask cluster or client stands for its address; for `--on`, ``$client.scheduler.address`` is an expression too.
        """
        if option.name == "on" and re.fullmatch(r"\$[^\W\d][\w.]*", text):
            text = f"{{{text[1:]}}}"
        if not self.on_line or not re.fullmatch(r"\{.+\}", text):
            return text
        try:
            value = eval(text[1:-1], dict(self.namespace))  # as globals: a comprehension inside sees no others
            return specs.address_of(value) or str(value)
        except Exception as error:
            raise SweepError(f"can't evaluate {text}: {type(error).__name__}: {error}") from None

    def _objective(self, metric: str, way: str) -> None:
        known = next((o for o in self.objectives if o.metric == metric), None)
        if known is None:
            self.objectives.append(Objective(metric, "minimize" if way == "min" else "maximize"))
        elif known.direction.startswith(way):
            self.wrong(f"{self.spell(way)} {metric} is given twice")
        else:
            both = f"{self.spell('min')} and {self.spell('max')}"
            self.wrong(f"{metric} can't be made small and large: it stands in {both}")

    def finish(self, metrics: Sequence[str]) -> dict[str, Any]:
        """Give the fields of `Options`, after noting what does not go together and a missing target."""
        self._strays()
        self._defaults()
        self._choose_place()
        for message in clashes(self._given, self.values, self.spell):
            self.wrong(message)
        if not self.objectives and not self._target_tried:
            self._no_target(metrics[0] if metrics else "loss")
        return {**self.values, "objectives": tuple(self.objectives), "pins": self.pins}

    def _defaults(self) -> None:
        """Take the user's defaults in, but for those that what was given excludes, one way or the other."""
        try:
            found = defaults.load()
        except Mistakes as error:
            self.mistakes += error.mistakes
            return
        for name, text in found.items():
            option = table.BY_FIELD[name.replace("-", "_")]
            rivals = {*overrides.rivals(name), *(["needs"] if name == "on" else [])}
            if {rival.replace("-", "_") for rival in rivals} & self._given:
                continue
            before = list(clashes(self._given, self.values, self.spell))
            kept, values, mistakes = set(self._given), dict(self.values), len(self.mistakes)
            self.give(option, f"{self.spell(name)} of [defaults]", text)
            clash = len(list(clashes(self._given, self.values, self.spell))) > len(before)
            if clash and len(self.mistakes) == mistakes:
                self._given, self.values = kept, values

    def _choose_place(self) -> None:
        """Take the profile that has what `--needs` says, unless the place is given and wrong already."""
        if "needs" not in self.values or ("on" in self._given and "on" not in self.values):
            return
        try:
            self.values["on"] = specs.place(self.values["needs"], self.values.get("on"))
        except SweepError as error:
            self.wrong(f"{self.spell('needs')} {error}")

    def _no_target(self, metric: str) -> None:
        ways = ("--min {}", "--max {}") if self.on_line else ("min={!r}", "max={!r}")
        one, other = (way.format(metric) for way in ways)
        self.wrong("no target: nothing says what is to be made small or large", fix=f"add {one} or {other}")


def _is_option(word: str) -> bool:
    """Tell an option from a value: ``-1``, ``-`` and ``-.5`` are values."""
    return re.match(r"--|-[A-Za-z]", word) is not None
