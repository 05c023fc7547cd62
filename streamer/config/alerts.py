"""The settings of alerts: the built-in ones, rules of one's own, and the webhook."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from streamer.config.section import PositiveInt, PositiveSeconds, Seconds, Section
from streamer.errors import did_you_mean

PERSON_NUMBERS: tuple[str, ...] = (
    "valence",
    "valence_raw",
    "uncertainty",
    "trend_per_min",
    "gate.val",
    "gate.cls",
    "presence.audio",
    "presence.text",
    "presence.vision",
    "identity_confidence",
    *(f"class_probabilities.{number}" for number in range(7)),
    "latency_ms.capture",
    "latency_ms.queue",
    "latency_ms.inference",
)
"""The numbers of a participant's record that a rule may read."""
SESSION_NUMBERS: tuple[str, ...] = (
    "valence",
    "uncertainty",
    "spread",
    "trend_per_min",
    "participants",
)
"""The numbers of the meeting's record that a rule may read."""
EVERYONE, SESSION = "everyone", "session"

Finite = Annotated[float, Field(allow_inf_nan=False)]
RuleName = Annotated[str, Field(pattern=r"^[^/\x00-\x1f\x7f-\x9f]{1,60}$")]


class RuleConfig(Section):
    """An alert rule of one's own: a published number beyond a threshold for some time.

    `name` is what people read. `who` is `everyone` (each participant), `session` (the meeting as a
    whole) or a list of participants' names. `number` is a field of their record, as `uncertainty`
    or `presence.audio`. The alert is raised when the number has been `above` or `below` for
    `for_s` seconds, and cleared when it is back at `clear_at`; in between nothing changes. Without
    `clear_at` it is cleared at the threshold itself.
    """

    name: RuleName
    who: str | tuple[str, ...] = EVERYONE
    number: str
    above: Finite | None = None
    below: Finite | None = None
    for_s: Seconds = 10.0
    clear_at: Finite | None = None

    @field_validator("who")
    @classmethod
    def _who_is_known(cls, who: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if isinstance(who, tuple):
            if not who:
                raise ValueError("an empty list names nobody")
        elif who not in (EVERYONE, SESSION):
            raise ValueError(
                f'{who!r} must be "everyone", "session" or a list of names, as in ["ana"]'
            )
        return who

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        known = SESSION_NUMBERS if self.who == SESSION else PERSON_NUMBERS
        if self.number not in known:
            hint = did_you_mean(self.number, known, f"choose from {', '.join(known)}")
            raise ValueError(f"there is no number {self.number!r} to watch; {hint}")
        if (self.above is None) == (self.below is None):
            raise ValueError(f"the rule {self.name!r} needs either `above` or `below`")
        if self.is_beyond(self.clears_at):
            raise ValueError(f"clear_at of the rule {self.name!r} lies beyond its threshold")
        return self

    @property
    def threshold(self) -> float:
        """The value that the number must pass."""
        return self.above if self.above is not None else self.below or 0.0

    @property
    def clears_at(self) -> float:
        """The value at which the alert is over."""
        return self.threshold if self.clear_at is None else self.clear_at

    def is_beyond(self, value: float, *, raised: bool = False) -> bool:
        """Whether a value is beyond the threshold; of an alert that stands, beyond `clears_at`."""
        limit = self.clears_at if raised else self.threshold
        return value > limit if self.above is not None else value < limit

    def concerns(self, participant_id: str | None) -> bool:
        """Whether the rule watches a participant; None: the meeting."""
        if participant_id is None:
            return self.who == SESSION
        return self.who == EVERYONE or (isinstance(self.who, tuple) and participant_id in self.who)


class WebhookConfig(Section):
    """An address to which processing sends every alert, signed.

    `secret`, from the environment, or the content of `secret_file` signs the requests.
    `queue_alerts` wait at most; for one more the oldest is dropped. An attempt takes at most
    `timeout_s`; one that fails is repeated, with growing pauses, for `retry_for_s`.
    """

    SHORTEST_SECRET: ClassVar[int] = 16

    url: SecretStr = SecretStr("")
    secret: SecretStr = SecretStr("")
    secret_file: str = ""
    queue_alerts: PositiveInt = 256
    timeout_s: PositiveSeconds = 10.0
    retry_for_s: PositiveSeconds = 600.0

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: SecretStr) -> SecretStr:
        text = url.get_secret_value()
        if text and not _is_http(text):
            raise ValueError("the address must look like https://host/path")
        return url

    @model_validator(mode="after")
    def _has_a_secret(self) -> Self:
        secret = self.secret.get_secret_value()
        if self.url.get_secret_value() and bool(secret) == bool(self.secret_file):
            raise ValueError("a webhook needs either `secret` or `secret_file`, to sign with")
        if secret and len(secret.encode()) < self.SHORTEST_SECRET:
            raise ValueError(f"secret must have at least {self.SHORTEST_SECRET} characters")
        return self


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


class AlertsConfig(Section):
    """When an alert is raised and when it is cleared (hysteresis).

    Sustained negative: smoothed valence below `negative_below` for `negative_for_s`; cleared
    above `negative_clear_above`. Sharp drop: a fall of `drop_by` within `drop_within_s`; cleared
    when half of it has been made up or after `drop_clear_s`. `rules` are your own.
    `webhook` is told of all of them.
    """

    enabled: bool = True
    negative_below: float = -1.0
    negative_for_s: PositiveSeconds = 10.0
    negative_clear_above: float = -0.5
    drop_by: Annotated[float, Field(gt=0)] = 1.5
    drop_within_s: PositiveSeconds = 15.0
    drop_clear_s: PositiveSeconds = 30.0
    rules: tuple[RuleConfig, ...] = ()
    webhook: WebhookConfig = WebhookConfig()

    @model_validator(mode="after")
    def _hysteresis(self) -> Self:
        if self.negative_clear_above < self.negative_below:
            raise ValueError("negative_clear_above must not lie below negative_below")
        names = [rule.name for rule in self.rules]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            raise ValueError(f"two of the rules have the name {twice!r}")
        return self
