"""The place to replace `suite` or `artifacts`, to load models for the claims in another way.

The fixtures are the plugin's (`polyrot/fixtures.py`), for claims in other folders too.
"""

from polyrot.fixtures import artifacts, judge, suite, suite_progress

__all__ = ["artifacts", "judge", "suite", "suite_progress"]
