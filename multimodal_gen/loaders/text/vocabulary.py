"""Train tokenizers for every script, so that the same texts always give the same one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
from typing import Any

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, trainers

from multimodal_gen.loaders.text.corpus import (
    SPACE,
    Changed,
    Corpus,
    commonest_letters,
    corpus_of,
    normalizer_of,
    only_letters,
)
from multimodal_gen.loaders.text.spelling import WITHOUT_SPACES, byte_pieces
from multimodal_gen.loaders.text.unigrams import fit_unigrams
from multimodal_gen.rows.checks import check_at_least, check_choice, check_switches

PAD, UNKNOWN, MASK = "[PAD]", "[UNK]", "[MASK]"
SPECIAL = [PAD, UNKNOWN, MASK]

# From this size on there is room for all of ASCII and for the bytes of letters that are in no
# training text.
SPELLED_FROM = 1024
# At most this share of the ids of a vocabulary with bytes goes to single letters.
_SHARE_OF_LETTERS = 0.75
# Training of a Unigram model starts from this many times the pieces that it keeps.
_SEEDS = 2
_LONGEST_PIECE = 16


def train_tokenizer(
    texts: Iterable[str], *, model: str = "wordpiece", vocabulary_size: int, lowercase: bool = True
) -> tokenizers.Tokenizer:
    """Train a tokenizer whose ids 0, 1 and 2 are padding, unknown words and [MASK].

    The same texts give the same tokenizer. The trainers alone do not: they number the pieces that
    continue a word in the order of a hash map (huggingface/tokenizers issue 1794).

    Text is normalised to Unicode's form NFKC, so that a letter is the same however it was typed,
    and control characters that are not spaces are removed. Apart from case, nothing else is
    changed, and no mark is removed from a letter. In scripts without spaces between words, a piece
    is what at least two different texts share, because otherwise every sentence would be one word;
    for "wordlevel" each letter is a word.

    Args:
        texts: The training texts, which are gone through several times.
        model: "wordpiece", "bpe", "unigram" or "wordlevel".
        vocabulary_size: The largest number of ids.
        lowercase: Whether case is ignored: every letter becomes its lower-case form, whatever is
            next to it. The two lower-case forms of the Greek sigma are one letter, and the capital
            I with a dot is an i. The German sharp s is not a double s, and I is never the Turkish i
            without a dot: these distinguish words.

    Raises:
        ValueError: If `model` is none of these, or `vocabulary_size` is too small for the letters
            of the texts.
    """
    check_switches(lowercase=lowercase)
    check_choice("model", model, ("wordpiece", "bpe", "unigram", "wordlevel"))
    check_at_least(len(SPECIAL) + 1, vocabulary_size=vocabulary_size)
    normalizer = normalizer_of(lowercase, lines=model in ("bpe", "unigram"))
    if model == "wordlevel":
        letter = pre_tokenizers.Split(Regex(f"[{WITHOUT_SPACES}]\\p{{M}}*"), "isolated")
        words = pre_tokenizers.Sequence([letter, pre_tokenizers.BertPreTokenizer()])
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocabulary_size, special_tokens=SPECIAL, show_progress=False
        )
        return _train(texts, models.WordLevel(unk_token=UNKNOWN), trainer, normalizer, words)
    # WordPiece distinguishes a piece at the start of a word from the same piece inside.
    forms = 2 if model == "wordpiece" else 1
    spelled = (
        byte_pieces("##" if model == "wordpiece" else "") if vocabulary_size >= SPELLED_FROM else []
    )
    ascii_letters = (
        {normalizer.normalize_str(chr(code)) for code in range(33, 127)} if spelled else set()
    )
    corpus = corpus_of(texts, normalizer, ascii_letters, count=model == "unigram")
    room = vocabulary_size - len(SPECIAL) - len(spelled) - (forms == 1)
    most = int(_SHARE_OF_LETTERS * room) // forms
    if spelled and len(corpus.letters) > most:
        kept = ascii_letters.union(
            commonest_letters(texts, normalizer, ascii_letters, most - len(ascii_letters))
        )
        texts = Changed(texts, partial(_spelled_with, kept, normalizer))
        corpus = corpus_of(texts, normalizer, ascii_letters, count=model == "unigram")
    number = len(corpus.letters)
    if forms * number > room:
        raise ValueError(
            f"`vocabulary_size` must be at least {vocabulary_size + forms * number - room}: the "
            f"texts have {number} different letters and "
            f"signs{', which take an id at the start of a word and one inside' * (forms == 2)}. "
            f"From {SPELLED_FROM} on, rare ones are spelled in bytes. Received: "
            f"vocabulary_size={vocabulary_size!r}"
        )
    train = {"wordpiece": _wordpiece, "bpe": _bpe, "unigram": _unigram}[model]
    trained = train(corpus, room - forms * number, spelled, normalizer)
    # With byte pieces a line end is unknown, and the spelling in bytes turns it into a space; that
    # is faster than normalising every text.
    trained.normalizer = normalizer_of(lowercase, lines=forms == 1 and not spelled)
    return trained


def _spelled_with(letters: set[str], normalizer: normalizers.Normalizer, text: str) -> str:
    return only_letters(letters, normalizer.normalize_str(text))


def _wordpiece(
    corpus: Corpus, room: int, spelled: list[str], normalizer: normalizers.Normalizer
) -> tokenizers.Tokenizer:
    pieces, _ = _run_pieces(corpus, int(room * corpus.share) // 2)
    spelled = [*pieces, *(f"##{piece}" for piece in pieces), *spelled]
    # Pieces named beforehand keep their place; as ordinary tokens of a rebuilt model they are
    # nothing special.
    # The trainer numbers these in the order of a hash map (tokenizers issue 1794, open).
    inside = [f"##{letter}" for letter in corpus.letters]
    trainer = trainers.WordPieceTrainer(
        special_tokens=SPECIAL + inside,
        initial_alphabet=corpus.letters,
        vocab_size=len(SPECIAL) + 2 * len(inside) + room - 2 * len(pieces),
        show_progress=False,
    )
    words = pre_tokenizers.BertPreTokenizer()
    trained = _train(corpus.texts, models.WordPiece(unk_token=UNKNOWN), trainer, normalizer, words)
    vocabulary = _extended(trained.get_vocab(), spelled)
    return _assembled(
        models.WordPiece(vocabulary, unk_token=UNKNOWN), normalizer, words, decoders.WordPiece()
    )


def _bpe(
    corpus: Corpus,
    room: int,
    spelled: list[str],
    normalizer: normalizers.Normalizer,
    min_frequency: int = 0,
) -> tokenizers.Tokenizer:
    # No piece mixes letters of runs with others, so the order of the two lists of merges does not
    # matter.
    pieces, run_merges = _run_pieces(corpus, int(room * corpus.share))
    trainer = trainers.BpeTrainer(
        special_tokens=SPECIAL,
        initial_alphabet=[*corpus.letters, SPACE],
        vocab_size=len(SPECIAL) + len(corpus.letters) + 1 + room - len(pieces),
        min_frequency=min_frequency,
        show_progress=False,
    )
    split = pre_tokenizers.Metaspace()
    vocabulary, merges = _learned(
        _train(corpus.texts, models.BPE(unk_token=UNKNOWN), trainer, normalizer, split)
    )
    vocabulary = _extended(vocabulary, [*pieces, *spelled])
    model = models.BPE(vocabulary, merges + run_merges, unk_token=UNKNOWN)
    return _assembled(model, normalizer, split, decoders.Metaspace())


def _unigram(
    corpus: Corpus, room: int, spelled: list[str], normalizer: normalizers.Normalizer
) -> tokenizers.Tokenizer:
    letters = {*corpus.letters, SPACE}
    # Frequent sequences of letters, which BPE finds in a deterministic order.
    seeds = _bpe(corpus, _SEEDS * (room + len(letters)), [], normalizer, min_frequency=2)
    scored = fit_unigrams(seeds, SPECIAL, corpus.words, letters, room + len(letters))
    # Byte pieces score lowest: they are for what nothing else can write.
    least = min(score for _, score in scored)
    vocabulary = (
        [(piece, 0.0) for piece in SPECIAL] + scored + [(piece, least) for piece in spelled]
    )
    return _assembled(
        models.Unigram(vocabulary, unk_id=1),
        normalizer,
        pre_tokenizers.Metaspace(),
        decoders.Metaspace(),
    )


def _run_pieces(corpus: Corpus, number: int) -> tuple[list[str], list[tuple[str, str]]]:
    if not corpus.runs:
        return [], []
    letters = sorted(set().union(*corpus.runs))
    trainer = trainers.BpeTrainer(
        initial_alphabet=letters,
        vocab_size=len(letters) + number,
        min_frequency=2,
        max_token_length=_LONGEST_PIECE,
        show_progress=False,
    )
    trained = tokenizers.Tokenizer(models.BPE())
    trained.train_from_iterator(corpus.runs, trainer)
    vocabulary, merges = _learned(trained)
    return [
        piece for piece in sorted(vocabulary, key=vocabulary.__getitem__) if len(piece) > 1
    ], merges


def _learned(trained: tokenizers.Tokenizer) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = json.loads(trained.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def _extended(vocabulary: dict[str, int], pieces: list[str]) -> dict[str, int]:
    return {**vocabulary, **{piece: place for place, piece in enumerate(pieces, len(vocabulary))}}


def _train(
    texts: Iterable[str], model: Any, trainer: Any, normalizer: Any, pre_tokenizer: Any
) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizer
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _assembled(
    model: Any, normalizer: Any, pre_tokenizer: Any, decoder: Any
) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = (
        normalizer,
        pre_tokenizer,
        decoder,
    )
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer
