"""What every part of remedy.yaml has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator


class SpecModel(BaseModel):
    """Base of the spec's models: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_means_absent(cls, data: object) -> object:
        # `remedies:` with nothing but comments below it is YAML's null: as if the line were not there.
        if not isinstance(data, dict):
            return data
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {key: value for key, value in data.items() if value is not None or key not in known}
