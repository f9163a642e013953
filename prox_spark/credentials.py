"""Passwords, tokens, keys and signatures: found in texts and hidden, or refused before they reach a table, log or error.

Text from outside (an error of a library, an engine's log) goes through ``hidden``: anything that looks like a secret becomes
``***``. A setting or a location is refused instead (``reason``, ``in_settings``): it is stored with a refinement, and named in
messages and manifests. A reason names the setting, never the value.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from prox_spark.errors import ConfigError

HIDDEN = "***"

_NAME = (
    r"(?:api|access|secret|account|private|encryption)[_.\-]?key|secret|password|passwd|credential|authorization"
    r"|(?:^|[_.\-])token|(?:access|auth|bearer|session|security|refresh|hf)token"
)
SECRET_NAME = re.compile(rf"(?:{_NAME})s?$", re.IGNORECASE)
"""A setting with such a name contains a secret if its value is text."""

# The user and password of a URL. A name alone is no secret: in abfss://container@account it is the container. The keys of S3
# contain slashes, and what follows a port is no password.
_USER = r"(?<=://)[^/@\s:\"',]*:(?!\d+/)[^@\s\"',]+(?=@)"
_TOKEN = (
    r"\b(?:sk-[\w-]{20,}|hf_\w{16,}|gh[opsur]_\w{16,}|github_pat_\w{16,}|dapi[0-9a-f]{16,}|(?:AKIA|ASIA)[0-9A-Z]{12,})"
    r"|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+"  # a JSON web token
    r"|(?<=[Bb]earer )[\w.~+/=-]{8,}"
    r"|(?P<name>(?i:authorization[\"']?\s*[:=]\s*[\"']?(?:basic|digest|token)\s+))[^\s\"',]+"
)
# Only the shape of a real token is refused in a setting: a folder may be called hf_datasets or sk-common-crawl.
_CERTAIN = (
    r"\b(?:sk-(?:proj-|ant-[a-z0-9]+-)?(?=[\w-]*[A-Z])(?=[\w-]*\d)[A-Za-z0-9][\w-]{31,}|hf_[A-Za-z0-9]{30,}"
    r"|gh[opsur]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|dapi[0-9a-f]{32}|(?:AKIA|ASIA)[0-9A-Z]{16})\b"
    + _TOKEN[_TOKEN.index(r"|\beyJ") :]
)
_KEY = (
    r"(?:signature|credential|token|password|passwd|secret|(?:api|access|secret|account|private)[_.-]?key|\bsig|\bpwd)"
)

_SECRET = re.compile(rf"{_USER}|{_TOKEN}|(?P<key>(?i:{_KEY}=[\"']?))[^&\s;\"']+")

_REASONS = (
    ("a user name and password in a URL", re.compile(_USER)),
    ("a key or token", re.compile(_CERTAIN)),
    # Only in a query: a folder may be called `token=5`.
    ("a signature or key in a URL", re.compile(rf"(?i:[?&;][^=&;]*{_KEY}=)[^&\s;]+")),
)

FREE = frozenset({"options", "parameters"})
"""Settings with arbitrary keys: in these, the name of a key may mark a secret."""

_UNTOUCHED = frozenset({"spark", "answers", "default", "error_on", "crash_on"})
"""``spark`` is neither stored nor logged: Spark's properties are where credentials belong. The others are texts of pages."""

_WHERE = (
    "tables and logs would show it; pass secrets in the environment of driver and executors, or as properties of Spark"
)


def hidden(text: str) -> str:
    """The text with ``***`` for what looks like a secret.

    >>> hidden("GET https://me:pass@host/a?sig=5fe failed")
    'GET https://***@host/a?sig=*** failed'
    """
    return _SECRET.sub(lambda found: (found["name"] or found["key"] or "") + HIDDEN, text)


def stripped(settings: Any) -> Any:
    """Settings as an older package stored them, with ``***`` for values that are secrets by their name or look like one.

    >>> stripped({"options": {"my_token": "x", "seed": 1}})
    {'options': {'my_token': '***', 'seed': 1}}
    """
    if isinstance(settings, Mapping):
        return {
            key: HIDDEN if isinstance(value, str) and SECRET_NAME.search(key) else stripped(value)
            for key, value in settings.items()
        }
    if isinstance(settings, list):
        return [stripped(value) for value in settings]
    return hidden(settings) if isinstance(settings, str) else settings


def reason(text: str) -> str | None:
    """Why a location or setting is refused; ``None`` if it contains no secret.

    >>> reason("s3a://me:pass@bucket/store").partition(":")[0]
    'contains a user name and password in a URL'
    >>> reason("abfss://corpus@account/token=5") is None
    True
    """
    for what, pattern in _REASONS:
        if pattern.search(text):
            return f"contains {what}: {_WHERE}"
    return None


def check_location(name: str, location: str) -> None:
    """Raise ``ConfigError`` for a path or URL that contains a secret; ``name`` is the argument's name."""
    why = reason(location)
    if why is not None:
        raise ConfigError(f"{name} {why}")


def in_settings(settings: Any) -> str | None:
    """The first setting of a configuration that is or contains a secret, as ``key: reason``; ``None`` without one."""
    return next(_found(settings, (), free=False), None)


def in_options(options: Mapping[str, Any]) -> str | None:
    """Like ``in_settings``, for settings of any name: those called ``…token``, ``…password`` and the like are secrets."""
    return next(_found(options, (), free=True), None)


def _found(value: Any, keys: tuple[str, ...], *, free: bool) -> Iterator[str]:
    where = f"{'.'.join(keys)}: " if keys else ""
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            name = str(key)
            if reason(name) is not None:
                yield f"{where}a key {reason(name)}"
            elif free or name not in _UNTOUCHED:
                yield from _found(inner, (*keys, name), free=free or name in FREE)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _found(inner, keys, free=free)
    elif isinstance(value, str):
        if free and SECRET_NAME.search(keys[-1]):
            yield f"{where}is a secret by its name: {_WHERE}"
        elif (why := reason(value)) is not None:
            yield where + why
