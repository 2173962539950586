"""How any config is read: validated YAML, unknown keys refused."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from fer_bench.errors import FerBenchError, cannot_read, coded, one_line, suggest


class Config(BaseModel):
    """Base of all configs: immutable, keyword-only, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


AnyConfig = TypeVar("AnyConfig", bound=BaseModel)
#: A list that names itself again and again in YAML would be gigabytes when printed whole.
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother, _SHORT.maxlong = 3, 78, 78, 78


def _allowed_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys allowed where an error is, by walking the nested models."""
    for step in path:
        field = model.model_fields.get(str(step))
        nested = (
            [
                t
                for t in (field.annotation, *getattr(field.annotation, "__args__", ()))
                if isinstance(t, type) and issubclass(t, BaseModel)
            ]
            if field
            else []
        )
        if nested:
            model = nested[0]
    return list(model.model_fields)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """What each setting means, by its key; of nested configs by `outer.inner`."""
    descriptions: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            nested = meanings(field.annotation)
            descriptions |= {f"{name}.{key}": meaning for key, meaning in nested.items()}
        elif field.description:
            descriptions[name] = field.description
    return descriptions


def validate(model: type[AnyConfig], values: Any, where: str) -> AnyConfig:
    """`values` as a config; the first problem becomes one sentence that names `where`.

    Raises:
        FerBenchError: values do not fit; unknown keys come with a suggestion.
    """
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        # A misspelt key explains a missing one: it goes first.
        errors = sorted(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        first = errors[0]
        path = first["loc"]
        key = one_line(".".join(str(p) for p in path)) or "the document"
        if first["type"] == "extra_forbidden":
            hint = suggest(str(path[-1]), _allowed_keys(model, path[:-1]))
            raise FerBenchError(f"{where}: unknown key {key!r}; {hint}") from None
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] != "value_error":  # ours say what came
            message += f", got {_SHORT.repr(first['input']):.80}"
        raise FerBenchError(f"{where}: {key}: {message}") from None
    for key in _read_as_one(values, config):
        raise FerBenchError(f"{where}: {key}: expected a number, got true: say how much")
    return config


def _read_as_one(given: Any, read: Any, *path: object) -> Iterator[str]:
    """The keys of each `true` that was read as the number 1, which `mixup: true` does not mean."""
    if given is True and not isinstance(read, bool):
        yield ".".join(map(str, path))
    elif isinstance(given, dict):
        inner = read if isinstance(read, dict) else getattr(read, "__dict__", {})
        for key, value in given.items():
            yield from _read_as_one(value, inner.get(key), *path, key)
    elif isinstance(given, (list, tuple)) and isinstance(read, (list, tuple)):
        for number, (value, its) in enumerate(zip(given, read, strict=False)):
            yield from _read_as_one(value, its, *path, number)


class _Loader(yaml.SafeLoader):
    """Plain values only, each key once, and whole numbers only as long as Python can print them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line} has the key {key.value!r:.80} again: keep one")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if re.match(r"[-+]?0\d|.*:", node.value):  # 010 is 8, and 1:30 is 90
            raise ValueError(
                f"{node.value:.80} means one number to some readers, another to others"
            )
        number: int = super().construct_yaml_int(node)
        str(number)  # a ValueError of more than 4,300 digits, which 0b1... can have
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


@coded("bad_config")
def load_yaml(model: type[AnyConfig], path: Path) -> AnyConfig:
    """Reads and validates one YAML file.

    Raises:
        FerBenchError: no such file, not YAML, or values that do not fit.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise cannot_read(path, error) from None
    except UnicodeDecodeError as error:
        raise FerBenchError(f"cannot read {path}: {error}", code="missing_file") from None
    try:
        values = _Loader(text).get_single_data()
    except RecursionError:
        raise FerBenchError(f"{path} is not valid YAML: it is nested too deeply") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise FerBenchError(f"{path} is not valid YAML: {reason}") from None
    except (ValueError, LookupError, AttributeError) as error:  # `2001-99-99`, `!!bool maybe`
        raise FerBenchError(
            f"{path} is not valid YAML: a date, number or tagged value in it is none ({error})"
        ) from None
    return validate(model, values, str(path))
