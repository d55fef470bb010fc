"""What is to be run: a TOML file names scenarios; scenarios, seeds and rounds make trials. The shipped files lie here.

``scenario`` says what a scenario and a trial are, ``suite`` reads a file (``load``) and makes its trials, ``blocks``
and ``checks`` say what is wrong in one, ``fits`` whether data and settings go together, ``building`` makes the
detector that a scenario names, ``published`` holds what others measured.
"""
