"""A document as one HTML file: it opens from disk without a network, and asks for nothing.

``page`` puts it together; the scripts and the style under ``assets`` draw tables and plots in the reader's browser.
"""

from reports.writers.page.page import written

__all__ = ["written"]
