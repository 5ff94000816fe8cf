"""The command line, a thin client of everything above it. Keras is imported inside the commands
alone.

Read `app.py` first: which commands there are, and what they print; `table_commands.py` has those
that look at a table before training. `options.py` declares the options (`option_words.py`: the
words they take, `option_values.py` reads the others), `arguments.py` those that commands share, and
`settings.py` holds what was said. `parts.py` makes rows of it and `data.py` loaders, with
`target_choice.py` for --target, `part_checks.py` for pictures in several parts, and
`table_notes.py` for what is worth knowing beforehand. `train.py` is one run (`rehearsal.py` before
it, `results.py` after it), `predict.py`, `cache.py` and `audit.py` are the other commands, and
`console.py` is how they talk to their user, with `starting.py` while Keras starts and `progress.py`
while a run goes on; `reporter.py` says who is told.
"""

from multimodal_gen.cli.app import main

__all__ = ["main"]
