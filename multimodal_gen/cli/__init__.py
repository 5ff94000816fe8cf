"""The command line, a thin client of the other folders. Keras is imported only inside commands.

Read `app.py` first: the commands, and what they print; `table_commands.py` has those that examine a
table before training (`given_table.py` reads or opens it). `options.py`, `image_options.py`,
`text_options.py` and `many_options.py` (and `audit_options.py`, `explain_options.py`,
`export_options.py`, `fold_options.py`, `pack_options.py`, `predict_options.py`, `serve_options.py`,
`tune_options.py`) declare the options and their help (`option_words.py` has the words that some
accept, `option_values.py` parses the other values), `arguments.py` gives a command those that
select table, columns and rows, and `settings.py` holds their values. `parts.py` chooses the rows of
each part, `inference.py` finds the inputs if no option names them, and `data.py` builds the
loaders, with `encoders.py` for --image-encoder and --text-encoder, `target_choice.py` for --target,
`columns.py` for absent columns, labels and groups, `unlabelled.py` for rows without a label,
`balancing.py` for --balance, `label_checks.py` for the cells of --label, `part_checks.py` for
pictures in several parts, and `table_notes.py` for warnings about a table. `train.py` is one run
(`run_data.py` reads and checks its table), and `folds.py` one of several folds, which
`fold_training.py` trains and `fold_results.py` writes (before it, `reading.py` reads every cell
once, and `rehearsal.py` tries what `results.py` and `report/`, the page about a run, write after
it; `fitting.py` builds and trains the network, `model_choice.py` has the linear probe beside it,
`curves.py` writes for TensorBoard and MLflow, and `sureness.py` calibration, and the sets,
intervals and decisions of `predict`); `tune.py` is a search over such runs (`tuning/`);
`predict.py` (`bad_rows.py`: rows that it cannot read), `explain.py`, `cache.py`, `pack.py` and
`audit.py` (`audit_steps.py`: its order, `predicted.py`: its --predictions, `audit_models.py`: its
--deep, `audit_vectors.py`: its --image-encoder and --text-encoder) are the other commands, and
`export.py` writes a run in other formats, which `serve.py` serves over HTTP, as it does a run.
`console.py` prints notes, tables and errors, `score_tables.py` scores with intervals and by class
(`run_tables.py`: those of a run), `evaluate.py` those of a table (`opening.py` opens a run, and
`seen.py` knows the rows it was trained on), `importance.py` what inputs are worth, `compare.py` two
runs, `starting.py` starts Keras quietly, and `progress.py` shows the progress of a run;
`reporter.py` defines the interface for reports, and what remembers them.
"""

from multimodal_gen.cli.app import main

__all__ = ["main"]
