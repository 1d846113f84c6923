"""The conntrack remedy: by what the table has to carry, or by the kernel's own numbers."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from remedy.spec.base import SpecModel
from remedy.spec.duration import PATTERN as DURATION_PATTERN
from remedy.spec.duration import parse_duration
from remedy.spec.size import PATTERN as SIZE_PATTERN
from remedy.spec.size import parse_size

_MOST = 2**31 - 1  # the kernel keeps it in an int
# Below that a kernel does not boot with (min. of 1024 buckets), and a host with containers does not live.
_LEAST_ENTRIES = 1024


def _whole_number(least: int, most: int) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}, found {value!r}")
        return value

    return BeforeValidator(check)


Entries = Annotated[int, _whole_number(_LEAST_ENTRIES, _MOST), Field(ge=_LEAST_ENTRIES, le=_MOST)]
Rate = Annotated[int, _whole_number(1, 1_000_000), Field(ge=1, le=1_000_000)]


class ConntrackOptions(SpecModel):
    """How many connections the kernel can track. Either connection_rate and memory, or max and buckets."""

    connection_rate: Rate | None = Field(
        default=None, description="new tracked connections a second at the busiest time; the table is made for twice it"
    )
    memory: str | None = Field(
        default=None, pattern=SIZE_PATTERN, description="what a full table may occupy, such as 128MiB"
    )
    max: Entries | None = Field(default=None, description="net.netfilter.nf_conntrack_max")
    buckets: Entries | None = Field(default=None, description="net.netfilter.nf_conntrack_buckets")
    tcp_timeout_time_wait: str | None = Field(
        default=None, pattern=DURATION_PATTERN, description="how long a closed connection keeps its entry, such as 30s"
    )
    tcp_timeout_established: str | None = Field(
        default=None, pattern=DURATION_PATTERN, description="how long a silent connection keeps its entry, such as 24h"
    )

    @model_validator(mode="after")
    def _by_one_way(self) -> ConntrackOptions:
        if all(value is None for _, value in self):
            raise ValueError("name at least one: connection_rate, memory, max, buckets or a timeout")
        by_intent = self.connection_rate is not None or self.memory is not None
        if by_intent and (self.max is not None or self.buckets is not None):
            raise ValueError("either connection_rate and memory, from which max and buckets follow, or these numbers")
        return self

    @property
    def memory_bytes(self) -> int | None:
        """What a full table may occupy."""
        return None if self.memory is None else parse_size(self.memory)

    @property
    def time_wait_seconds(self) -> int | None:
        """How long a closed connection keeps its entry."""
        return None if self.tcp_timeout_time_wait is None else parse_duration(self.tcp_timeout_time_wait)

    @property
    def established_seconds(self) -> int | None:
        """How long a silent connection keeps its entry."""
        return None if self.tcp_timeout_established is None else parse_duration(self.tcp_timeout_established)
