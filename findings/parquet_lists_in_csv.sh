#!/usr/bin/env bash
# A column of lists that goes from parquet to csv is read back with its items glued together.
#
# A table of pictures with captions keeps lists in parquet, ["a red mug", "a cup"]. pandas reads them
# as NumPy arrays and writes these into a csv file as NumPy prints them, without commas:
# ['a red mug' 'a cup']. The usual way to read printed lists, `ast.literal_eval` (also as a
# converter of `read_csv`), takes that for Python, where adjacent texts are one text: the result is
# ['a red muga cup'], a list of one caption, without an error. Lists that were never in parquet are
# written with commas, so the same code works on the table that it was tried on.
# Lists of numbers fail instead: "[1 2]" is a syntax error.
#
# Seen on Linux with Python 3.11, pandas 3.1.1, NumPy 2.4.6 and pyarrow 25.0.1.
# Exits 0 while that is so, and 1 if it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pandas==3.1.1 pyarrow==25.0.1 numpy==2.4.6
cat >"$folder/show.py" <<'PY'
import ast
import sys

import pandas as pd

table = pd.DataFrame({"captions": [["a red mug", "crimson cup"], ["a blue mug"]]})
table.to_csv("direct.csv", index=False)
table.to_parquet("table.parquet")
pd.read_parquet("table.parquet").to_csv("by_parquet.csv", index=False)
found = {}
for file in ("direct.csv", "by_parquet.csv"):
    read = pd.read_csv(file, converters={"captions": ast.literal_eval})
    found[file] = read["captions"].tolist()
    print(file, "->", found[file])
expected = {
    "direct.csv": [["a red mug", "crimson cup"], ["a blue mug"]],
    "by_parquet.csv": [["a red mugcrimson cup"], ["a blue mug"]],
}
sys.exit(0 if found == expected else f"expected: {expected}")
PY
cd "$folder"
venv/bin/python show.py
