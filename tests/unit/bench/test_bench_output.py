"""What a benchmark says of the machine that it ran on."""

from __future__ import annotations

from remedy.bench.output import load_lines


def test_figures_of_a_busy_machine_are_called_so() -> None:
    assert load_lines(0.9, 2) == []
    assert load_lines(3.2, 2) == ["The machine was busy (load 3.2, 2 processors): measure again when it is not."]
