"""What a person does with MLflow in a real browser: filter runs, choose columns, sort, compare, see a metric."""

import re
from collections.abc import Iterable

from playwright.sync_api import Locator, Page, Response


class RunsTable:
    """The table of runs of an experiment.

    Args:
        page: of the browser.
        address: of the table, as the flows link to it.
    """

    def __init__(self, page: Page, address: str):
        self.page = page
        page.goto(address)
        self._close_assistant()

    def _close_assistant(self) -> None:
        """The first visit opens a panel about language models over the table."""
        self.page.get_by_text("MLflow Assistant").wait_for()
        self.page.get_by_role("button", name="Close").click()

    def filter(self, query: str) -> None:
        """Filter, and wait for the runs: a list of columns opened before stays folded."""
        search = self.page.get_by_test_id("search-box")
        search.fill(query)
        with self.page.expect_response(lambda answer: _searches(answer, query)):
            search.press("Enter")
        self.page.get_by_text(re.compile("matching runs?$")).wait_for()

    def columns(self, group: str, names: Iterable[str]) -> None:
        """Tick columns, or remove their tick; a metric, a parameter and a tag may have the same name."""
        self.page.get_by_test_id("column-selection-dropdown").filter(has_text="Columns").click()
        for name in names:
            self.page.get_by_placeholder("Search columns").fill(name)
            self._column(group, name).click()
        self.page.keyboard.press("Escape")
        self.page.get_by_placeholder("Search columns").wait_for(state="hidden")

    def _column(self, group: str, name: str) -> Locator:
        """The box of a column, in the tree under the title of its group."""
        title = f"[starts-with(normalize-space(), '{group}')]"
        below = self.page.locator(f"xpath=//*[contains(@class,'tree-treenode')]{title}/following-sibling::*")
        column = below.filter(has_text=re.compile(f"^{re.escape(name)}$")).first
        return column.locator("[class*=tree-checkbox]").first

    def sort(self, metric: str) -> None:
        """By a metric in sight; runs then no longer fold under their parent. Titles of tags sort nothing."""
        self.page.get_by_test_id(f"sort-header-{metric}").click()
        self.page.get_by_test_id("sort-select-dropdown").filter(has_text=f"Sort: {metric}").wait_for()

    def names(self, count: int) -> list[str]:
        """Names of the runs from top to bottom, when there are as many as expected."""
        self.page.get_by_text(re.compile(f"^{count} matching runs?$")).wait_for()
        rows = self.page.locator("[role=row]", has=self.page.locator("[col-id*='Run Name'] a"))
        found = [(int(row.get_attribute("row-index")), row.locator("a").first.inner_text()) for row in rows.all()]
        return [name for _, name in sorted(found)]

    def compare(self) -> None:
        """Open the page that compares all runs of the table."""
        self.page.get_by_label("Select all runs").click()
        self.page.get_by_test_id("runs-compare-button").click()
        self.page.get_by_text("Run details").wait_for()

    def chart(self, metric: str) -> list[str]:
        """From the page that compares to the chart of a metric; its legend."""
        metrics = self.page.locator("a[href*='#/metric']")
        metrics.filter(has_text=re.compile(f"^{re.escape(metric)}$")).click()
        lines = self.page.get_by_text(re.compile(rf" \({re.escape(metric)}\)$"))
        lines.first.wait_for()
        return lines.all_inner_texts()


def _searches(answer: Response, query: str) -> bool:
    return answer.url.endswith("/runs/search") and query in (answer.request.post_data_json or {}).get("filter", "")
