"""Settings of all tests."""

from hypothesis import settings

# A shared machine may stall for longer than any deadline; slowness is measured in benchmarks, not here.
settings.register_profile("espalier", deadline=None)
settings.load_profile("espalier")
