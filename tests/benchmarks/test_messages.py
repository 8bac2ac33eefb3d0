"""Every error line of the source says what was expected and found, and names what exists."""

import re

import pytest

from benchmarks.faults import messages


def test_the_error_lines_have_their_form_and_name_what_exists():
    assert list(messages.wrong()) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a.h5: cannot be read", "not of the form"),
        ("a.h5: expected events, found none; say --surprise", "no verb has no option --surprise"),
        ("a.h5: expected events, found none; set train.surprise=1", "no setting train.surprise"),
        ("a.h5: expected events, found none; run hepjax surprise", "no verb surprise"),
        ("a.h5: expected events, found none; set HEPJAX_SURPRISE=1", "HEPJAX_SURPRISE is not"),
        ("a.h5: expected events, found none; pip install 'hepjax[x]'", "no extra x"),
        ("a.h5: {hint}", "not of the form"),
    ],
)
def test_what_it_would_find(text, told, monkeypatch):
    call = ("hepjax/formats/some.py", 7, "InputError", text)
    monkeypatch.setattr(messages, "_calls", lambda: iter([call]))
    (found,) = messages.wrong()
    assert found.startswith(f"hepjax/formats/some.py:7: {text}: ")
    assert told in found


def test_an_option_of_another_verb_is_found(monkeypatch):
    call = ("hepjax/cli/train.py", 7, "InputError", "a: expected b, found c; leave --channels out")
    monkeypatch.setattr(messages, "_calls", lambda: iter([call]))
    assert next(messages.wrong()).endswith("train has no option --channels")


def test_an_option_in_a_whole_command_is_that_of_its_verb(monkeypatch):
    text = "a: expected b, found c; hepjax generate RUN --{} FILE makes it, or leave --data out"
    for option, wrong in (("like", []), ("channels", ["generate has no option --channels"])):
        call = ("hepjax/cli/evaluate.py", 7, "InputError", text.format(option))
        monkeypatch.setattr(messages, "_calls", lambda call=call: iter([call]))
        assert [line.rpartition(": ")[2] for line in messages.wrong()] == wrong


def test_texts_are_read_from_the_source_with_places_for_values():
    texts = [text for _, _, text in messages.messages()]
    assert len(texts) > 300
    assert any(re.search(r"expected at most \{.*\} elements", text) for text in texts)
