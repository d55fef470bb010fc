"""One module a command: ``add(commands)`` describes it to the parser and imports nothing heavy; its action does."""
