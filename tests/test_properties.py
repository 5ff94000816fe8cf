"""What holds for every plan, split, padding, bucket and cache key, tried on many that hypothesis
thinks of.
"""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tokenizers
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import multimodal_gen as mg
from multimodal_gen.batch.buckets import _least_padding
from multimodal_gen.batch.cache.keys import key_of
from multimodal_gen.loaders.base import ArraySpec
from multimodal_gen.rows.plan import Plan

# The same examples in every run, and as many as take about a second a test.
SETTINGS = settings(derandomize=True, deadline=None, database=None, max_examples=100)
# Splits take ten times as long as the rest.
SPLITS = settings(SETTINGS, max_examples=40)


# Plans


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    rows = draw(st.integers(1, 300))
    world = draw(st.integers(1, 4))
    batch = world * draw(st.integers(1, 40))
    shuffle = draw(st.booleans())
    return Plan(
        num_rows=rows,
        batch_size=batch,
        shuffle=shuffle,
        seed=draw(st.integers(0, 2**64 - 1)),
        drop_remainder=draw(st.booleans()) and rows >= batch,
        buckets=np.array(draw(st.lists(st.integers(0, 3), min_size=rows, max_size=rows)), "uint8")
        if shuffle and draw(st.booleans())
        else None,
    )


def rows_of(plan: Plan, epoch: int) -> np.ndarray:
    return np.concatenate([plan.batch(epoch, index)[0] for index in range(plan.num_batches)])


@SETTINGS
@given(plans(), st.integers(0, 10**6))
def test_every_row_comes_once_an_epoch_but_for_a_dropped_remainder(plan: Plan, epoch: int) -> None:
    rows = rows_of(plan, epoch)
    assert len(set(rows.tolist())) == len(rows) and set(rows.tolist()) <= set(range(plan.num_rows))
    dropped = plan.num_rows % plan.batch_size if plan.drop_remainder else 0
    assert len(rows) == plan.num_rows - dropped
    if not plan.shuffle:
        assert rows.tolist() == list(range(len(rows)))


@SETTINGS
@given(plans(), st.integers(1, 4), st.integers(0, 1000))
def test_ranks_partition_every_batch_and_all_have_as_many_rows(
    plan: Plan, world: int, epoch: int
) -> None:
    assume(plan.batch_size % world == 0)
    shards = [plan.shard(rank, world) for rank in range(world)]
    assert {shard.num_batches for shard in shards} == {plan.num_batches}
    for index in range(plan.num_batches):
        whole, padding = plan.batch(epoch, index)
        parts = [shard.batch(epoch, index) for shard in shards]
        assert padding == 0 and len({len(positions) for positions, _ in parts}) == 1
        joined = np.concatenate([positions[: len(positions) - extra] for positions, extra in parts])
        assert joined.tolist() == whole.tolist()


@SETTINGS
@given(
    st.integers(1, 300),
    st.integers(0, 2**64 - 1),
    st.integers(0, 1000),
    st.integers(1, 50),
    st.integers(1, 50),
)
def test_the_order_depends_on_no_batch_size(
    rows: int, seed: int, epoch: int, one: int, other: int
) -> None:
    orders = [rows_of(Plan(rows, size, shuffle=True, seed=seed), epoch) for size in (one, other)]
    assert orders[0].tolist() == orders[1].tolist()


@SETTINGS
@given(
    plans(), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6)), min_size=1, max_size=6)
)
def test_a_batch_depends_on_nothing_asked_before(plan: Plan, asked: list[tuple[int, int]]) -> None:
    for epoch, index in asked:
        fresh = Plan(
            plan.num_rows,
            plan.batch_size,
            plan.shuffle,
            plan.seed,
            plan.drop_remainder,
            buckets=plan.buckets,
        )
        index %= plan.num_batches
        assert plan.batch(epoch, index)[0].tolist() == fresh.batch(epoch, index)[0].tolist()


@SETTINGS
@given(st.data())
def test_rows_drawn_by_weight_come_as_often_as_their_share_within_one(data: st.DataObject) -> None:
    weights = np.array(data.draw(st.lists(st.floats(0, 100), min_size=1, max_size=80)))
    assume(weights.sum() > 1e-3)
    plan = Plan(
        len(weights), 8, shuffle=True, seed=data.draw(st.integers(0, 2**32)), weights=weights
    )
    counts = np.bincount(rows_of(plan, data.draw(st.integers(0, 9))), minlength=len(weights))
    assert (np.abs(counts - weights / weights.sum() * len(weights)) < 1 + 1e-6).all()
    assert counts.sum() == len(weights)


