"""The fixtures of the claims: a suite, what it provides, and `judge`.

They are the plugin's, so that a claim of another folder finds them too; `suite` and `artifacts`
are what to replace here where claims are to load their models in another way.
"""

from polyrot.fixtures import artifacts, judge, suite, suite_progress

__all__ = ["artifacts", "judge", "suite", "suite_progress"]
