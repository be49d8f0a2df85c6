"""What is wrong with a configuration file, said so that it can be put right at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from recorder.config.model import Config
from recorder.config.places import Key

_IN_OUR_WORDS = {
    "too_short": "is empty; write at least one",
    "string_too_short": "is empty",
    "string_type": "this is not a text in quotes",
    "int_type": "this is not a whole number without quotes",
    "tuple_type": "this is not a list in square brackets",
    "dict_type": "this is not a section",
    "model_type": "this is not a section",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where, what, and what to write instead. `line` counts from 1, if it is known."""

    file: str
    line: int | None
    key: str
    text: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(Exception):
    """The configuration file cannot be used. All problems that were found, one a line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(it) for it in self.problems))


def explain(error: ValidationError) -> Iterator[tuple[Key, str]]:
    """pydantic's errors in our own words."""
    for it in error.errors(include_url=False, include_input=False):
        key: Key = tuple(part for part in it["loc"] if part != "[key]")
        yield key, _text(it["type"], it["msg"], key)


def shown(key: Key, data: Mapping[str, Any]) -> str:
    """A key path as people write it; elements of arrays are called by their name."""
    text, value = "", data
    for part in key:
        value = _inside(value, part)
        if isinstance(part, int):
            named = value.get("name", value.get("id", part)) if isinstance(value, Mapping) else part
            text += f"[{named}]"
        else:
            text += f".{part}" if text else part
    return text


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The remedy for a word that is not known."""
    words = sorted(known)
    close = get_close_matches(word, words, n=1)
    return f'write "{close[0]}"' if close else f"write one of: {', '.join(words) or '(none is defined)'}"


def _inside(value: Any, part: str | int) -> Any:
    try:
        return value[part]
    except (KeyError, IndexError, TypeError):
        return {}


def _text(kind: str, message: str, key: Key) -> str:
    if kind == "extra_forbidden":
        around = _field_at(key[:-1])[1] or Config
        return f"unknown key; {did_you_mean(str(key[-1]), around.model_fields)}"
    field = _field_at(key)[0]
    remedy = f"; write {field.examples[0]}" if field is not None and field.examples else ""
    if kind == "missing":
        return f"is missing{remedy}"
    said = _IN_OUR_WORDS.get(kind, message.removeprefix("Value error, "))
    return f"{said[:1].lower()}{said[1:]}{remedy}"


def _field_at(key: Key) -> tuple[FieldInfo | None, type[BaseModel] | None]:
    """The field that this key names, and the section inside it."""
    field: FieldInfo | None = None
    model: type[BaseModel] | None = Config
    for part in key:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            field = model.model_fields[part]
            model = _section_in(field.annotation)
    return field, model


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isclass(annotation) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for it in get_args(annotation) if (found := _section_in(it))), None)
