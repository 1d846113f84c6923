"""daemon.json is edited so that every byte that is not ours stays."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remedy.plan.daemon_json import members_of, with_values, without_value

keys = st.text(min_size=1, max_size=12).filter(lambda k: k not in ("userland-proxy", "live-restore"))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
documents = st.dictionaries(keys, values, max_size=6)
layouts = st.sampled_from([{}, {"indent": 2}, {"indent": "\t"}, {"indent": 4, "separators": (" ,", " : ")}])


@given(documents, layouts, st.sampled_from(["", "\n", "\r\n", "  \n"]))
def test_an_edit_adds_the_keys_and_changes_no_other_value_nor_the_order(document, layout, end):
    raw = (json.dumps(document, **layout) + end).encode()
    edited = with_values(raw, {"userland-proxy": False, "live-restore": True})
    assert json.loads(edited) == {**document, "userland-proxy": False, "live-restore": True}
    assert list(json.loads(edited))[: len(document)] == list(document)


@given(documents, layouts)
def test_setting_a_key_and_taking_it_away_again_gives_the_same_bytes(document, layout):
    raw = json.dumps({"first": 1, **document}, **layout).encode()
    assert without_value(with_values(raw, {"userland-proxy": False}), "userland-proxy") == raw


def test_a_key_that_is_there_changes_only_in_its_value():
    raw = b'{\r\n\t"a":1,\r\n\t"userland-proxy" :  true , "z": [1, 2]}\r\n'
    assert with_values(raw, {"userland-proxy": False}) == raw.replace(b"true", b"false")


def test_a_byte_order_mark_stays_in_front():
    assert with_values(b'\xef\xbb\xbf{"a": 1}', {"b": True}) == b'\xef\xbb\xbf{"a": 1, "b": true}'


@pytest.mark.parametrize("raw", [None, b"", b" \n\t"])
def test_a_missing_or_empty_file_becomes_a_new_object(raw):
    assert json.loads(with_values(raw, {"userland-proxy": False})) == {"userland-proxy": False}


@pytest.mark.parametrize("raw", [b"[]", b"{", b'{"a" 1}', b'{"a": 1,}', b"// c\n{}", b'{"a": 1 "b": 2}'])
def test_what_is_no_json_object_is_refused_with_a_position(raw):
    with pytest.raises(json.JSONDecodeError):
        members_of(raw.decode())
