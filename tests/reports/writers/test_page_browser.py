"""The HTML report in a real browser: Chromium from the system's packages, driven by its own driver."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score

import reports

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no Chromium with its driver: apt-get install chromium chromium-driver"
)

HOSTILE = "<script>window.broken=1</script>|\n<img src=x onerror=window.broken=2>" + "x" * 300 + "‮abc"
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars", "--window-size=1280,900"),
)


@pytest.fixture(scope="module")
def browser(process: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def scored(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(rows) < 0.2
    return (rng.standard_normal(rows) + 1.5 * labels).astype(np.float32), labels


SCORES = {"vae": scored(3000, 0), "knn": scored(150, 1)}
"""Of the one more than the page keeps thresholds of, of the other fewer."""


SERIES = {
    "series.labels": (np.arange(30) == 7).astype(np.uint8),
    "series.scores": np.linspace(0, 1, 30, dtype=np.float32),
    "series.edges": np.arange(0, 31, 2),
    "series.low": np.zeros((15, 2), dtype=np.float32),
    "series.high": np.ones((15, 2), dtype=np.float32),
}
LEARNED = {
    "seen_rows": np.arange(4, dtype=np.int32),
    "seen_inputs": np.linspace(0, 1, 24, dtype=np.float32).reshape(4, 6),
    "seen_reconstructions": np.zeros((4, 6), dtype=np.float32),
    "drawn": np.ones((5, 6), dtype=np.float32),
    "walk": np.zeros((3, 3, 6), dtype=np.float32),
    "walk_axes": np.array([1, 0], dtype=np.int32),
    "walk_low": np.zeros(2, dtype=np.float32),
    "walk_high": np.ones(2, dtype=np.float32),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, run: Any, record: Any) -> Path:
    folder = tmp_path_factory.mktemp("results")
    records = run(["digits:4", "kdd99"])
    (folder / "arrays").mkdir()
    rng = np.random.default_rng(3)
    for detector, (scores, labels) in SCORES.items():
        kind = "elbo" if detector == "vae" else "decision"
        rows = np.arange(0, len(scores), 5, dtype=np.int32)
        plane = rng.standard_normal((len(rows), 2)).astype(np.float32)
        arrays = {"y_test": labels.astype(np.uint8), f"score.{kind}": scores, "mu_rows": rows, "mu_pca": plane}
        save_file(
            arrays | SERIES | (LEARNED if detector == "vae" else {}), folder / "arrays" / f"{detector}.safetensors"
        )
    for one in records:
        detector = one["detector"]
        if one["dataset"] == "digits:4" and detector in SCORES and one["seed"] == 0:
            mark = {"rule": "percentile 95", "oracle": False, "metrics": {"threshold": 1.5}}
            one |= {"arrays": f"arrays/{detector}.safetensors", "thresholds": [mark]}
            feature = {"name": HOSTILE, "share": 0.75, "value": 3.5, "reconstruction": 0.25}
            one["series"] = {"steps": 30, "events": 1, "channels": [HOSTILE, "heat"], "threshold": 0.5, "metrics": {}}
            one["top_anomalies"] = [{"row": 7, "score": 9.5, "anomaly": True, "features": [feature]}]
    for one in records:
        if (one["dataset"], one["backend"]) == ("kdd99", "keras"):
            one["metrics"].pop("limit_samples_per_second")
    records += [record(HOSTILE, "vae", backend, auc=0.9) for backend in ("torch", "jax")]
    records.append(record("kdd99", status="failed", reason=HOSTILE, seed=9))
    for place, batch in enumerate((32, 128, 512)):
        records.append(record("blobs", batch=batch, speed=1e4 * 2**place))
    swept = {"swept": {"data.train_rows": 100}, "scenario_hash": "fewer"}
    records += [record("digits:4?train_rows=100", "knn") | swept, records[-1]]
    known = next(one for one in records if (one["dataset"], one["detector"]) == ("digits:4", "knn"))
    known["swept"] = {"data.train_rows": 0}
    path = folder / "report.html"
    path.write_bytes(reports.page(records, directory=folder))
    return path


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The report just loaded, on a screen of a desk; after the test nothing may have gone wrong or left the file."""
    screen(browser, 1280, 900)
    look(browser, "light")
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(report.as_uri())
    yield browser
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.broken") is None
    asked = [entry["message"] for entry in browser.get_log("performance") if 'requestWillBeSent"' in entry["message"]]
    urls = [text.split('"url":"')[1].split('"')[0] for text in asked]
    assert urls
    assert all(url == report.as_uri() or url.startswith("data:") for url in urls)


