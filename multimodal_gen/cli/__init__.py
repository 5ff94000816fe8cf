"""The command line, a thin client of everything above it. Keras is imported inside the commands
alone.

Read `app.py` first: which commands there are, and what they print; `table_commands.py` has those
that look at a table before training. `options.py` declares the options (`option_values.py` reads
their words), `arguments.py` those that commands share, and `settings.py` holds what was said.
`data.py` makes rows and loaders of it, with `target_choice.py` for --target, `part_checks.py` for
pictures in several parts, and `table_notes.py` for what is worth knowing beforehand. `train.py` is
one run (`rehearsal.py` before it, `results.py` after it), `predict.py`, `cache.py` and `audit.py`
are the other commands, and `console.py` is how they talk to their user.
"""

from multimodal_gen.cli.app import main

__all__ = ["main"]