@SETTINGS
@given(
    st.integers(0, 2**64 - 1),
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 10**6), st.text(max_size=5)),
        unique=True,
        min_size=2,
    ),
)
def test_random_streams_of_different_cells_differ(
    seed: int, cells: list[tuple[int, int, str]]
) -> None:
    plan = Plan(1, 1, seed=seed)
    drawn = [plan.rng(*cell).bytes(16) for cell in cells]
    assert len(set(drawn)) == len(drawn)
    assert drawn == [plan.rng(*cell).bytes(16) for cell in cells]


# Splits


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, tuple[float, ...]]:
    rows = draw(st.integers(3, 120))
    columns = {
        "label": draw(st.lists(st.sampled_from("abc"), min_size=rows, max_size=rows)),
        "owner": draw(st.lists(st.integers(0, 20), min_size=rows, max_size=rows)),
    }
    shares = draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    index = draw(st.permutations(range(1000, 1000 + rows)))
    return pd.DataFrame(columns, index=index), tuple(share / sum(shares) for share in shares)


@pytest.mark.filterwarnings("ignore:.*classes in 'label' ha(s|ve) too few rows for every part")
@SPLITS
@given(
    tables(),
    st.integers(0, 2**32),
    st.sampled_from([None, "label"]),
    st.sampled_from([None, "owner"]),
)
def test_a_split_has_every_row_once_in_the_tables_order_and_groups_whole(
    drawn: tuple[pd.DataFrame, tuple[float, ...]],
    seed: int,
    stratify: str | None,
    group: str | None,
) -> None:
    table, fractions = drawn
    try:
        parts = mg.split_table(table, fractions, stratify=stratify, group=group, seed=seed)
    except mg.TableError as error:
        # Too few rows or groups for so many parts; never for one part.
        assert "Received: " in str(error) and len(fractions) > 1  # noqa: PT017
        return
    assert len(parts) == len(fractions) and all(len(part) for part in parts)
    assert sorted(label for part in parts for label in part.index) == sorted(table.index)
    for part in parts:
        pd.testing.assert_frame_equal(
            part, table.loc[[label for label in table.index if label in set(part.index)]]
        )
    if group is None:
        for part, fraction in zip(parts, fractions, strict=True):
            of_class = table["label"].value_counts() if stratify else pd.Series({"all": len(table)})
            # Each class is a whole number of rows off, and may have to give one to fill an empty
            # part.
            assert abs(len(part) - fraction * len(table)) <= 2 * len(of_class)
    else:
        owners = [set(part[group]) for part in parts]
        assert sum(map(len, owners)) == len(set.union(*owners))
    again = mg.split_table(table, fractions, stratify=stratify, group=group, seed=seed)
    assert [part.index.tolist() for part in again] == [part.index.tolist() for part in parts]


@SPLITS
@given(st.integers(10, 200), st.integers(0, 2**32))
def test_a_stratified_split_keeps_the_share_of_each_class_to_within_one_row(
    rows: int, seed: int
) -> None:
    table = pd.DataFrame({"label": ["a"] * rows + ["b"] * (2 * rows) + ["c"] * (5 * rows)})
    for part, fraction in zip(
        mg.split_table(table, (0.7, 0.3), stratify="label", seed=seed), (0.7, 0.3), strict=True
    ):
        for name, count in table["label"].value_counts().items():
            assert abs((part["label"] == name).sum() - fraction * count) <= 1


# Tokens and buckets


