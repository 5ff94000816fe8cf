"""The settings of a run: which table, columns and rows, and what to do with them."""

from __future__ import annotations

from dataclasses import dataclass

from multimodal_gen.errors import counted

# The options that name the columns of inputs.
INPUT_OPTIONS = ("image", "images", "caption", "captions", "number", "category", "date")


# Shares of training, validation and test rows, unless others are asked for.
FRACTIONS = (0.7, 0.1, 0.2)


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Which table and columns, and how rows are assigned to parts.

    Args:
        table: What `read_given` reads: a file, a folder, or a pattern of shards.
        image: Columns of pictures, each a separate input.
        caption: Columns of texts, each a separate input.
        images: Columns whose cells hold several pictures, each a separate input.
        captions: Columns whose cells hold several texts, each a separate input.
        item_separator: What separates the items of such cells; None to find out.
        missing: How to treat a missing picture or caption: "error", or "blank" to mark it as
            missing for the model.
        number: Columns of numbers, read as one input.
        category: Columns of categories, each a separate input.
        date: Columns of dates, each a separate input.
        date_format: How dates are read, as in `DateLoader`, or None.
        number_missing: How to treat a missing number or date: "error", "mean" to read it as the
            mean of the training rows, or "flag" to mark it as missing for the model too.
        label: The column to predict; several for numbers, or for labels with a column of 0 and 1
            each.
        target: "class", "number" or "labels".
        separator: What separates the labels in a cell, or None.
        directory: The base folder of picture paths; by default the table's folder.
        split: A column that assigns rows to training, validation and test; by default the split is
            random.
        split_names: The words for training, validation and test in that column, if they are not the
            usual ones.
        fractions: Shares of training, validation and test rows of a random split, stratified by the
            class.
        group: A column whose equal values stay together in a random split.
        image_size: `(height, width)`.
        text: "ngrams", "tokens", or "encoder" for the vectors of `text_encoder` alone.
        text_encoder: The folder of a sentence encoder, whose vectors of captions are inputs too, or
            None.
        image_encoder: A pretrained model, whose features of pictures are the inputs, or None.
        image_weights: For a name of keras.applications: its weights.
        also_pixels: Whether pictures themselves are inputs beside these features.
        encoder_size: `(height, width)` of the pictures for a model of any size, or None.
        augment: "none", "default" or "strong".
        batch_size: Rows per batch.
        seed: Fixes the split, the order of rows, augmentation and the model's initial weights.
        gaps: If the inputs were not named but found (`inference.py`): their columns with missing
            cells.
    """

    table: str
    image: tuple[str, ...]
    caption: tuple[str, ...]
    missing: str
    number: tuple[str, ...]
    number_missing: str
    category: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    date_format: str | None = None
    images: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    item_separator: str | None = None
    label: tuple[str, ...]
    target: str
    separator: str | None
    directory: str | None
    split: str | None
    split_names: tuple[str, ...] | None
    fractions: tuple[float, ...]
    group: str | None
    image_size: tuple[int, int]
    text: str
    augment: str
    batch_size: int
    seed: int
    gaps: tuple[str, ...] | None = None
    text_encoder: str | None = None
    image_encoder: str | None = None
    image_weights: str | None = None
    also_pixels: bool = False
    encoder_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for option in (*INPUT_OPTIONS, "label"):
            columns = getattr(self, option)
            # The same column twice would be two inputs of one name.
            twice = [column for column in columns if columns.count(column) > 1]
            if twice:
                raise ValueError(
                    f"--{option} takes each column once. Received: --{option} {twice[0]} twice"
                )
        self._check_roles()
        if self.target == "class" and len(self.label) > 1:
            given = " ".join(f"--label {column}" for column in self.label)
            raise ValueError(
                "A class needs one column; --target number takes several columns of numbers, and "
                f"--target labels several of 0 and 1. Received: {given} --target class"
            )
        if self.separator is not None and (self.target != "labels" or len(self.label) > 1):
            raise ValueError(
                "--separator is for --target labels with one --label column, whose cells hold "
                f"several labels. Received: --separator {self.separator!r} --target {self.target}, "
                f"{counted(len(self.label), 'column')}"
            )
        self._check_encoder()
        if self.separator == "":
            raise ValueError("--separator must be at least one character. Received: --separator ''")
        self._check_item_separator()
        if self.split is not None and self.fractions != FRACTIONS:
            raise ValueError(
                f"--fractions is for rows that are divided at random; here column {self.split!r} "
                "names their parts. Leave --fractions out. Received: --fractions "
                f"{with_commas(self.fractions)}"
            )
        if len(self.fractions) != 3:
            raise ValueError(
                "--fractions must be three numbers: training, validation, test. Received: "
                f"--fractions {self.fractions}"
            )

    @property
    def output_mode(self) -> str:
        """How captions are read before --text encoder leaves them out."""
        return "ngrams" if self.text == "encoder" else self.text

    def _check_encoder(self) -> None:
        if self.text == "encoder" and self.text_encoder is None:
            raise ValueError(
                "--text encoder reads captions as the vectors of --text-encoder alone: name one, "
                "or use ngrams or tokens. Received: --text encoder"
            )
        if self.image_encoder is not None:
            return
        if self.image_weights is not None:
            raise ValueError(
                "--image-weights are those of --image-encoder: name a function of "
                f"keras.applications. Received: --image-weights {self.image_weights}"
            )
        if self.also_pixels:
            raise ValueError(
                "--also-pixels adds pixels to the features of --image-encoder; without one, "
                "pictures are read as pixels anyway. Received: --also-pixels"
            )

    def _check_item_separator(self) -> None:
        if self.item_separator == "":
            raise ValueError(
                "--item-separator must be at least one character. Received: --item-separator ''"
            )
        if self.item_separator is not None and not (self.images or self.captions):
            raise ValueError(
                "--item-separator is for the cells of --images and --captions: name one. Received: "
                f"--item-separator {self.item_separator!r}"
            )

    @property
    def names_inputs(self) -> bool:
        """Whether there are columns of inputs."""
        return any(getattr(self, option) for option in INPUT_OPTIONS)

    def _check_roles(self) -> None:
        # A column that is read twice is most likely a slip, and one that is also to be predicted
        # gives the answer away.
        roles: dict[str, str] = {}
        for option in (*INPUT_OPTIONS, "label"):
            for column in getattr(self, option):
                if column in roles:
                    why = "an input must not be what is predicted"
                    if option != "label":
                        why = "if both are meant, write it into the table under a second name too"
                    raise ValueError(
                        f"A column is for one purpose; {why}. Received: --{roles[column]} {column} "
                        f"--{option} {column}"
                    )
                roles[column] = option


@dataclass(frozen=True, kw_only=True)
class RunSettings(DataSettings):
    """The settings of a whole run: the data, the model and the results.

    Args:
        folder: Where the results go.
        fusion: How the inputs are joined, as in `build_fusion_classifier`.
        positive: For fusion "match", the class whose rows belong together; by default training
            finds it.
        epochs: Passes over the training rows; by default the recipe's choice for their number.
        ablate: Whether to train a model on each input alone too.
        cache: A directory that keeps what loaders read, or None.
        cache_limit: Maximum bytes of the cache, or None.
        resume: Whether to save states in `folder`/state while training, and resume from them.
        on_error: "raise" if a row cannot be loaded, or "skip" to leave such rows out;
            `folder`/failures.csv lists them.
        max_error_rate: Largest share of rows that may be left out.
        balance: Whether rare classes or labels count as much as frequent ones in training.
        folds: The number of folds of a cross-validation, or None to train one model.
    """

    folder: str
    fusion: str
    positive: str | None
    epochs: int | None
    ablate: bool
    cache: str | None = None
    cache_limit: int | None = None
    resume: bool = False
    on_error: str = "raise"
    max_error_rate: float = 0.1
    folds: int | None = None
    balance: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_used()
        if self.folds is not None and self.ablate:
            raise ValueError(
                "--ablate compares inputs on one split: leave --folds out, or run --folds with the "
                f"options of each input. Received: --folds {self.folds} --ablate"
            )
        if self.balance and self.target == "number":
            raise ValueError(
                "--balance weights classes or labels, which a number has not: leave it out. "
                "Received: --balance --target number"
            )
        if self.positive is not None and self.fusion != "match":
            raise ValueError(
                "--positive is only for --fusion match, where rows of one class belong together. "
                f"Received: --positive {self.positive} --fusion {self.fusion}"
            )
        # All columns of numbers form one input.
        own = {name: getattr(self, name) for name in INPUT_OPTIONS}
        inputs = sum(len(columns) for name, columns in own.items() if name != "number")
        if self.fusion != "joint" and inputs + bool(self.number) == 1:
            (one,) = [name for name, columns in own.items() if columns]
            raise ValueError(
                f"--fusion {self.fusion} joins several inputs, but there is only one: add another, "
                f"or leave --fusion out. Received: --fusion {self.fusion}, --{one} alone"
            )
        if self.fusion == "attend" and inputs + bool(self.number) > 1 and not self._has_sequences:
            given = ", ".join(f"--{name}" for name, columns in own.items() if columns)
            raise ValueError(
                "--fusion attend compares patches of pictures, words and items with each other; "
                "here every input is a single vector. Name pictures with --image (with "
                "--image-encoder also --also-pixels), read captions with --text tokens, or name "
                f"cells of several items with --images or --captions. Received: --fusion attend, "
                f"{given}, --text {self.text}"
            )
        if self.fusion == "match" and self.target != "class":
            raise ValueError(
                "--fusion match needs a class that says whether a row's inputs belong together. "
                f"Received: --fusion match --target {self.target}"
            )

    def _check_used(self) -> None:
        # An option that would be accepted and then not used is a slip.
        if self.folds is not None and self.fractions != FRACTIONS:
            raise ValueError(
                "--folds divides all rows into folds of equal size: leave --fractions out, or name "
                "rows to test the ensemble on by a column, with --split. Received: --folds "
                f"{self.folds} --fractions {with_commas(self.fractions)}"
            )
        if self.cache_limit is not None and self.cache is None:
            raise ValueError(
                "--cache-limit is the size of a cache: name its folder with --cache, or leave it "
                f"out. Received: --cache-limit of {self.cache_limit:,} bytes"
            )

    @property
    def _has_sequences(self) -> bool:
        # Whether an input is more than a single vector.
        pixels = self.image and (self.image_encoder is None or self.also_pixels)
        tokens = self.caption and self.text == "tokens"
        return bool(pixels or tokens or self.images or self.captions)


def with_commas(shares: tuple[float, ...]) -> str:
    """Numbers as they are typed in an option."""
    return ",".join(f"{one:g}" for one in shares)
