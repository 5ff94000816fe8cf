from __future__ import annotations

import datetime
import json
import math
import zoneinfo
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import multimodal_gen as mg
from multimodal_gen.config import deserialize, serialize
from multimodal_gen.rows.cell_dates import DAY_FIRST, MONTH_FIRST, DayOrder, cell_date, seems_date

DAYS = [f"2024-{month:02}-{day:02}" for month in (1, 2, 5, 12) for day in (1, 9, 18, 28)]
JANUARY = datetime.datetime(2024, 1, 31)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2024-01-31", JANUARY),
        (" 2024/1/31 ", JANUARY),
        ("2024.01.31", JANUARY),
        ("31 Jan 2024", JANUARY),
        ("31-JAN-2024", JANUARY),
        ("January 31, 2024", JANUARY),
        ("Jan. 31 2024", JANUARY),
        ("2024-01-31T18:30", JANUARY.replace(hour=18, minute=30)),
        (
            "2024-01-31 18:30:05.25",
            JANUARY.replace(hour=18, minute=30, second=5, microsecond=250000),
        ),
        ("2024-01-31 6:30 pm", JANUARY.replace(hour=18, minute=30)),
        ("2024-01-31 12:30 AM", JANUARY.replace(minute=30)),
        ("2024-01-31T18:30:00Z", JANUARY.replace(hour=18, minute=30, tzinfo=datetime.UTC)),
        (datetime.date(2024, 1, 31), JANUARY),
        (np.datetime64("2024-01-31"), JANUARY),
        (pd.Timestamp("2024-01-31 00:00:00.000000001"), JANUARY),
        (None, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        ("  ", None),
    ],
)
def test_dates_come_in_many_forms(cell: object, expected: datetime.datetime | None) -> None:
    assert cell_date(cell) == expected


