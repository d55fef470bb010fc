"""Nothing from outside can break a table, a code span or a page."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import blocks
from reports.blocks import Cell, Column, Table
from reports.writers import escape, markdown


def words_of(row: tuple[str, str]) -> Cell:
    return Cell(blocks.words(row[1]))


def cells_of(columns: list[Column], row: tuple[str, str]) -> list[Cell]:
    return [*(column.cell(row) for column in columns), Cell("1")]


hostile = st.text(st.characters() | st.sampled_from("|`\\<>&*_[]\n$#数"), max_size=30)


def tables_of(text: str) -> list[list[list[tuple[str, str]]]]:
    """Per table, per row, per cell: the kinds and contents of the inline tokens a Markdown reader finds."""
    tables: list[list[list[tuple[str, str]]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and token.level > 3:
            tables[-1][-1].append(
                (" ".join(t.type for t in token.children or []), "".join(t.content for t in token.children or []))
            )
    return tables


@given(st.lists(st.tuples(hostile, hostile), min_size=1, max_size=4))
@example([("a|b", "x\\"), ("`", "``|"), ("<b>", "</table>")])
@settings(deadline=None, max_examples=60)
def test_hostile_words_stay_in_their_cells_and_come_out_as_they_went_in(rows: list[tuple[str, str]]) -> None:
    columns = [Column("name", lambda row: blocks.code(row[0]), "name"), Column("words", words_of, "text")]
    text = markdown.table(Table("", [*columns, Column("n", lambda _: "1")], [cells_of(columns, row) for row in rows]))
    (found,) = tables_of(text)
    assert len(found) == len(rows) + 1
    for cells, (a, b) in zip(found[1:], rows, strict=True):
        assert len(cells) == 3
        assert cells[0] == ("code_inline", blocks.clean(a) or "(empty)")
        assert cells[1][1] == blocks.clean(b)
        assert "html_inline" not in cells[1][0]
        assert "strong_open" not in cells[1][0]
        assert "link_open" not in cells[1][0]


@given(st.lists(st.tuples(hostile, hostile), max_size=5))
@settings(deadline=None, max_examples=50)
def test_table_lines_take_equally_many_columns_in_the_raw_text(rows: list[tuple[str, str]]) -> None:
    columns = [Column("a", lambda row: blocks.code(row[0]), "name"), Column("± —", words_of, "text")]
    body = [[column.cell(row) for column in columns] for row in rows]
    lines = markdown.table(Table("", columns, body)).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({escape.width(line) for line in lines}) == 1


def test_wide_and_combining_characters_are_measured_as_they_are_shown() -> None:
    assert escape.width("数据") == 4
    assert escape.width("e\u0301 ± —") == 5


@given(hostile)
@settings(deadline=None, max_examples=50)
def test_a_command_cannot_close_its_code_block(command: str) -> None:
    (token,) = MarkdownIt("commonmark").parse(escape.fenced([f"```{command}", "~~~", "````"]))
    assert token.type == "fence"


def test_invisible_and_unpaired_characters_do_not_reach_the_page() -> None:
    assert blocks.clean("a\u202eb\ud800c\u2028d\x00e") == "a b c d e"
    assert len(blocks.clean("x" * 5000)) == 300


def test_a_long_listing_says_how_many_it_leaves_out() -> None:
    assert blocks.listing(["a", "b"]) == "a and b"
    assert blocks.listing([str(i) for i in range(12)], most=4) == "0, 1, 2 and 9 more"
