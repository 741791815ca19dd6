"""What the tests of the core share."""

import pytest

from devicewatch.registry.core import RegistryCore
from tests.support.cores import new_core


@pytest.fixture
def core() -> RegistryCore:
    return new_core()
