"""Edits as models send them: made as they were meant, or refused with what would help."""

from __future__ import annotations

import ast
import html
import json
import re
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from langchain_core.tools import ToolException

from move37.arch_templates.catalog import BOUNDS, TEMPLATES, template_source
from move37.tools.aligning import is_gap
from move37.tools.editing import apply_edit, take_file
from move37.tools.unwrapping import unparsed

TABLE = tomllib.loads(Path(__file__).with_name("malformed_edits.toml").read_text())
MADE = [case for case in TABLE["cases"] if "edit" in case]
REFUSED = [case for case in TABLE["cases"] if "refused" in case]

some = settings(max_examples=150, deadline=None)


def kinds(cases: list[dict[str, str]]) -> list[str]:
    """Return the kinds of malformed edits, each once."""
    return list(dict.fromkeys(case["kind"] for case in cases))


def meant(case: dict[str, str]) -> tuple[str, str]:
    """Return the file of a case, and what it should become."""
    edit = TABLE["edits"][case["edit"]]
    code = template_source(edit["template"])
    old, new = case.get("replaces", edit["old"]), case.get("by", edit["new"])
    assert code.count(old) == 1
    return code, code.replace(old, new)


def attempted(code: str, old: str, new: str) -> str | None:
    """Return the code after an edit, or None where it was refused."""
    try:
        return apply_edit(code, old, new).code
    except ToolException:
        return None


# The table.


@pytest.mark.parametrize("kind", kinds(MADE))
def test_a_malformed_edit_gives_exactly_what_was_meant(kind: str) -> None:
    rows = [case for case in MADE if case["kind"] == kind]
    failed = []
    for case in rows:
        code, wanted = meant(case)
        if attempted(code, case["old"], case["new"]) != wanted:
            failed.append(case)
    sys.stdout.write(f"{kind}: {len(rows) - len(failed)} of {len(rows)} rescued\n")
    assert failed == []


@pytest.mark.parametrize("kind", kinds(REFUSED))
def test_an_edit_that_may_mean_several_things_or_none_is_refused(kind: str) -> None:
    rows = [case for case in REFUSED if case["kind"] == kind]
    for case in rows:
        with pytest.raises(ToolException, match=case["refused"]):
            apply_edit(template_source(case["template"]), case["old"], case["new"])
    sys.stdout.write(f"{kind}: {len(rows)} of {len(rows)} refused\n")


def test_the_table_holds_enough_and_nothing_that_an_exact_replacement_would_do() -> None:
    assert len(TABLE["cases"]) >= 100
    assert len(REFUSED) >= 25
    for case in MADE:
        code, wanted = meant(case)
        assert code.count(case["old"]) != 1 or code.replace(case["old"], case["new"]) != wanted


# Properties.


def body(name: str) -> int:
    """Return the line from which a template is code, not words."""
    source = template_source(name)
    return source.count("\n", 0, source.index("\nclass ")) + 1


@st.composite
def exact_edits(draw: st.DrawFn) -> tuple[str, str, str]:
    """Draw a template, a piece of it that stands there once, and something else."""
    code = template_source(draw(st.sampled_from(TEMPLATES)))
    start = draw(st.integers(0, len(code) - 2))
    old = code[start : start + draw(st.integers(1, 200))]
    assume(code.count(old) == 1 and old.strip())
    words = st.sampled_from(
        ["x", "self", "= 1", "(", ")", "\n", "    ", "if x:", "0", "# so", ", "]
    )
    new = "".join(draw(st.lists(words, max_size=12)))
    assume(new != old)
    return code, old, new


@given(exact_edits())
@some
def test_an_exact_quotation_is_replaced_as_given_where_that_leaves_a_sound_file(
    edit: tuple[str, str, str],
) -> None:
    code, old, new = edit
    # Nor is a line joined to the one after it.
    ended = "\n" if old.endswith("\n") and new and not new.endswith("\n") else ""
    given_so = code.replace(old, new + ended)
    assume(not re.search(r"\b(def|class)\b", old))
    if unparsed(given_so) is None:
        assert apply_edit(code, old, new).code == given_so
    else:
        got = apply_edit(code, old, new).code
        assert got == given_so or unparsed(got) is None


def rows_of(change: Callable[[str], str]) -> Callable[[str], str]:
    """Return a change of each line of a text."""
    return lambda text: "\n".join(map(change, text.split("\n")))


