"""Captions: text in, a fixed-length array of ids out.

Read `loader.py` (`arguments.py`: what it is given, checked) first, then the two ways to encode:
`tokens.py` (`tokenizer_json.py`: what such a file says of itself) (ids in order, padded at the end
to the length that `length.py` chooses) and `ngrams.py` (`ngram_hashes.py`: from a text to them) (a
weighted bag). `vocabulary.py` (`corpus.py`: its texts) and `unigrams.py` train tokenizers, and
`cells.py` says what is text, `spelling.py` deals with letters and names that a tokenizer never met.
`masked.py` hides tokens to be guessed.
"""

from multimodal_gen.loaders.text.loader import TextLoader

__all__ = ["TextLoader"]
