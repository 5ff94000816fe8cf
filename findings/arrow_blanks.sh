#!/usr/bin/env bash
# The same line of pandas leaves a narrow no-break space in a number, or takes it out, by release.
#
# French and Polish tables group thousands with U+202F or U+00A0: "1 234,50". The usual advice is
# `column.str.replace(r"\s", "", regex=True)`. Seen on Linux with Python 3.12 and 3.11:
#   pandas 3.0.6 with pyarrow   the column is kept by Arrow, whose `\s` is ASCII only: U+202F and
#                               U+00A0 stay, and `to_numeric` fails on a number that looks right
#   pandas 3.0.6, dtype object  both are removed
#   pandas 3.1.1 with pyarrow   both are removed
# So a notebook that cleans prices works or fails by the version and the dtype of the column. Name
# the characters: `[\s\u00a0\u202f]`.
#
# Exits 0 while that is so, and 1 when any of the three behaves differently.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/show.py" <<'PY'
import sys
import pandas as pd

cells = ["1\u202f234", "1\u00a0234", "1 234"]
for dtype, expected in (("str", sys.argv[1]), ("object", "removed")):
    column = pd.Series(cells, dtype=dtype).str.replace(r"\s", "", regex=True)
    kept = ["\u202f" in column[0], "\u00a0" in column[1], " " in column[2]]
    found = {(False, False, False): "removed", (True, True, False): "kept"}.get(tuple(kept), str(kept))
    print(f"pandas {pd.__version__}, dtype {dtype}: {found}")
    if found != expected:
        sys.exit(f"expected: {expected}")
PY
for one in "3.0.6 kept" "3.1.1 removed"; do
  read -r version expected <<<"$one"
  python3 -m venv "$folder/$version"
  "$folder/$version/bin/pip" install --quiet "pandas==$version" pyarrow==25.0.1 numpy==2.4.6
  "$folder/$version/bin/python" "$folder/show.py" "$expected"
done
