"""Suites that are nothing but names, as an installed package would bring them."""

from polyrot.suites.kind import Kind, Listed

KIND = Kind(suites=(Listed("toy"), Listed("other")))
