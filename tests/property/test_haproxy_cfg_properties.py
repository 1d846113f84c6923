"""haproxy.cfg: whatever bytes come in come out, and an edit changes the words that it is about, no others."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from remedy.errors import RemedyError
from remedy.haproxy_cfg.document import Document
from remedy.haproxy_cfg.edit import ResolversSection, ServerEdit, edit_config
from remedy.haproxy_cfg.servers import read_servers
from remedy.haproxy_cfg.traits import read_traits
from remedy.haproxy_cfg.words import split

# Lines that look like a configuration more often than noise does.
WORDS = st.sampled_from(
    [
        "server", "s1", "172.17.0.1:5001", "check", "port", "5001", "#", "'", '"', "\\", "\\ ", "${X}", '"$Y"', "\t",
        "  ", "backend", "defaults", "b", "from", "default-server", "resolvers", "cookie", "x", "server-template", "3",
        "weight", "\r", "\v", "é", "[::1]:80", "ipv4@10.0.0.1:80", "init-addr", "last", "agent-check",
    ]
)  # fmt: skip
LINES = st.lists(WORDS, max_size=10).map(" ".join)
ENDINGS = st.sampled_from(["\n", "\r\n"])
FILES = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.lists(LINES, max_size=12), ENDINGS, st.booleans()).map(
        lambda made: (made[1].join(made[0]) + (made[1] if made[2] else "")).encode()
    ),
)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9_.-]{0,20}[a-z0-9])?", fullmatch=True)


@given(FILES)
def test_what_is_read_is_written_byte_for_byte(raw: bytes) -> None:
    assert Document.parse(raw).render() == raw


@given(FILES)
def test_an_edit_of_nothing_changes_nothing(raw: bytes) -> None:
    assert edit_config(raw, [], None) == raw


@given(FILES)
def test_no_content_raises(raw: bytes) -> None:
    read_servers([("a.cfg", raw)])
    read_traits([("a.cfg", raw), ("b.cfg", raw)])


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
def test_words_lie_in_the_line_in_order_and_do_not_overlap(line: str) -> None:
    try:
        words = split(line)
    except ValueError:
        return
    places = [(word.start, word.end) for word in words]
    assert places == sorted(places)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(places))
    assert all(0 <= begin < end <= len(line) for begin, end in places)


@given(FILES, NAMES, st.integers(1, 65535), st.one_of(st.none(), st.integers(1, 65535)))
def test_an_edit_changes_its_lines_and_nothing_else(raw: bytes, host: str, port: int, check: int | None) -> None:
    for line in read_servers([("a.cfg", raw)]):
        edit = ServerEdit("a.cfg", line.line, host, port, check, "r", "last,libc,none")
        try:
            edited = edit_config(raw, [edit], None)
        except RemedyError:
            continue
        before, after = Document.parse(raw).lines, Document.parse(edited).lines
        assert len(before) == len(after)
        different = [old.number for old, new in zip(before, after, strict=True) if old != new]
        assert set(different) <= {line.line}
        assert after[line.line - 1].ending == before[line.line - 1].ending


@given(FILES, NAMES, st.integers(1, 65535))
def test_an_edited_line_says_what_was_wanted(raw: bytes, host: str, port: int) -> None:
    for line in read_servers([("a.cfg", raw)]):
        edit = ServerEdit("a.cfg", line.line, host, port, None, "r", None)
        try:
            edited = edit_config(raw, [edit], None)
        except RemedyError:
            continue
        old, new = Document.parse(raw).lines[line.line - 1].words, Document.parse(edited).lines[line.line - 1].words
        place = 3 if line.is_template else 2
        assert new[place].value.endswith(f"{host}:{port}")
        assert [w.value for w in new[-2:]] == ["resolvers", "r"]
        assert [w.value for w in new[:place]] == [w.value for w in old[:place]]
        assert [w.value for w in new[place + 1 : -2]] == [w.value for w in old[place + 1 :]]


@given(FILES)
def test_a_section_is_added_behind_everything(raw: bytes) -> None:
    edited = edit_config(raw, [], ResolversSection("remedy"))

    assert edited.startswith(raw)
    assert read_traits([("a.cfg", edited)]).fitting_resolvers("udp") is not None
    assert "remedy" in read_traits([("a.cfg", edited)]).resolvers_names


@given(st.text(max_size=30))
def test_no_host_can_leave_its_word(host: str) -> None:
    try:
        edited = edit_config(b"backend b\n server s 10.0.0.1:80 check\n", [ServerEdit("a", 2, host, 80)], None)
    except RemedyError:
        return
    lines = Document.parse(edited).lines
    assert len(lines) == 2
    assert [word.value for word in lines[1].words][3:] == ["check"]
