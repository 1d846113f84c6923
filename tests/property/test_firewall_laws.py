"""Laws of the iptables-save reader: nothing is lost, and what is quoted reads back."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remedy.firewall.iptables_save import parse, quote, render, tokenise
from remedy.firewall.normal_form import differences, normalised

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# What a comment can hold: the kernel takes any byte, iptables-save prints it.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40)
words = st.from_regex(r"[A-Za-z0-9_.:/-]{1,12}", fullmatch=True)
counters = st.sampled_from(["", "[0:0] ", "[12:3456] "])


@st.composite
def rules(draw: st.DrawFn, chain: str) -> str:
    options = draw(st.lists(st.tuples(st.sampled_from(["", "! "]), words, words), max_size=4))
    middle = " ".join(f"{negation}--{name.lstrip('-')} {value}" for negation, name, value in options)
    comment = f" -m comment --comment {quote(draw(texts))}"
    return f"{draw(counters)}-A {chain} {middle}{comment} -j {draw(words)}"


@st.composite
def saved(draw: st.DrawFn) -> str:
    blocks = []
    for table in draw(st.lists(st.sampled_from(["nat", "filter", "raw"]), unique=True, max_size=3)):
        lines = [f"*{table}", ":FORWARD ACCEPT [0:0]", ":X-CHAIN - [0:0]"]
        lines += draw(st.lists(rules("FORWARD"), max_size=4)) + draw(st.lists(rules("X-CHAIN"), max_size=3))
        blocks.append("\n".join([*lines, "COMMIT", ""]))
    return "".join(blocks)


@unhurried
@given(saved())
def test_rendering_what_was_parsed_gives_the_text(text: str) -> None:
    assert render(parse(text)) == text


@unhurried
@given(texts)
def test_a_quoted_token_is_one_token_again(token: str) -> None:
    assert [found.text for found in tokenise(quote(token))] == [token]


@unhurried
@given(saved())
def test_a_state_differs_from_itself_in_nothing(text: str) -> None:
    assert differences(normalised(text), normalised(text)) == ()


@unhurried
@given(saved(), saved())
def test_differences_are_empty_only_between_equal_forms(one: str, other: str) -> None:
    same = normalised(one) == normalised(other)
    assert (differences(normalised(one), normalised(other)) == ()) == same