def screen(browser: Any, width: int, height: int) -> None:
    sizes = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sizes)


def look(browser: Any, scheme: str) -> None:
    asked = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}  # a jump is over at once
    features = [{"name": name, "value": value} for name, value in asked.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def until(true: Callable[[], Any]) -> Any:
    """What a page does next frame or when it scrolls there is waited for, a minute at most."""
    end = time.monotonic() + 60
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.05)
    assert found
    return found


def one(page: Any, selector: str) -> Any:
    return page.find_element("css selector", selector)


def digits(page: Any) -> Any:
    """The part on the data set whose scores were kept."""
    parts = page.find_elements("css selector", "#quality .part")
    return next(part for part in parts if one(part, "h3").text == "digits:4")


def column(page: Any, grid: str, place: int) -> list[str]:
    found: list[str] = page.execute_script(
        "return [...document.querySelectorAll(`[data-grid='${arguments[0]}'] tbody tr`)]"
        ".map(row => row.cells[arguments[1]].firstChild.textContent)",
        grid,
        place,
    )
    return found


def heading(page: Any, grid: str, title: str) -> Any:
    heads = page.find_elements("css selector", f"[data-grid='{grid}'] th")
    return next(head for head in heads if head.text.startswith(title))


def test_a_heading_sorts_by_number_in_both_directions_and_keeps_the_unknown_last(page: Any) -> None:
    head = heading(page, "training-on-kdd99", "train samples/s")
    place = page.execute_script("return arguments[0].cellIndex", head)
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", head)
    letters = {"k": 1e3, "M": 1e6}

    def values() -> list[float]:
        return [float(t.rstrip("kM")) * letters.get(t[-1], 1) for t in column(page, "training-on-kdd99", place)]

    one(head, "button").click()
    assert values() == sorted(values(), reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    one(head, "button").send_keys("\ue007")  # Enter: a keyboard sorts too
    assert values() == sorted(values())
    limit = heading(page, "training-on-kdd99", "of limit")
    one(limit, "button").click()
    one(limit, "button").click()
    cells = column(page, "training-on-kdd99", page.execute_script("return arguments[0].cellIndex", limit))
    known = [text for text in cells if text != "—"]
    assert cells == known + ["—"] * (len(cells) - len(known))
    assert 0 < len(known) < len(cells)


def opened(page: Any) -> None:
    """Folds are open, and what they hold is there."""
    page.execute_script("document.querySelectorAll('details').forEach(fold => fold.open = true)")
    until(lambda: column(page, "every-trial", 0))


def test_the_filter_keeps_the_rows_with_all_words(page: Any) -> None:
    opened(page)
    box = one(page, "[data-grid='every-trial'] input")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", box)
    box.send_keys("KDD99 knn")
    assert column(page, "every-trial", 0) == ["kdd99"] * 3
    assert set(column(page, "every-trial", 1)) == {"knn"}
    assert one(page, "[data-grid='every-trial'] .count").text.startswith("3 of ")


def test_what_is_folded_away_is_filled_when_it_is_opened(page: Any) -> None:
    assert column(page, "every-trial", 0) == []
    page.execute_script("arguments[0].click()", one(page, "#trials summary"))
    until(lambda: len(column(page, "every-trial", 0)) == 50)


def test_the_columns_that_name_a_row_stay_in_sight_while_a_table_scrolls(page: Any) -> None:
    screen(page, 700, 900)
    grid = one(page, "[data-grid='quality-on-digits-4']")
    until(lambda: grid.find_elements("css selector", "td.held"))
    place = "return arguments[0].querySelector('tbody td').getBoundingClientRect().left"
    before = page.execute_script(place, grid)
    page.execute_script("arguments[0].querySelector('.scroll').scrollLeft = 300", grid)
    assert page.execute_script("return arguments[0].querySelector('.scroll').scrollLeft", grid) == 300
    assert page.execute_script(place, grid) == before
    last = "return arguments[0].querySelector('tbody tr').lastElementChild.getBoundingClientRect().left"
    assert page.execute_script(last, grid) > before


def test_the_answer_is_a_picture_on_the_first_screen(page: Any) -> None:
    plots = until(lambda: page.find_elements("css selector", "#answer .plot .main-svg"))
    assert plots
    bottoms = page.execute_script(
        "return [...document.querySelectorAll('#answer .plot')].map(plot => plot.getBoundingClientRect().bottom)"
    )
    assert len(bottoms) == 2
    assert max(bottoms) < 900


def test_a_long_table_has_pages(page: Any) -> None:
    opened(page)
    grid = one(page, "[data-grid='every-trial']")
    page.execute_script("arguments[0].scrollIntoView()", grid)
    assert len(column(page, "every-trial", 0)) == 50
    first = column(page, "every-trial", 1)
    page.execute_script("arguments[0].click()", one(grid, ".pages button:last-child"))
    assert "Page 2" in one(grid, ".pages").text
    assert column(page, "every-trial", 1) != first


@pytest.mark.parametrize("detector", SCORES)
def test_the_sliders_numbers_are_scikit_learns(page: Any, detector: str) -> None:
    scores, labels = SCORES[detector]
    panel = one(digits(page), ".slider").find_element("xpath", "..")
    choice = one(panel, "select")
    names = [option.text for option in choice.find_elements("css selector", "option")]
    place = next(
        at for at, name in enumerate(names) if name.startswith(detector + (" · torch" if detector == "vae" else ""))
    )
    slider = one(panel, ".slider")

    def put(element: Any, value: int, event: str) -> None:
        page.execute_script(
            "const [element, value, event] = arguments;"
            "if (event === 'change') element.selectedIndex = value; else element.value = value;"
            "element.dispatchEvent(new Event(event, {bubbles: true}))",
            element,
            value,
            event,
        )

    put(choice, place, "change")
    assert one(panel, ".marks .button").get_attribute("aria-pressed") == "true"
    last = int(slider.get_attribute("max"))
    seen = set()
    for share in (0.1, 0.35, 0.6, 0.85, 0.99):
        put(slider, round(share * last), "input")
        told = {
            figure.get_attribute("data-figure"): figure.text for figure in panel.find_elements("css selector", "dd")
        }
        matrix = {key: int(one(panel, f"[data-count={key}]").text.replace(",", "")) for key in ("tn", "fp", "fn", "tp")}
        flagged = scores > np.float32(told["threshold"].removeprefix("> "))
        assert [matrix[key] for key in ("tn", "fp", "fn", "tp")] == confusion_matrix(labels, flagged).ravel().tolist()
        for title, metric in (("precision", precision_score), ("recall", recall_score), ("F1", f1_score)):
            assert told[title] == f"{metric(labels, flagged):.4f}"
        seen.add(told["threshold"])
    assert len(seen) == 5


def test_the_button_of_a_recorded_threshold_goes_there(page: Any) -> None:
    panel = one(digits(page), ".slider").find_element("xpath", "..")
    button = one(panel, ".marks .button")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    one(panel, ".slider").send_keys("\ue012\ue012")  # left, left
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    scores, labels = SCORES["vae"]
    assert int(one(panel, "[data-count=tp]").text) == ((scores > 1.5) & labels).sum()


def test_plots_are_drawn_with_a_line_a_detector_and_a_chip_takes_one_away(page: Any) -> None:
    plot = one(digits(page), ".plot")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", plot)

    def lines() -> int:
        found: int = page.execute_script("return arguments[0].querySelectorAll('.scatterlayer .js-line').length", plot)
        return found

    chips = digits(page).find_elements("css selector", ".chip")
    until(lambda: lines() == len(chips) + 1)  # and the diagonal
    chips[-1].click()
    assert chips[-1].get_attribute("aria-pressed") == "false"
    until(lambda: lines() == len(chips))


def test_every_kind_of_plot_is_drawn(page: Any) -> None:
    screen(page, 1280, page.execute_script("return document.documentElement.scrollHeight"))
    until(
        lambda: page.execute_script(
            "return [...document.querySelectorAll('.plot')].every(plot => plot.querySelector('.main-svg'))"
        )
    )
    titles = page.execute_script("return [...document.querySelectorAll('.panel h4')].map(head => head.textContent)")
    for words in (
        "ROC curve",
        "Precision–recall curve",
        "Scores and threshold",
        "Loss by epoch",
        "test rows lie",
        "cpu",
    ):
        assert any(words in title for title in titles)


def test_a_series_curves_over_training_rows_and_what_is_learned_are_drawn(page: Any) -> None:
    for kind in ("series", "training"):
        page.execute_script("arguments[0].scrollIntoView()", one(page, f".plots.{kind}"))
        until(lambda kind=kind: page.find_elements("css selector", f".plots.{kind} .main-svg"))
    flagged = "return document.querySelector('.plots.series .plot').data.filter(trace => trace.line.width === 5)[0].x"
    assert page.execute_script(flagged) == [15, 30, None]
    sheets = digits(page).find_elements("css selector", ".sheets canvas")
    assert [(sheet.get_property("width"), sheet.get_property("height")) for sheet in sheets] == [
        (6, 4),
        (6, 4),
        (6, 5),
        (6, 3),
        (6, 3),
    ]
    shades = "return [...arguments[0].getContext('2d').getImageData(0, 0, 6, 4).data].filter((_, at) => at % 4 === 0)"
    drawn = page.execute_script(shades, sheets[0])
    assert drawn == sorted(drawn, reverse=True)
    assert drawn[0] > 250
    assert drawn[-1] < 5


def test_dark_is_what_the_system_asks_for_until_a_button_says_otherwise(page: Any) -> None:
    def paper() -> str:
        found: str = page.execute_script("return getComputedStyle(document.body).backgroundColor")
        return found

    assert paper() == "rgb(255, 255, 255)"
    look(page, "dark")
    until(lambda: paper() == "rgb(20, 23, 28)")
    one(page, "#theme").click()
    assert paper() == "rgb(255, 255, 255)"
    page.execute_script("localStorage.clear()")


def test_nothing_is_wider_than_a_phone(page: Any) -> None:
    screen(page, 390, 800)
    screen(page, 390, page.execute_script("return document.documentElement.scrollHeight"))
    until(lambda: page.execute_script("return document.querySelectorAll('.plot .main-svg').length") > 10)
    assert page.execute_script("return document.documentElement.scrollWidth") == 390


def test_the_highest_rows_are_shown_with_the_features_that_explain_them(page: Any) -> None:
    text = one(digits(page), ".top").get_attribute("textContent")
    for words in (
        "row 7",
        "anomaly",
        "score 9.5",
        "<script>window.broken=1</script>",
        "75 %",
        "is 3.50, rebuilt as 0.250",
    ):
        assert words in text


def test_names_that_try_to_break_out_are_shown_as_text(page: Any) -> None:
    shown = one(page, "#failures").text
    assert "<script>window.broken=1</script>" in shown
    assert page.execute_script("return document.querySelectorAll('img').length") == 0
    assert page.execute_script("return document.querySelectorAll('main script').length") == 0