def words() -> tokenizers.Tokenizer:
    names = ["[PAD]", *(f"w{number}" for number in range(30)), "[UNK]"]
    model = tokenizers.models.WordLevel(
        {name: place for place, name in enumerate(names)}, unk_token="[UNK]"
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    return tokenizer


TOKENIZER = words()


@SETTINGS
@given(
    st.lists(st.integers(0, 29), max_size=20),
    st.integers(1, 12),
    st.sampled_from(["left", "right"]),
    st.sampled_from(["left", "right"]),
)
def test_ids_are_cut_and_padded_at_the_ends_that_were_asked_for(
    numbers: list[int], length: int, truncation: str, padding: str
) -> None:
    encoder = mg.TokenEncoder.from_tokenizer(
        TOKENIZER, sequence_length=length, truncation=truncation, padding=padding
    )
    text = " ".join(f"w{number}" for number in numbers)
    array = mg.TextLoader("x", encoder).read(text)
    kept = numbers[:length] if truncation == "right" else numbers[-length:]
    ids = [encoder.token_id(f"w{number}") for number in kept]
    zeros = [0] * (length - len(ids))
    assert array.tolist() == (ids + zeros if padding == "right" else zeros + ids)
    assert array.dtype == "int32" and all(0 < one < encoder.vocabulary_size for one in ids)
    assert encoder.encode_batch([text, "w1"])[0].tolist() == array.tolist()


@SETTINGS
@given(st.text(max_size=200))
@example("\0")
@example("\ud800 \udfff")
@example("\u202e\u200b" * 30)
def test_any_text_is_encoded_to_ids_in_range_alone_and_in_a_batch(text: str) -> None:
    array = CAPTIONS.read(text)
    assert array.shape == CAPTIONS.spec.shape and array.dtype == "int32"
    assert array.min() >= 0 and array.max() < (CAPTIONS.spec.vocabulary_size or 0)
    assert CAPTIONS.read_batch([text, "a red mug"])[0].tolist() == array.tolist()
    used = np.flatnonzero(array)
    assert len(used) == 0 or used[-1] + 1 == len(used)


CAPTIONS = mg.TextLoader.from_texts(
    "x", ["a red mug", "a blue mug", "the glass bowl"] * 3, sequence_length=8
)


@SETTINGS
@given(st.lists(st.integers(0, 200), min_size=1, max_size=200))
def test_bucket_lengths_ascend_hold_every_caption_and_are_few(lengths: list[int]) -> None:
    of_each = np.array(lengths, "uint32")
    found = _least_padding(of_each, 200)
    assert 1 <= len(found) <= 5 and list(found) == sorted(set(found))
    assert found[-1] >= max(lengths) and all(one % 8 == 0 or one == 200 for one in found)
    # No worse than one length for all.
    places = np.array(found)[np.searchsorted(found, of_each)].sum()
    assert places <= len(lengths) * min(200, -(-max(*lengths, 1) // 8) * 8)


# Keys of the cache


class Anything(mg.Loader):
    """Cells of any kind; what it reads is of no interest here."""

    spec = ArraySpec((1,), "float32")

    def __init__(self) -> None:
        self.column = "x"

    def read(self, cell: Any) -> np.ndarray:
        """Nothing."""
        return np.zeros(1, "float32")

    def file_of(self, cell: Any) -> str | None:
        """No file."""
        return None


arrays = st.builds(
    lambda shape, dtype, fill: np.full(shape, fill, dtype),
    st.lists(st.integers(0, 3), max_size=3).map(tuple),
    st.sampled_from(["uint8", "int8", "int16", "float32", "bool", ">i2", "<i2"]),
    st.integers(0, 1),
)
cells = st.one_of(
    st.text(max_size=6),
    st.binary(max_size=6),
    arrays,
    st.builds(lambda data: {"bytes": data}, st.binary(max_size=4)),
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return (
            one.shape == other.shape
            and one.dtype.str == other.dtype.str
            and one.tobytes() == other.tobytes()
        )
    return type(one) is type(other) and not isinstance(one, np.ndarray) and bool(one == other)


@SETTINGS
@given(cells, cells)
@example("a", b"a")
@example("a", np.frombuffer(b"a", "uint8"))
@example(b"a", {"bytes": b"a"})
@example(np.zeros((2, 0), "uint8"), np.zeros((0, 2), "uint8"))
@example("\ud800", "\ufffd")
def test_cells_have_one_key_exactly_where_they_are_the_same(one: Any, other: Any) -> None:
    keys = key_of(Anything(), one), key_of(Anything(), other)
    assert None not in keys
    assert (keys[0] == keys[1]) == same(one, other)


@SETTINGS
@given(
    st.lists(
        st.tuples(st.text("ab/", min_size=1, max_size=4), st.binary(max_size=3)),
        min_size=2,
        max_size=2,
    )
)
def test_files_have_one_key_exactly_where_they_are_one_file(
    tmp_path_factory: Any, files: Any
) -> None:
    root = tmp_path_factory.mktemp("keys")
    keys, paths = [], []
    for name, content in files:
        path = (root / name.strip("/").replace("//", "/").replace("/", "-")).resolve()
        assume(path != root)
        path.write_bytes(content)
        paths.append(path)
        keys.append(key_of(mg.ImageLoader("x", directory=root), path.name))
    again = [key_of(mg.ImageLoader("x"), str(path)) for path in paths]
    assert None not in again and (again[0] == again[1]) == (paths[0] == paths[1])
    if paths[0] != paths[1]:
        assert keys == again


def test_hypothesis_finds_what_is_wrong() -> None:
    @SETTINGS
    @given(st.integers(0, 1000))
    def wrong(number: int) -> None:
        assert number < 900

    with pytest.raises(AssertionError):
        wrong()
