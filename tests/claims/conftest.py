"""Claims are judged on whole planted suites, which takes seconds each."""

import pytest


def pytest_itemcollected(item: pytest.Item) -> None:
    item.add_marker("seconds")
