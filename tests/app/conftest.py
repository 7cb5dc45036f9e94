"""A browser for the tests of this folder."""

from tests.support.browser import browser as browser  # a fixture
