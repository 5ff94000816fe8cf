"""Looks at tables, batches, models and speed, and changes nothing. Importing this folder imports no
Keras.

Read `audit/` for what is wrong with a table. `plots.py` draws what a model is given and what it
says, `confusion.py` which classes it takes for which, with `row_text.py` for one row in words and
pixels, `verdicts.py` for predictions beside the truth, and `layout.py` for text that fits.
`profiling.py` tells what a sample costs, stage by stage.
"""
