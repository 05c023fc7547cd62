"""Settings from a TOML file, the environment and the command line, validated.

Later wins: built-in defaults, the TOML file, `STREAMER__SECTION__KEY` in the environment,
`--set section.key=value`. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
from pydantic import BaseModel, ValidationError

from streamer.config.settings import Config
from streamer.errors import ConfigError, did_you_mean

ENVIRONMENT_PREFIX = "STREAMER__"


def load(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Config:
    """Read the settings.

    Args:
        path: a TOML file; None for the defaults alone.
        overrides: `section.key=value` items, strongest.
        environment: defaults to the process's own.

    Raises:
        ConfigError: the file is missing or not TOML, a key is unknown, a value does not fit.
    """
    tree = _read_toml(path) if path is not None else {}
    texts: dict[tuple[str, ...], str] = {}
    for name, text in sorted((os.environ if environment is None else environment).items()):
        if name.startswith(ENVIRONMENT_PREFIX):
            keys = name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__")
            _put(tree, keys, _value(text), origin=name)
            texts[tuple(keys)] = text
    for item in overrides:
        dotted, equals, text = item.partition("=")
        if not equals:
            raise ConfigError(f"--set {item!r} must look like section.key=value.")
        keys = dotted.strip().split(".")
        _put(tree, keys, _value(text), origin=f"--set {dotted}")
        texts[tuple(keys)] = text
    _keep_texts(tree, texts)
    return build(tree)


def build(tree: Mapping[str, Any]) -> Config:
    """Validate a plain tree of settings; raises ConfigError in one sentence."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError(_one_sentence(error)) from None


def dump(config: Config) -> dict[str, Any]:
    """Return the tree as plain values, secrets masked, as `streamer config show` prints it."""
    return config.model_dump(mode="json")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"There is no configuration file {path}; name one that exists with --config."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The configuration file {path} cannot be read: {error}.") from None


def _keep_texts(tree: dict[str, Any], texts: Mapping[tuple[str, ...], str]) -> None:
    """Put the text itself where a string is expected: a password of digits is no number."""
    try:
        Config.model_validate(tree)
    except ValidationError as error:
        for each in error.errors():
            keys = tuple(str(part) for part in each["loc"])
            if each["type"] == "string_type" and keys in texts:
                _put(tree, keys, texts[keys], origin=".".join(keys))


def _put(tree: dict[str, Any], keys: Sequence[str], value: Any, *, origin: str) -> None:
    for key in keys[:-1]:
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{origin} goes below {key!r}, which is a value, not a section.")
    tree[keys[-1]] = value


def _value(text: str) -> Any:
    """A TOML value where the text is one (3, true, ["a"]), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _one_sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    dotted = ".".join(where)
    if first["type"] == "extra_forbidden":
        key = ".".join(part for part in where if not part.isdigit())  # without places in lists
        hint = did_you_mean(key, _known_keys(Config), "`streamer config show` lists them all.")
        return f"The setting {dotted!r} is unknown; {hint}"
    message = first["msg"].removeprefix("Value error, ")
    sentence = f"The setting {dotted!r} is wrong: {message}" if dotted else message
    return sentence if sentence.endswith("?") else f"{sentence}."


def _known_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        for kind in (field.annotation, *get_args(field.annotation)):  # a section, or a list of them
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                keys += _known_keys(kind, f"{prefix}{name}.")
    return keys


def as_toml(config: Config) -> str:
    """The tree as TOML text, secrets masked."""
    return msgspec.toml.encode(config.model_dump(mode="json", exclude_none=True)).decode()