WRAPPINGS: dict[str, Callable[[str], str]] = {
    "fence": lambda text: f"```python\n{text}\n```",
    "tabs": rows_of(lambda row: re.sub(r"^(    )+", lambda m: "\t" * (len(m[0]) // 4), row)),
    "dedent": textwrap.dedent,
    "indent": lambda text: textwrap.indent(text, "    "),
    "numbers": rows_of(lambda row: f"7| {row}"),
    "line ends": lambda text: text.replace("\n", " \r\n"),
    "entities": html.escape,
    "escapes": lambda text: json.dumps(text)[1:-1],
    "JSON": json.dumps,
    "tags": lambda text: f"<code>\n{text}\n</code>",
    "blank lines": lambda text: f"\n\n{text}\n\n",
}


@st.composite
def line_edits(draw: st.DrawFn) -> tuple[list[str], int, int, list[str]]:
    """Draw the lines of a template, which of them to quote, and what should stand there."""
    name = draw(st.sampled_from(TEMPLATES))
    rows = template_source(name).split("\n")
    first = draw(st.integers(body(name), len(rows) - 2))
    end = min(len(rows) - 1, first + draw(st.integers(1, 8)))
    assume(rows[first].strip() and rows[end - 1].strip())
    new = rows[first:end]
    at = draw(st.integers(0, len(new) - 1))
    width = len(new[at]) - len(new[at].lstrip())
    match draw(st.sampled_from(["rename", "insert", "delete"])):
        case "rename":
            new[at] = re.sub(r"\b(x|inner|state|beta|hidden_size)\b", r"\1_2", new[at])
        case "insert":
            new.insert(at, f"{' ' * width}gamma = 3 * beta")
        case _:
            del new[at]
    assume(new != rows[first:end])
    return rows, first, end, new


@given(line_edits(), st.sampled_from(sorted(WRAPPINGS)), st.booleans())
@some
def test_a_wrapped_edit_means_what_it_means_without_or_is_refused(
    edit: tuple[list[str], int, int, list[str]], wrapping: str, both: bool
) -> None:
    rows, first, end, new = edit
    code, old, text = "\n".join(rows), "\n".join(rows[first:end]), "\n".join(new)
    wanted = "\n".join([*rows[:first], *new, *rows[end:]])
    wrap = WRAPPINGS[wrapping]
    assume(unparsed(wanted) is None and text.strip() and wrap(old) not in code)
    got = attempted(code, wrap(old), wrap(text) if both else text)
    if got is not None:
        assert ast.dump(ast.parse(got)) == ast.dump(ast.parse(wanted))
        assert got.startswith("\n".join(rows[:first]))
        assert got.endswith("\n".join(rows[end:]))


# What is told, and what stays.

FILE = """class TokenMixer(nn.Module):
    def __init__(self, width):
        # As wide as the input.
        self.proj = nn.Linear(width, width)
        self.norm = RMSNorm(width)

    def forward(self, x, state=None):
        y = self.proj(x)  # mixes channels
        return self.norm(y), state
"""


def test_an_exact_edit_is_told_by_its_line_alone() -> None:
    assert apply_edit(FILE, "self.norm(y)", "self.norm(y + x)").note == "line 9"


def test_a_free_reading_is_told_with_what_was_passed_over_and_the_new_lines() -> None:
    note = apply_edit(FILE, "```\ny = self.proj(x)  # mixes channels\n```", "y = x").note
    assert note == (
        "line 8; `old` was matched but for indentation or line ends and Markdown fences; now:\n"
        "8|         y = x"
    )


def test_a_change_in_two_edits_may_pass_through_a_file_that_does_not_parse() -> None:
    begun = apply_edit(FILE, "self.norm(y), state", "(self.norm(y), state")
    assert "return (self.norm(y), state\n" in begun.code
    assert begun.note == "line 9; the file does not parse: line 9: '(' was never closed"
    ended = apply_edit(begun.code, "return (self.norm(y), state  ", "return (self.norm(y), state)")
    assert unparsed(ended.code) is None


def test_what_comes_closest_is_shown_with_numbers_and_can_be_quoted_with_them() -> None:
    with pytest.raises(ToolException, match="was not found") as refused:
        apply_edit(FILE, "y = self.proj(x, bias=False)", "y = self.proj(2 * x)")
    shown = next(row for row in str(refused.value).split("\n") if "self.proj(x)" in row)
    assert shown == "8|         y = self.proj(x)  # mixes channels"
    assert "= self.proj(2 * x)\n" in apply_edit(FILE, shown, "8|         y = self.proj(2 * x)").code


def test_lines_that_the_edit_leaves_alone_stay_as_the_file_has_them() -> None:
    old = "y = self.proj(x)\nreturn self.norm(y), state"
    edited = apply_edit(FILE, old, "y = self.proj(x)\nreturn self.norm(y + x), state")
    assert "        y = self.proj(x)  # mixes channels\n" in edited.code


def test_a_line_that_stands_between_the_quoted_ones_is_never_deleted_unseen() -> None:
    old = "    def __init__(self, width):\n        self.norm = RMSNorm(width)"
    with pytest.raises(ToolException, match="was not found"):
        apply_edit(FILE, old, "    def __init__(self, width, eps):\n        self.norm = 1")


def test_line_ends_and_tabs_of_the_file_are_kept() -> None:
    windows = apply_edit(
        FILE.replace("\n", "\r\n"),
        "    self.norm = RMSNorm(width)\n\ndef forward(self, x, state=None):",
        "    self.norm = RMSNorm(width)\n    self.skip = 1\n\ndef forward(self, x, state=None):",
    )
    assert "        self.skip = 1\r\n" in windows.code
    assert windows.code.count("\n") == windows.code.count("\r\n")
    tabbed = apply_edit(
        FILE.replace("    ", "\t"), "    y = self.proj(x)", "    y = self.proj(x)\n    y = y"
    )
    assert "\t\ty = y\n" in tabbed.code


def test_a_file_that_does_not_parse_can_be_edited_freely_too() -> None:
    broken = FILE.replace("(width, width)", "(width, width")
    edited = apply_edit(
        broken, "```\nself.proj = nn.Linear(width, width\n```", "```\nself.proj = 1\n```"
    )
    assert edited.code == FILE.replace("nn.Linear(width, width)", "1")


def test_a_whole_file_as_new_replaces_the_file_where_old_is_empty() -> None:
    edited = apply_edit("a = 1\n", "", f"Here it is:\n```python\n{FILE}```\n")
    assert edited.code == FILE
    assert edited.note == (
        "the whole file was replaced, as `old` was empty: 9 lines; taken without Markdown fences"
    )


def test_no_line_of_a_template_is_taken_for_one_that_was_left_out() -> None:
    rows = [row for name in TEMPLATES + BOUNDS for row in template_source(name).split("\n")]
    assert [row for row in rows if is_gap(row.strip())] == []


# Whole files.

FENCED = FILE.replace("# As", "#\n        # ```\n        # x @ w\n        # ```\n        # As")
WHOLE: dict[str, str] = {
    "one block": f"```python\n{FILE}```",
    "prose around a block": f"I changed it:\n\n```py\n{FILE}```\n\nIt should be faster.",
    "the class among blocks": f"```sh\nmove37\n```\n\n```\n{FILE}```\n```python\ny = 1\n```",
    "a block that is not closed": f"Here:\n```python\n{FILE}",
    "a block that is not opened": f"{FILE}```\n",
    "tildes": f"~~~\n{FILE}~~~",
    "tags": f"<code>\n{FILE}\n</code>",
    "escaped twice": FILE.replace("\n", "\\n"),
    "a JSON string": json.dumps(FILE),
    "a JSON object": json.dumps({"code": FILE}),
    "a block in a JSON object": json.dumps({"name": "x", "code": f"```\n{FILE}```"}),
    "entities": html.escape(FILE.replace("state=None", 'state=None, *, k="<"')),
    "line numbers": "\n".join(f"{n:>3} | {row}" for n, row in enumerate(FILE.split("\n"), 1)),
    "marks of a diff": "\n".join(f"+{row}" for row in FILE.split("\n")),
    "prose without a block": f"Here is the file:\n\n{FILE}\nIt should be faster now.",
    "typographic blanks": FILE.replace("    ", "\u00a0" * 4),
}


@pytest.mark.parametrize("form", WHOLE)
def test_a_file_is_taken_out_of_what_is_wrapped_around_it(form: str) -> None:
    wanted = FILE.replace("state=None", 'state=None, *, k="<"') if form == "entities" else FILE
    taken = take_file(WHOLE[form])
    assert taken.code.strip() == wanted.strip()
    assert "taken without" in taken.note


@pytest.mark.parametrize("code", ["a = 1\n", FILE, FENCED, "x = '''\n```\n'''\n", "def f(:\n"])
def test_a_file_without_wrapping_is_taken_as_it_is(code: str) -> None:
    assert take_file(code).code == code


def test_a_fence_inside_a_docstring_does_not_end_the_file() -> None:
    quoted = FILE.replace("# As wide as the input.", '"""As\n```\nx @ w\n```\n"""')
    assert take_file(f"```python\n{quoted}```").code == quoted


def test_no_fence_is_written_even_where_nothing_parses() -> None:
    taken = take_file("```python\nclass TokenMixer(\n```\nand then\n```python\ndef f(\n```")
    assert "```" not in taken.code
    assert "does not parse" in taken.note


def test_a_file_with_code_left_out_is_told() -> None:
    taken = take_file(
        FILE.replace("        y = self.proj(x)", "        # ... existing code ...\n        y = 1")
    )
    assert "line 8 stands for code that was left out" in taken.note


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("code", "old"),
    [
        ("x\n" * 30000, "x \n" * 1900),
        (FILE, "<<<<<<< SEARCH\n" * 1900),
        (FILE, " " * 60000 + "#" + " " * 60000),
        (FILE, '\\"' * 60000),
        (FILE, "(" * 5000),
        ("v,\n" * 3000, "v,\n...\n" * 8 + "v,"),
        (FILE, "```python\n" * 1900),
        (FILE, "x = '\ud800\0'"),
    ],
)
def test_an_endless_or_broken_quotation_is_refused_in_seconds(code: str, old: str) -> None:
    with pytest.raises(ToolException):
        apply_edit(code, old, "y")
