"""A table as LaTeX with booktabs."""

from __future__ import annotations

from reports.blocks import Table
from reports.numbers import MISSING
from reports.writers.escape import latex, padded, width


def table(block: Table) -> str:
    """A ``tabular`` whose source lines up."""
    lines = [[latex(column.title) for column in block.columns]]
    lines += [[latex(cell.line if cell.known else MISSING) for cell in line] for line in block.cells]
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    rows = []
    for line in lines:
        cells = [padded(cell, w) for cell, w in zip(line, widths, strict=True)]
        rows.append("  " + " & ".join(cells) + r" \\")
    sides = "".join("r" if column.right else "l" for column in block.columns)
    rules = [r"  \toprule", rows[0], r"  \midrule", *rows[1:], r"  \bottomrule"]
    return "\n".join([r"% needs \usepackage{booktabs}", rf"\begin{{tabular}}{{{sides}}}", *rules, r"\end{tabular}", ""])
