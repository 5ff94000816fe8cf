"""Examines tables, batches, models and speed, and changes nothing. Importing this folder does not
import Keras.

`audit/` finds what is wrong with a table: bad files, duplicates, leaks. `plots.py` draws batches,
histories and predictions, `confusion.py` the confusion matrix, `reliability.py` how often
probabilities are right, and `importance.py` what inputs are worth; `row_text.py` describes one row
in words and pixels, `class_ids.py` colours masks, `verdicts.py` compares predictions with the
truth, `layout.py` makes text fit, and `letters.py` finds a font for it. `pages.py` is what HTML
pages share. `profiling.py` measures what a sample costs, stage by stage.
"""
