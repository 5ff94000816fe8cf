"""Pictures in a bucket of s3, which a server of moto plays on this machine: `make test-s3`."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import multimodal_gen as mg
from multimodal_gen.loaders.remote import fetching, patience

boto3 = pytest.importorskip("boto3", reason="`make test-s3` installs it")
moto_server = pytest.importorskip("moto.server", reason="`make test-s3` installs it")
pytest.importorskip("s3fs", reason="`make test-s3` installs it")

ROWS = 48


def picture(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), "uint8")
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


@pytest.fixture(scope="module")
def bucket() -> Iterator[object]:
    """A client of the server, with `ROWS` pictures in the bucket "shop"."""
    server = moto_server.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "of-a-test",
        "AWS_SECRET_ACCESS_KEY": "of-a-test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="shop")
        for number in range(ROWS):
            client.put_object(Bucket="shop", Key=f"photos/{number}.png", Body=picture(number))
        client.put_object(Bucket="shop", Key="secret.png", Body=picture(0))
        yield client
    server.stop()


def forget(patch: pytest.MonkeyPatch) -> None:
    """Let no version of a file be known, as in a new process."""
    fresh = fetching.Versions()
    for module in ("fetching", "urls"):
        patch.setattr(f"multimodal_gen.loaders.remote.{module}.VERSIONS", fresh)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "PAUSES", (0.01, 0.01, 0.01))
    forget(monkeypatch)


def sequence(cells: list[str], **options: object) -> mg.MultimodalSequence:
    images = mg.ImageLoader("image", image_size=(8, 8), directory="s3://shop/photos")
    return mg.MultimodalSequence(
        pd.DataFrame({"image": cells}),
        {"image": images},
        batch_size=16,
        inputs_as="array",
        **options,
    )


def pixels(data: mg.MultimodalSequence) -> np.ndarray:
    return np.concatenate([batch[0] for batch in data])


def test_pictures_of_a_bucket_are_those_of_a_folder(bucket: object, tmp_path: Path) -> None:
    for number in range(ROWS):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
    files = mg.MultimodalSequence(
        pd.DataFrame({"image": [f"{number}.png" for number in range(ROWS)]}),
        {"image": mg.ImageLoader("image", image_size=(8, 8), directory=tmp_path)},
        batch_size=16,
        inputs_as="array",
    )
    names = [f"{number}.png" for number in range(ROWS)]
    np.testing.assert_array_equal(pixels(sequence(names)), pixels(files))
    whole = [f"s3://shop/photos/{name}" for name in names]
    np.testing.assert_array_equal(pixels(sequence(whole, threads=1)), pixels(files))


def test_what_a_bucket_does_not_have_or_give_is_told_apart(bucket: object) -> None:
    images = sequence(["0.png"]).inputs["image"]
    with pytest.raises(mg.LoadError, match=r"path 's3://shop/photos/x\.png': there is no such"):
        images.read("x.png")
    with pytest.raises(mg.LoadError, match="leaves the directory"):
        images.read("../secret.png")
    with pytest.raises(mg.LoadError, match="a loader opens only those whose scheme it lists"):
        images.read("s3://shop/secret.png")
    other = mg.ImageLoader("image", image_size=(8, 8), directory="s3://no-such-bucket")
    with pytest.raises(mg.LoadError, match="there is no such file"):
        other.read("1.png")


def test_a_cache_keeps_pictures_until_they_change(
    bucket: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.png" for number in range(ROWS)]
    cold = pixels(sequence(names, cache=tmp_path / "cache"))
    bucket.put_object(Bucket="shop", Key="photos/7.png", Body=picture(1000))
    forget(monkeypatch)
    warm = pixels(sequence(names, cache=tmp_path / "cache"))
    assert [row for row in range(ROWS) if (warm[row] != cold[row]).any()] == [7]
