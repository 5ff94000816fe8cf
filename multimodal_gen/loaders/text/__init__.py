"""Captions: text in, a fixed-length array of ids out.

Read `loader.py` first (`arguments.py` checks its arguments), then the two ways to encode a text.
`tokens.py` makes token ids in order, pads them with 0 and cuts what is too long; `length.py`
chooses the length, and `tokenizer_json.py` reads a tokenizer's file. `ngrams.py` makes a weighted
bag of n-grams (`ngram_hashes.py` finds and hashes them). `vocabulary.py` and `unigrams.py` train
tokenizers on the texts of `corpus.py`. `cells.py` says what is text, `spelling.py` handles letters
and special names that a tokenizer does not know, and `masked.py` hides tokens for a model to
predict.
"""

from multimodal_gen.loaders.text.loader import TextLoader

__all__ = ["TextLoader"]
