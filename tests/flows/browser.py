"""What a person does with Prefect in a real browser: fill in forms, watch flow runs, read artifacts."""

import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, Response, sync_playwright

from tests.flows.site import PATIENCE

# Chromium has no sandbox for root; the picture of the DAG needs WebGL, which SwiftShader draws without a graphics card.
OPTIONS = ["--no-sandbox", "--enable-unsafe-swiftshader"]
FLOW_PATIENCE = 3600.0  # seconds for a flow run: minutes, and half an hour where the machine is busy
ENDS = re.compile("Completed|Failed|Crashed|Cancelled")
CREATE = "/create_flow_run"
TRIES = 5


@contextmanager
def browser_page(auth: str, width: int = 1400, height: int = 900) -> Iterator[Page]:
    """A page of a new Chromium; skips the test where there is none.

    Args:
        auth: USER:PASSWORD, which a person types when MLflow's page asks for it.
    """
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        user, _, password = auth.partition(":")
        credentials = {"username": user, "password": password}
        page = browser.new_page(viewport={"width": width, "height": height}, http_credentials=credentials)
        page.set_default_timeout(PATIENCE * 1000)
        yield page
        browser.close()


def log_in(page: Page, address: str, auth: str) -> None:
    """Open an address of Prefect for the first time: its page asks for the password, then goes there."""
    page.goto(address)
    page.locator("input[type=password]").fill(auth)
    page.get_by_role("button", name="Login").click()
    page.wait_for_url(address)


class Form:
    """The form of a flow.

    Args:
        page: of the browser.
        address: of the form, as `make ui` prints it.
    """

    def __init__(self, page: Page, address: str):
        self.page = page
        page.goto(address)
        self.field("jobs").wait_for()

    def field(self, title: str) -> Locator:
        """A field with all that belongs to it."""
        either = f"[normalize-space()='{title}' or normalize-space()='{title} (Optional)']"
        label = f"//span[contains(@class,'schema-form-property__label')]{either}"
        return self.page.locator(f"xpath={label}/ancestor::div[starts-with(@class,'p-label schema-form-property')][1]")

    def fill(self, title: str, value: object) -> None:
        """Type a value; a field that may stay empty has no place for it until its type is chosen."""
        control = self.field(title).locator("textarea, input")
        if not control.count():
            self.field(title).get_by_text(re.compile("^(int|str)$")).click()
        control.fill(str(value))

    def fill_list(self, title: str, values: Sequence[object]) -> None:
        """Make a list have these values: rows are added or removed at its end, then typed over."""
        field = self.field(title)
        rows = field.locator(".schema-form-property-array-item")
        for _ in range(rows.count(), len(values)):
            field.get_by_role("button", name="Add item").click()
        for _ in range(len(values), rows.count()):
            rows.last.locator("button").first.click()
        for number, value in enumerate(values):
            rows.nth(number).locator("textarea, input").fill(str(value))

    def chosen(self, title: str) -> list[str]:
        """The values of those offered that are picked."""
        return self.field(title).locator(".p-tag").all_inner_texts()

    def switch_off(self, title: str) -> None:
        self.field(title).locator(".p-toggle__control").click()

    def submit(self) -> str:
        """Launch; the id of the flow run.

        A server under load may answer 503. The form then shows an error and stays, and a person presses Submit again.
        """
        for _ in range(TRIES):
            with self.page.expect_response(_creates) as waiting:
                self.page.get_by_role("button", name="Submit").click()
            answer = waiting.value
            if answer.ok:
                return answer.json()["id"]
            assert answer.status == 503, f"Submit: {answer.status} {answer.text()}"
        raise AssertionError(f"Submit failed {TRIES} times: {answer.text()}")


def _creates(answer: Response) -> bool:
    return answer.url.endswith(CREATE) and answer.request.method == "POST"


class FlowRun:
    """A flow run.

    Args:
        page: of the browser.
        prefect: address of the server.
        run: id of the flow run.
    """

    def __init__(self, page: Page, prefect: str, run: str):
        self.page, self.prefect, self.id = page, prefect, run
        self.address = f"{prefect}/runs/flow-run/{run}"

    def end(self) -> str:
        """Wait until the flow run has ended; its last state.

        In the list of all flow runs: their own pages keep drawing the DAG, which takes half a core from the stages.
        """
        self.page.goto(f"{self.prefect}/runs")
        listed = self.page.locator(".state-list-item", has=self.page.locator(f"a[href*='{self.id}']"))
        badge = listed.locator(".state-badge").filter(has_text=ENDS)
        badge.wait_for(timeout=FLOW_PATIENCE * 1000)
        return badge.inner_text().strip()

    def tab(self, title: str) -> None:
        self.page.locator("li.p-tab", has_text=title).click()

    def stages(self) -> dict[str, str]:
        """State of every task."""
        self.page.goto(self.address)
        self.tab("Task Runs")
        tasks = self.page.locator(".task-run-list-item")
        tasks.first.wait_for()
        return dict(text.splitlines()[:2] for text in tasks.all_inner_texts())

    def artifact(self, key: str) -> str:
        """Open an artifact; what it says."""
        self.page.goto(self.address)
        self.tab("Artifacts")
        self.page.locator("a[href*='/artifacts/artifact/']", has=self.page.get_by_text(key, exact=True)).click()
        content = self.page.locator(".artifact-data-view")
        content.wait_for()
        return content.inner_text()
