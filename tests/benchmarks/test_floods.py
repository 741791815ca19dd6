"""The flood, in short: a key that asks as often as it can ends nobody's lease."""

import pytest

from .floods import LEASE, measure


@pytest.mark.no_cover
def test_a_flood_from_one_key_ends_no_lease() -> None:
    result = measure("REGISTER", connections=20, limit=200, seconds=1.0)
    assert result.lost == 0
    assert result.worst < LEASE / 3, "a device asks again then"
    assert result.refused > 0.1, "there was no flood, or no limit"
