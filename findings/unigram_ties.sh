#!/usr/bin/env bash
# The Unigram trainer of tokenizers gives other ids in another process, for the same texts.
#
# Seen with tokenizers 0.23.3 on Linux, Python 3.11: ten processes train on the same 20 lines, with
# the same size. They end with the same 34 pieces, but in ten different orders, so a letter has
# another id in each, and scores that differ from the fourth digit on. The letters that are added at
# the end, because no longer piece covers them, get their scores in the order of a hash map. The
# trainer for BPE gives one vocabulary in all processes.
#
# So a model that goes on after a restart, with a vocabulary that was trained anew from the same
# texts, is given other ids than before. Keep the file, or train with another trainer.
#
# Exits 0 while that is so, and 1 when ten processes agree on Unigram, or disagree on BPE.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "tokenizers==0.23.3"
cat >"$folder/train.py" <<'PYTHON'
import hashlib
import json
import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

texts = [" ".join(f"{one}{two}{three}" for one in "bdg") for two in "aeiou" for three in ("mp", "nk", "rst", "lf")]
if sys.argv[1] == "unigram":
    tokenizer = Tokenizer(models.Unigram())
    trainer = trainers.UnigramTrainer(vocab_size=60, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False)
else:
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=60, show_progress=False)
tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
tokenizer.train_from_iterator(texts, trainer)
vocabulary = tokenizer.get_vocab()
pieces = json.dumps(sorted(vocabulary, key=vocabulary.__getitem__))
print(hashlib.sha256(pieces.encode()).hexdigest())
PYTHON
for model in unigram bpe; do
    different=$(for _ in 1 2 3 4 5 6 7 8 9 10; do "$folder/venv/bin/python" "$folder/train.py" "$model"; done | sort -u | wc -l)
    echo "$model: $different vocabularies in 10 processes"
    [ "$model" = unigram ] && [ "$different" -gt 1 ] && continue
    [ "$model" = bpe ] && [ "$different" -eq 1 ] && continue
    exit 1
done
