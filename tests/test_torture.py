"""The archive of odd and broken pictures: each becomes an array or one clear error, in bounded time
and memory.
"""

import io
import json
import os
import subprocess
import sys
import tarfile
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

import multimodal_gen as mg

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def torture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = Path(os.environ.get("MULTIMODAL_GEN_DATA", ROOT.parent / "shared" / "data"))
    if not (data / "torture.tar.gz").is_file():
        pytest.skip("needs torture.tar.gz in the real data that MULTIMODAL_GEN_DATA points to")
    folder = tmp_path_factory.mktemp("torture")
    with tarfile.open(data / "torture.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "torture"


@pytest.fixture(scope="module")
def outcomes(torture: Path) -> pd.DataFrame:
    """What became of each file with each decoder and settings; warnings are errors while they are
    read.
    """
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("measures memory as Linux tells it")
    command = [sys.executable, str(ROOT / "tests" / "read_torture.py"), str(torture)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return pd.DataFrame([json.loads(line) for line in done.stdout.splitlines()])


@pytest.mark.slow
def test_every_file_gives_an_array_of_the_spec_or_an_error_that_names_it(
    outcomes: pd.DataFrame,
) -> None:
    assert outcomes["path"].nunique() >= 930
    bad = outcomes[~outcomes["kind"].isin(["array", "LoadError"])]
    assert bad.empty, bad.to_string()
    assert outcomes.loc[outcomes["kind"] == "LoadError", "reason"].str.len().between(20, 400).all()


@pytest.mark.slow
def test_every_file_takes_less_than_5_seconds_of_cpu_and_1_gigabyte(outcomes: pd.DataFrame) -> None:
    assert outcomes["seconds"].max() < 5
    assert outcomes["bytes"].max() < 1e9


def is_broken_for_pillow(path: Path) -> bool:
    if version("pillow") >= "12":
        return False
    try:
        with Image.open(path) as image:
            image.convert("RGB")
    except Exception:
        return True
    return False


@pytest.mark.slow
def test_whatever_pillow_decodes_is_decoded_by_both_decoders(
    outcomes: pd.DataFrame, torture: Path, real_data: Path
) -> None:
    expected = pd.read_csv(real_data / "torture_expected.csv").set_index("path")["status"]
    decodable = set(expected.index[expected == "ok+rgb"])
    assert len(decodable) > 600
    # The list was made with a newer Pillow than may be installed.
    decodable = {path for path in decodable if not is_broken_for_pillow(torture / path)}
    refused = outcomes[outcomes["path"].isin(decodable) & (outcomes["kind"] != "array")]
    # Of floats and 32-bit integers Pillow clips whatever is above 255; here somebody has to say
    # what is white.
    refused = refused[~refused["reason"].str.contains("value_range=(low, high)", regex=False)]
    assert refused.empty, refused.to_string()


@pytest.mark.slow
def test_settings_and_decoders_agree_on_what_is_broken(outcomes: pd.DataFrame) -> None:
    kinds = outcomes.groupby("path")["kind"].nunique()
    assert kinds.max() == 1, kinds[kinds > 1].to_string()


def differences(folder: Path, names: list[str], reference: str, decoder: str) -> dict[str, float]:
    loader = mg.ImageLoader("image", directory=folder, image_size=(64, 64), decoder=decoder)
    expected = loader.read(reference).astype(int)
    return {name: float(np.abs(loader.read(name) - expected).mean()) for name in names}


@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
def test_all_orientations_give_the_same_upright_picture(torture: Path, decoder: str) -> None:
    for shape, count in (("Landscape", 6), ("Portrait", 4)):
        names = sorted(
            f"exif-orientation/{path.name}"
            for path in (torture / "exif-orientation").glob(f"{shape}_*")
        )
        assert len(names) >= count
        found = differences(torture, names, names[0], decoder)
        assert max(found.values()) < 3, found


@pytest.mark.parametrize("decoder", ["pillow", "turbo"])
def test_versions_of_a_picture_in_other_modes_differ_by_less_than_3_of_255(
    torture: Path, decoder: str
) -> None:
    with Image.open(torture / "crafted" / "rgb.tif") as image:
        image.convert("CMYK").save(torture / "crafted" / "cmyk.tif")
        image.convert("CMYK").save(torture / "crafted" / "cmyk.jpg", quality=95)
        image.convert("L").save(torture / "crafted" / "gray.png")
    versions = (
        "palette.png",
        "gif_named.jpg",
        "cmyk.tif",
        "cmyk.jpg",
        "jp2.jp2",
        "rgba_opaque.png",
    )
    found = differences(
        torture, [f"crafted/{name}" for name in versions], "crafted/rgb.tif", decoder
    )
    found |= differences(torture, ["crafted/gray16.png"], "crafted/gray.png", decoder)
    assert max(found.values()) < 3, found


def as_tar(files: list[Path], folder: Path) -> str:
    """Samples as WebDataset has them, written by `tarfile`."""
    with tarfile.open(folder / "t.tar", "w") as out:
        for row, path in enumerate(files):
            content = path.read_bytes()
            member = tarfile.TarInfo(f"{row:05}.jpg")
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return str(folder / "t.tar")


def as_parquet(files: list[Path], folder: Path) -> str:
    """Bytes in row groups, written by Arrow."""
    table = pa.table({"jpg": [path.read_bytes() for path in files]})
    parquet.write_table(table, folder / "t.parquet", row_group_size=50)
    return str(folder / "t.parquet")


@pytest.mark.slow
def test_inside_a_tar_and_a_parquet_they_are_what_they_are_as_files(
    torture: Path, tmp_path: Path
) -> None:
    files = sorted(path for path in torture.rglob("*") if path.is_file())

    def outcome(table: pd.DataFrame) -> tuple[list[bytes], list[int]]:
        inputs = {"image": mg.ImageLoader("jpg", image_size=(32, 32))}
        target = mg.NumericTarget("row")
        rows = table.assign(row=range(len(table)))
        sequence = mg.MultimodalSequence(
            rows, inputs, target, batch_size=64, on_error="skip", max_error_rate=1.0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            arrays = [one.tobytes() for batch in sequence for one in (*batch[0], *batch[1:])]
        return arrays, sequence.failures["index"].tolist()

    arrays, lost = outcome(pd.DataFrame({"jpg": [str(path) for path in files]}))
    assert 100 < len(lost) < len(files) - 100
    for pattern in (as_tar(files, tmp_path), as_parquet(files, tmp_path)):
        packed, packed_lost = outcome(mg.open_table(pattern))
        assert packed_lost == lost
        assert packed == arrays
