"""Text for files that spreadsheets open."""

from __future__ import annotations


def inert(text: str) -> str:
    """Text that a spreadsheet would take for a formula, made text again by an apostrophe."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
