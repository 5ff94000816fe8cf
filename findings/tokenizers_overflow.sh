#!/usr/bin/env bash
# tokenizers 0.23.1 and 0.23.2 do not report what they cut off; 0.22.2 and 0.23.3 do.
#
# With `enable_truncation(2)`, a text of five words has two pieces in `encoding.overflowing`. Seen on
# Linux with Python 3.11, for `encode`, `encode_batch` and `encode_batch_fast`:
#   tokenizers 0.22.2   2 pieces        tokenizers 0.23.2   0 pieces
#   tokenizers 0.23.1   0 pieces        tokenizers 0.23.3   2 pieces
# A check such as `bool(encoding.overflowing)` then says that no caption is too long. Count the ids of
# a tokenizer without truncation instead.
#
# Exits 0 while that is so, and 1 when one of these releases behaves differently.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
cat >"$folder/show.py" <<'PY'
import sys
import tokenizers
from tokenizers import models, pre_tokenizers

model = models.WordLevel({"red": 0, "mug": 1, "?": 2}, unk_token="?")
tokenizer = tokenizers.Tokenizer(model)
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.enable_truncation(2)
text = "red mug red mug red"
found = [len(tokenizer.encode(text).overflowing)]
for encode in (tokenizer.encode_batch, tokenizer.encode_batch_fast):
    found.append(len(encode([text])[0].overflowing))
print(f"tokenizers {tokenizers.__version__}: {found}")
sys.exit(0 if found == [int(sys.argv[1])] * 3 else f"expected: {sys.argv[1]}")
PY
for one in "0.22.2 2" "0.23.1 0" "0.23.2 0" "0.23.3 2"; do
  read -r version pieces <<<"$one"
  "$folder/venv/bin/pip" install --quiet "tokenizers==$version"
  "$folder/venv/bin/python" "$folder/show.py" "$pieces"
done
