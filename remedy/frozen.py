"""The base of every model that crosses a process or file boundary."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable and strict about unknown keys: what is read is exactly what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")


class FrozenWhenUsed(Frozen):
    """The same, whose validator is made with the first value: who only knows the type, as the watcher, goes without.

    That making is not for several threads at once: who uses threads makes them all before (`make_validators`).
    """

    model_config = ConfigDict(defer_build=True)


def make_validators() -> None:
    """Make the validators of all models that wait for their first value."""
    waiting = list(FrozenWhenUsed.__subclasses__())
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        model.model_rebuild()
