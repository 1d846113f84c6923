"""The base of every model that crosses a process or file boundary."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable and strict about unknown keys: what is read is exactly what was written."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_bytes="base64", val_json_bytes="base64")