def test_an_offset_is_kept() -> None:
    date = cell_date("2024-01-31 18:30-05:30")
    assert date is not None
    assert date.utcoffset() == -datetime.timedelta(hours=5, minutes=30)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("01/02/2024", "with the year last can be read in two ways.*date_format.*'01/02/2024'"),
        ("31.01.24", "Expected a date such as 2024-01-31.*'%d.%m.%y'"),
        ("2024-02-30", "There is no such date: day is out of range.*'2024-02-30'"),
        ("2024-01-31 25:00", "There is no such date: hour"),
        ("2024-01-31 13:00 pm", "There is no such date: hour"),
        ("mug", "Expected a date.*'mug'"),
        ("12:30", "Expected a date"),
        (1_706_659_200, r"A number is a date only if.*pd.to_datetime\(table\[column\], unit='s'\)"),
        (["2024-01-31"], "Expected a date"),
    ],
)
def test_what_is_no_date_or_may_be_two_is_refused(cell: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cell_date(cell)


def test_one_date_that_can_be_read_in_one_way_says_how_all_are_read() -> None:
    assert DayOrder.among(["01/02/2024", None, "31/01/2024"]).form == DAY_FIRST
    assert DayOrder.among(["01.02.2024", "1.31.2024 12:00"]).form == MONTH_FIRST
    assert DayOrder.among(["2024-02-01", "1 Feb 2024", 7]).form is None
    european = mg.DateLoader.from_values("posted", ["01/02/2024", "31/01/2024"])
    american = mg.DateLoader.from_values("posted", ["01/02/2024", "01/31/2024"])
    given = mg.DateLoader.from_values("posted", ["01/02/2024"], date_format="month first")
    assert (european.date_format, american.date_format) == (DAY_FIRST, MONTH_FIRST)
    shown = [one.describe(one.read("03/02/2024"))["posted"] for one in (european, american, given)]
    assert shown == ["2024-02-03", "2024-03-02", "2024-03-02"]
    short = mg.DateLoader.from_values("posted", ["31.01.24", "01.02.24"], date_format="%d.%m.%y")
    assert short.describe(short.read("01.03.24"))["posted"] == "2024-03-01"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["01/02/2024", "03/04/2024"], "'01/02/2024' and the others can be read with the day or"),
        (["31/01/2024", "01/31/2024"], "Some dates have the day first.*'31/01/2024'.*'01/31/2024'"),
        (["2024-01-31", "soon"], "values of 'posted' must be dates. .*'soon' at index 1"),
        ([None, ""], "at least one date to learn from.*2 missing"),
        (["2024-01-31T10:00Z", "2024-01-31"], "1 of 2 dates of 'posted' have no time zone, and"),
        (["2024-01-31T10:00+01:00", "2024-07-31T10:00+02:00"], r"zones \(\+01:00, \+02:00\).*UTC"),
    ],
)
def test_columns_of_dates_that_could_mean_two_things_are_refused_with_the_way_out(
    values: list, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        mg.DateLoader.from_values("posted", values)


def test_cycles_and_a_trend_come_out_and_only_of_parts_that_vary() -> None:
    loader = mg.DateLoader.from_values("posted", DAYS)
    assert loader.parts == ("weekday", "day_of_month", "day_of_year")
    numbers = loader.read("2024-03-13")  # a Wednesday, the 73rd day of the year
    for place, share in enumerate((2 / 7, 12 / 31, 72 / 366)):
        angle = 2 * math.pi * share
        np.testing.assert_allclose(
            numbers[2 * place : 2 * place + 2], [math.sin(angle), math.cos(angle)], atol=1e-6
        )
    trends = np.array([loader.read(day)[-1] for day in DAYS])
    assert abs(trends.mean()) < 1e-5
    assert abs(trends.std() - 1) < 1e-5
    timed = mg.DateLoader.from_values("at", ["2024-01-31 06:00", "2024-01-31 18:00"])
    assert timed.parts == ("hour",)
    np.testing.assert_allclose(timed.read("2024-01-31 06:00"), [1, 0, -1], atol=1e-6)
    constant = mg.DateLoader.from_values("at", ["2024-01-31"] * 3)
    assert (constant.parts, constant.read("2024-01-31").tolist()) == ((), [0.0])


def test_the_last_day_of_a_year_is_next_to_the_first() -> None:
    loader = mg.DateLoader.from_values("posted", DAYS).replace(parts=["day_of_year"])
    first, last, summer = (
        loader.read(day)[:2] for day in ("2024-01-01", "2024-12-31", "2024-07-01")
    )
    assert np.linalg.norm(first - last) < 0.02
    assert np.linalg.norm(first - summer) > 1.9


def test_a_missing_date_is_an_error_or_the_mean_or_flagged() -> None:
    loader = mg.DateLoader.from_values("posted", [*DAYS, None])
    with pytest.raises(mg.LoadError, match=r"the date is missing.*missing=\"mean\""):
        loader.read(None)
    mean, flag = loader.replace(missing="mean"), loader.replace(missing="flag")
    assert mean.read("").tolist() == [0.0] * 7
    assert flag.read(None).tolist() == [0.0] * 7 + [1.0]
    assert flag.read(DAYS[0]).tolist() == [*loader.read(DAYS[0]), 0.0]
    assert flag.describe(flag.read(None), None) == {"posted": "(missing)"}
    mg.check_loader(flag, [DAYS[0], None, "31 Jan 2024"])


def test_the_clock_of_the_time_zone_counts() -> None:
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    cells = [pd.Timestamp(day, tz=berlin) for day in ("2024-01-31 09:00", "2024-07-31 17:00")]
    loader = mg.DateLoader.from_values("at", pd.Series(cells))
    assert loader.timezone == "Europe/Berlin"
    same = ["2024-07-31T17:00+02:00", "2024-07-31 15:00Z", cells[1]]
    assert len({loader.read(cell).tobytes() for cell in same}) == 1
    assert loader.describe(loader.read(same[1]))["at"] == "2024-07-31 17:00"
    utc = mg.DateLoader.from_values("at", ["2024-01-31T09:00Z", "2024-01-31T10:00+00:00"])
    assert utc.timezone == "UTC"
    assert mg.DateLoader.from_values("at", ["2024-01-31T09:00-05:30"]).timezone == "-05:30"
    several = ["2024-01-31T10:00+01:00", "2024-07-31T10:00+02:00"]
    named = mg.DateLoader.from_values("at", several, timezone="Europe/Berlin")
    assert "hour" not in named.parts  # ten o'clock in both
    with pytest.raises(mg.LoadError, match="has no time zone: write all dates in one way"):
        loader.read("2024-01-31")
    with pytest.raises(mg.LoadError, match="has a time zone, and the training dates had none"):
        mg.DateLoader.from_values("at", DAYS).read("2024-01-31T09:00Z")


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.to_datetime(DAYS)),
        pd.Series(pd.to_datetime(DAYS)).astype("datetime64[s]"),
        pd.Series(pd.to_datetime(DAYS)).dt.date,
        pd.Series(DAYS, dtype=pd.ArrowDtype(pa.string())),
        pd.Series(pd.to_datetime(DAYS)).astype(pd.ArrowDtype(pa.timestamp("ms"))),
        pd.Series(pd.to_datetime(DAYS)).dt.date.astype(pd.ArrowDtype(pa.date32())),
    ],
    ids=["nanoseconds", "seconds", "dates", "arrow texts", "arrow times", "arrow dates"],
)
def test_the_type_of_a_column_makes_no_difference(column: pd.Series) -> None:
    plain = mg.DateLoader.from_values("posted", DAYS)
    loader = mg.DateLoader.from_values("posted", column)
    assert loader == plain
    assert loader.read(column.iloc[3]).tobytes() == plain.read(DAYS[3]).tobytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": ["century"]}, "`parts` must be one of .*'century'"),
        ({"parts": ["hour", "hour"]}, "Each part must be named once"),
        ({"scale": 0}, "`scale` finite and positive.*scale=0"),
        ({"date_format": "dmy"}, "`date_format` must be .*'dmy'"),
        ({"timezone": "Berlin"}, "`timezone` must be a time zone that this system knows.*'Berlin'"),
        ({"missing": "blank"}, "`missing` must be one of"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(arguments: dict, message: str) -> None:
    given = {"parts": ["hour"], "mean": 0.0, "scale": 1.0} | arguments
    with pytest.raises(ValueError, match=message):
        mg.DateLoader("at", **given)


def test_what_looks_like_a_date_is_seen() -> None:
    assert all(map(seems_date, ["2024-01-31", "01/02/2024", "1 Feb 2024", datetime.date.today()]))
    impossible = ["2023-02-30", "2023-13-01", "31/02/2023", "0000-00-00", "31 Apr 2023"]
    assert not any(map(seems_date, impossible))
    assert not any(map(seems_date, ["12:30", "1.2", "20240131", "mug", 20240131, None]))


def test_a_model_learns_from_dates_and_reads_them_again_from_its_bundle(tmp_path: Path) -> None:
    days = pd.date_range("2022-01-01", periods=400, freq="D")
    weekend = np.where(days.day_of_week >= 5, "weekend", "week")
    table = pd.DataFrame({"day": days.strftime("%d.%m.%Y"), "kind": weekend})
    inputs = {"day": mg.DateLoader.from_values("day", table, missing="flag")}
    assert deserialize(json.loads(json.dumps(serialize(inputs["day"])))) == inputs["day"]
    target = mg.ClassLabel.from_values("kind", table)
    data = mg.MultimodalSequence(table, inputs, target, batch_size=32, shuffle=True, seed=0)
    keras.utils.set_random_seed(0)
    model = mg.build_fusion_classifier(inputs, target)
    mg.fit_with_recipe(model, target, data, epochs=15, learning_rate=1e-2, verbose=0)
    bundle = mg.Bundle(model, inputs, target)
    assert bundle.evaluate(table)["accuracy"] > 0.98
    bundle.save(tmp_path)
    # In the years after training, and in any way of writing.
    asked = pd.DataFrame({"day": ["2023-03-04", "06.03.2023", datetime.date(2023, 3, 5), None]})
    again = mg.load_bundle(tmp_path).predict(asked)
    pd.testing.assert_frame_equal(again, bundle.predict(asked))
    assert again["label"].tolist()[:3] == ["weekend", "week", "weekend"]
