"""Each section of a report, once: from the tables to plain blocks."""
